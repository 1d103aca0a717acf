from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.db.models.signals import post_migrate

from dtvn.node.options import StartError


class ValidatorsConfig(AppConfig):
    """Platform side of the cluster: which nodes should run, and which do."""

    name = "validators"
    label = "validators"
    verbose_name = "Validators"

    def ready(self) -> None:
        """`manage.py check --deploy` tries the broker as `make up` does; a new platform has its first
        teams; the live feed has its part about the network."""
        from validators.feed import parts

        parts.add("validators.network_watch.feed")
        post_migrate.connect(_make_teams, dispatch_uid="dtvn-teams")
        register(broker_errors, deploy=True)


def broker_errors(**_: Any) -> list[CheckMessage]:
    """Why the broker cannot be used now; empty if it can."""
    from validators.processes.servers import check_servers

    try:
        check_servers()
    except StartError as error:
        return [Error(str(error), id="dtvn.E001")]
    return []


def _make_teams(**named: Any) -> None:
    from validators.services.teams import (
        make_standard_teams,  # a node, which never migrates, does not import it
    )

    make_standard_teams(**named)
