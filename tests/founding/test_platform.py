"""The platform of one party: it runs its own node, and shows those of the others as external."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.files.epoch_changes import encode_epoch_changes
from dtvn.gateway import Gateway
from dtvn.node.options import StartError
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony
from tests.fake_gateway import FakeGateway
from tests.founding.parties import Party, Said, found
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.processes import preparation
from validators.rest.nodes import node_objects
from validators.services import network

NAMES = ("auditor", "promoter", "seller", "venue")


@pytest.fixture
def venue(tmp_path: Path) -> Party:
    ports = tcp_ports.choose_ports([""] * 4)
    return found(tmp_path, dict(zip(NAMES, ports, strict=True)))[3]


@pytest.fixture
def forgotten() -> Iterator[None]:
    yield
    network.use(None)


@pytest.mark.django_db
def test_the_platform_shows_nodes_that_it_does_not_run(venue: Party, forgotten: None) -> None:
    folder = DataFolder(venue.data)
    founded, remark = preparation.ensure_cluster(folder, None)
    assert (founded.name, remark) == ("Cup final", "")
    own = preparation.own_members(folder, founded)
    assert own == ["venue"]
    preparation.register_cluster(folder, founded, own)
    network.use(FakeGateway(founded, principal="venue-gateway"))
    assert {node["id"]: node["external"] for node in node_objects()} == {
        "auditor": True,
        "promoter": True,
        "seller": True,
        "venue": False,
    }


def test_only_own_ports_must_be_free_here(venue: Party) -> None:
    founded = ceremony.open_genesis(venue.folder.genesis.read_bytes())
    with socket.socket() as other, socket.socket() as mine:
        other.bind(("127.0.0.1", founded.members[0].port))
        tcp_ports.check_node_ports(founded, ["venue"])
        mine.bind(("127.0.0.1", founded.members[3].port))
        with pytest.raises(StartError, match="kept for venue"):
            tcp_ports.check_node_ports(founded, ["venue"])


def test_the_page_promises_no_api_port_to_a_named_node() -> None:
    assert tcp_ports.choose_ports(["venue"], first=9001) != [9001]  # only nodeK has a usual one
    page = Path(__file__).parents[2] / "docs" / "start" / "four-parties.md"
    assert "9001" not in page.read_text(encoding="utf-8")


def test_starting_a_party_without_a_platform_is_refused(tmp_path: Path) -> None:
    party = Party(tmp_path, "alone")
    Said("init", "--name", "x", "--members", "1", "--out", party.data.parent / "cup.genesis")
    assert party.joins(41001, "--no-platform").code == 0
    assert party.seals().code == 0
    with pytest.raises(StartError, match="without a platform"):
        preparation.ensure_cluster(DataFolder(party.data), None)


def test_a_gateway_finds_its_principal_by_its_key(venue: Party) -> None:
    with Gateway.open(venue.folder.genesis, venue.folder.gateway_key) as gateway:
        assert gateway.principal == "venue-gateway"
    with pytest.raises(g.GenesisError, match="no principal"):
        Gateway.open(venue.folder.genesis, venue.folder.node("venue").key)


@pytest.mark.django_db(databases=["default", "learner"])
def test_the_gateway_of_a_process_is_opened_anew_after_a_recovery(
    venue: Party, forgotten: None, settings: Any
) -> None:
    """All members may have new keys by then, unknown to a gateway that was opened before."""
    settings.DATA = venue.data
    network.use(None)
    try:
        first = network.gateway()
        assert network.gateway() is first
        (venue.folder.genesis.parent / "handovers.bin").write_bytes(encode_epoch_changes(()))
        assert network.gateway() is not first
    finally:
        network.close()


def test_ends_of_epochs_are_known_once_from_a_recovery_then_from_the_log(
    venue: Party, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA = venue.data
    log = [b"first", b"second", b"third"]
    monkeypatch.setattr(network.read, "epoch_changes", lambda _alias, after=0: log[after:])
    assert network._epoch_changes() == log
    (venue.folder.genesis.parent / "handovers.bin").write_bytes(encode_epoch_changes((b"first", b"second")))
    assert network._epoch_changes() == log
