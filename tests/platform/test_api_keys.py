"""API keys: stored as hashes, revocable, expiring."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.utils import timezone

from validators.models import ApiKey
from validators.processes.supervisor_mode import hold_key
from validators.services import api_keys

pytestmark = pytest.mark.django_db


def test_a_stored_key_is_found_and_its_text_is_nowhere_in_the_table() -> None:
    plain = api_keys.generate_api_key()
    key = api_keys.store_api_key(plain, label="gate")
    assert api_keys.find_api_key(plain) == key
    assert not any(plain in str(value) for row in ApiKey.objects.values() for value in row.values())


def test_storing_a_key_twice_makes_one_row() -> None:
    plain = api_keys.generate_api_key()
    assert api_keys.store_api_key(plain, label="a") == api_keys.store_api_key(plain, label="b")


def test_a_revoked_key_is_not_found() -> None:
    plain = api_keys.generate_api_key()
    key = api_keys.store_api_key(plain, label="gate")
    assert api_keys.revoke_api_key(key)
    assert api_keys.find_api_key(plain) is None
    key.refresh_from_db()
    revoked_at = key.revoked_at
    assert not api_keys.revoke_api_key(key)
    key.refresh_from_db()
    assert key.revoked_at == revoked_at, "the time of the first revocation stays"


def test_an_expired_key_is_not_found() -> None:
    plain = api_keys.generate_api_key()
    api_keys.store_api_key(plain, label="gate", expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.find_api_key(plain) is None


def test_an_unknown_key_is_not_found() -> None:
    api_keys.store_api_key(api_keys.generate_api_key(), label="gate")
    assert api_keys.find_api_key("") is None
    assert api_keys.find_api_key("dtvn_\ud800") is None


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
