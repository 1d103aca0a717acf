"""A platform attached to a cluster that does not know its principal yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dtvn.net import ensure_seed, public_key_of, read_seed
from dtvn.node.keys import peer_id
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def test_ready_names_a_principal_that_the_cluster_may_not_know(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    """An attached platform said for ever only that too few validators answer."""
    settings.DATA = tmp_path
    (key := network.key_file()).parent.mkdir()
    ensure_seed(key)
    monkeypatch.setattr(fake, "principal", "agency-gateway")
    fake.quorum = False
    told = read(Api(None).get("/ready"))["error"]
    peer = peer_id(public_key_of(read_seed(key)))
    assert told.endswith(f"manage.py principals add agency-gateway {peer}.")
