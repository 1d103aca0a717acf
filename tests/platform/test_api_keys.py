"""API keys: stored as hashes, revocable, expiring."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.team_keys import store_key
from validators.processes.supervisor_mode import hold_key
from validators.services import api_keys

pytestmark = pytest.mark.django_db


def test_an_expired_key_is_not_found() -> None:
    plain = api_keys.generate_api_key()
    store_key(plain, label="gate", expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.find_api_key(plain) is None


def test_a_supervisor_holds_the_key_that_it_was_given_last_and_peoples_keys_stay() -> None:
    store_key("of a person", label="mine")
    for given, valid in (("first", ["first"]), ("second", ["second"]), ("", [])):
        hold_key(given)
        found = [plain for plain in ("of a person", "first", "second") if api_keys.find_api_key(plain)]
        assert found == ["of a person", *valid]
