from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ValidatorsConfig(AppConfig):
    """Platform side of the cluster: which nodes should run, and which do."""

    name = "validators"
    label = "validators"
    verbose_name = "Validators"

    def ready(self) -> None:
        """Keep the groups of people as the table of roles says."""
        post_migrate.connect(_reset_roles, dispatch_uid="dtvn-roles")


def _reset_roles(**named: Any) -> None:
    from validators.services.roles import reset_roles  # a node, which never migrates, does not import it

    reset_roles(**named)
