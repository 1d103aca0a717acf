"""The shell stands: settings load, checks pass, apps are wired."""

from django.apps import apps
from django.core.management import call_command


def test_system_checks_find_nothing() -> None:
    call_command("check", fail_level="WARNING")


def test_ledger_has_its_own_app() -> None:
    assert apps.get_app_config("ledger").name == "validators.ledger"
