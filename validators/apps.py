from django.apps import AppConfig


class ValidatorsConfig(AppConfig):
    """Platform side of the cluster: which nodes should run, and which do."""

    name = "validators"
    label = "validators"
    verbose_name = "Validators"
