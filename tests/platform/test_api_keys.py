"""API keys: stored as hashes, revocable, expiring."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.utils import timezone

from validators.processes.supervisor_mode import hold_key
from validators.services import api_keys

pytestmark = pytest.mark.django_db


def test_an_expired_key_is_not_found() -> None:
    plain = api_keys.generate_api_key()
    api_keys.store_api_key(plain, label="gate", expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.find_api_key(plain) is None


def test_a_key_with_all_former_scopes_gets_the_new_ones() -> None:
    former = ["issue", "operate", "gate", "admin"]
    rows = [
        api_keys.store_api_key(scopes=scopes, plain=str(scopes), label="old")
        for scopes in (former, former[:3])
    ]
    migration = importlib.import_module("validators.migrations.0010_new_scopes")
    for _ in range(2):
        migration.give(apps, None)
    for row in rows:
        row.refresh_from_db()
    assert [row.scopes for row in rows] == [[*former, "record", "lock"], former[:3]]


def test_a_supervisor_holds_the_key_that_it_was_given_last_and_peoples_keys_stay() -> None:
    api_keys.store_api_key("of a person", label="mine")
    for given, valid in (("first", ["first"]), ("second", ["second"]), ("", [])):
        hold_key(given)
        found = [plain for plain in ("of a person", "first", "second") if api_keys.find_api_key(plain)]
        assert found == ["of a person", *valid]
