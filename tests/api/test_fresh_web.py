"""The first probe of a web process that has just opened its gateway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import Api
from tests.fake_gateway import FakeGateway
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_ready_waits_for_the_first_reports_to_a_new_gateway(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    """It said "No quorum: 1 of 5 reachable" of five members that voted."""
    settings.DATA = tmp_path
    known = fake.members()
    unheard = tuple(msgspec.structs.replace(each, heard=None, connected=False) for each in known)
    looks = iter([unheard])
    monkeypatch.setattr(fake, "members", lambda: next(looks, known))
    monkeypatch.setattr(fake, "alive", True, raising=False)
    network.use(None)
    monkeypatch.setattr(network, "_own", fake)
    monkeypatch.setattr(network, "_opened", time.monotonic())
    assert Api(None).get("/ready").status_code == 200
