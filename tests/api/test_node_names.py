"""Names that no new node can have: refused at every entry point, before anything is created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api, read
from tests.host.support import key_pair
from validators.models import ManagedCluster, MembershipChange
from validators.services import nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

TAKEN = ["learner", "gateway", "preview", "api-node9"]
TOO_LONG = "n" * 61
"""Its own API's principal would be api-nnn..., longer than a name may be."""


@pytest.mark.parametrize("name", [*TAKEN, TOO_LONG])
@pytest.mark.parametrize("founded", [False, True])
def test_no_node_is_added_under_a_reserved_name(town: Api, settings: Any, name: str, founded: bool) -> None:
    settings.SUPERVISOR = True
    nodes.register_nodes(["r0", "r1"] if founded else [])
    refused = town.post("nodes", {"node_id": name})
    assert refused.status_code == 400
    assert read(refused)["error"].startswith("node_id")
    assert not ManagedCluster.objects.filter(requested="start").exists()
    assert not MembershipChange.objects.exists()


@pytest.mark.parametrize("name", ["n" * 61, "n" * 64, "n" * 65, "a b"])
def test_every_name_error_states_the_same_length(town: Api, name: str) -> None:
    """Before, one error said "1 to 64" and the next one "1 to 60"."""
    wish = {"change": "add", "node_id": name}
    for refused in (town.post("nodes", {"node_id": name}), town.post("members/preview", wish)):
        assert (refused.status_code, "1 to 60 of" in read(refused)["error"]) == (400, True)


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("change", ["add", "replace"])
def test_no_member_joins_under_a_reserved_name(town: Api, name: str, change: str) -> None:
    for place in ({}, {"peer_id": peer_id(key_pair(name)[0]), "host": "10.0.0.9", "port": 7100}):
        wish = {"change": change, "node_id": name, "replaces": "r1", **place}
        refused = town.post("members/preview", wish)
        assert refused.status_code == 400
        assert "choose another" in read(refused)["error"]


def test_an_old_member_with_a_reserved_name_can_leave(town: Api) -> None:
    told = read(town.post("members/preview", {"change": "remove", "node_id": "learner"}))["data"]
    assert told["code"] == "member_not_found"


@pytest.mark.parametrize("name", TAKEN)
def test_no_party_joins_a_genesis_under_a_reserved_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / "cup.genesis"
    call_command("genesis", "init", "--name", "cup", "--members", "4", "--out", str(file))
    before = file.read_bytes()
    place = ("--data-dir", str(tmp_path / "data"), "--host", "venue.example", "--port", "4001")
    with pytest.raises(CommandError, match="choose another"):
        call_command("genesis", "join", str(file), "--id", name, *place)
    assert file.read_bytes() == before
    assert not ClusterFolder(tmp_path / "data").keys.exists()
