from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """A replica's durable log and state; each replica has a database alias of its own."""

    name = "validators.ledger"
    label = "ledger"
    verbose_name = "Ledger"
