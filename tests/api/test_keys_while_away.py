"""API keys while the platform's database does not answer: gates that are at work go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.api.conftest import KEY, Api
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.rest import keys
from validators.services import api_keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    made = SetClock()
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=made.seconds))
    return made


class Away(SimpleNamespace):
    """A database that does not answer, and the attempts to read it."""

    attempts = 0

    def find_digest(self, digest: str) -> Any:
        self.attempts += 1
        raise OperationalError("connection refused")


@pytest.fixture
def away(api: Api, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    """The database goes away after a request, when its key is not fresh any more."""
    assert keys.authenticate_key(KEY) is not None
    made = Away()
    with monkeypatch.context() as patched:
        patched.setattr(api_keys, "find_digest", made.find_digest)
        clock.forward(keys.REMEMBERED_FOR)
        yield made


def test_a_known_key_is_valid_and_the_database_is_asked_now_and_then(away: Away, clock: SetClock) -> None:
    for _ in range(100):
        assert keys.authenticate_key(KEY) is not None
    assert away.attempts == 1
    clock.forward(keys.RETRY_AFTER)
    assert keys.authenticate_key(KEY) is not None
    assert away.attempts == 2


def test_a_known_key_is_valid_for_an_hour_at_most(away: Away, clock: SetClock) -> None:
    clock.forward(keys.REMEMBERED_WHILE_AWAY - 2 * keys.REMEMBERED_FOR)
    assert keys.authenticate_key(KEY) is not None
    clock.forward(keys.REMEMBERED_FOR)
    with pytest.raises(OperationalError):
        keys.authenticate_key(KEY)


def test_an_unknown_key_is_neither_valid_nor_wrong(away: Away) -> None:
    with pytest.raises(OperationalError):
        keys.authenticate_key("dtvn_other")
    assert Api("dtvn_other").get("status").status_code == 503


def test_a_key_is_not_valid_beyond_its_own_end(
    api: Api, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_key("dtvn_short", label="short", expires_at=timezone.now() + timedelta(seconds=60))
    assert keys.authenticate_key("dtvn_short") is not None
    monkeypatch.setattr(api_keys, "find_digest", Away().find_digest)
    clock.forward(59.0)
    assert keys.authenticate_key("dtvn_short") is not None
    clock.forward(1.0)
    with pytest.raises(OperationalError):
        keys.authenticate_key("dtvn_short")
