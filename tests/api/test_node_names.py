"""Names that no new node can have: refused at every entry point, before anything is created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api, read
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
def test_no_party_joins_a_genesis_under_a_reserved_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / "cup.genesis"
    call_command("genesis", "init", "--name", "cup", "--members", "4", "--out", str(file))
    before = file.read_bytes()
    place = ("--data-dir", str(tmp_path / "data"), "--host", "venue.example", "--port", "4001")
    with pytest.raises(CommandError, match="choose another"):
        call_command("genesis", "join", str(file), "--id", name, *place)
    assert file.read_bytes() == before
    assert not ClusterFolder(tmp_path / "data").keys.exists()
