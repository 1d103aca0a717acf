"""A member that is away while the epoch begins in which it has another key (R35, R36)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until
from tickets.machine import Barrier, Reconfigure, build
from validators.consensus.membership import Change
from validators.gateway.client import Gateway, valid_until
from validators.gateway.membership import gather_words
from validators.genesis import Member
from validators.ledger import open_ledger
from validators.link import ensure_seed, public_key_of
from validators.node import build as building
from validators.node.build import Node
from validators.node.layout import ClusterFolder
from validators.node.logs import node_logger
from validators.node.options import NodeOptions
from validators.node.provision import create_demo_cluster
from validators.node.run import run_node


class Life:
    """One node in a thread, as its process would run it."""

    def __init__(self, folder: ClusterFolder, name: str) -> None:
        self.root = folder.node(name).root
        self.stopped = threading.Event()
        self._thread = threading.Thread(
            target=run_node, args=(self.root, self.stopped.is_set), kwargs={"options": NodeOptions()}
        )
        self._thread.start()

    def end(self) -> None:
        self.stopped.set()
        self._thread.join(PATIENCE)
        logger = node_logger(self.root)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Node]]:
    """What each node was built as, in turn; every ledger has an alias of its own in this one process."""
    aliases = (f"ledger{number}" for number in itertools.count())
    real = building.build_node
    found: dict[str, list[Node]] = {}

    def build_node(root: Path, *arguments: Any, **named: Any) -> Node:
        process = real(root, *arguments, **named)
        found.setdefault(root.name, []).append(process)
        return process

    monkeypatch.setattr(
        building, "open_ledger", lambda *a, **named: open_ledger(*a, alias=next(aliases), **named)
    )
    monkeypatch.setattr("validators.node.run.build_node", build_node)
    return found


@pytest.fixture
def lives(tmp_path: Path, built: object) -> Iterator[list[Life]]:
    create_demo_cluster(tmp_path, nodes=3, host="127.0.0.1", ports=free_ports(3))
    living = [Life(ClusterFolder(tmp_path), f"node{index}") for index in range(3)]
    yield living
    for life in living:
        life.end()


def ordered(gateway: Gateway, command: Barrier | Reconfigure) -> str:
    operation = build(command, actor="operator", entry="node1", valid_until=valid_until(5.0))
    return gateway.submit([operation], wait=5.0).result(PATIENCE)[0].code


@pytest.mark.parametrize("away", [0, 2], ids=["it dials the others", "they dial it"])
def test_r35_a_member_that_was_away_when_its_key_changed_comes_back_under_the_new_one(
    away: int, tmp_path: Path, lives: list[Life], built: dict[str, list[Node]]
) -> None:
    """With three members the others wait for it (R11): without its vote nothing would be decided for ever."""
    folder = ClusterFolder(tmp_path)
    name, other = f"node{away}", f"node{2 - away}"
    next_key = folder.node(name).next_key
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide")
        keys = {name: public_key_of(ensure_seed(next_key))}
        place = gateway.present.members[away]
        joins = (Member(name, keys[name], place.host, place.port),)
        words = tuple(gather_words(gateway, keys=keys))
        lives[away].end()
        assert ordered(gateway, Reconfigure(Change(0, name, joins, alive=words))) == "ok"
        wait_until(lambda: built[other][-1].membership.epoch == 1, what="the epoch begins")
        lives[away] = Life(folder, name)
        wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide again")
        wait_until(lambda: not next_key.exists(), what="it stands under its next key")


def test_r35_a_key_that_no_epoch_names_yet_keeps_nobody_from_deciding(
    tmp_path: Path, lives: list[Life], built: dict[str, list[Node]]
) -> None:
    folder = ClusterFolder(tmp_path)
    for index in (0, 2):
        ensure_seed(folder.node(f"node{index}").next_key)
    for life in lives:
        life.end()
    lives[2] = Life(folder, "node2")
    wait_until(lambda: len(built["node2"]) == 2, what="one of them runs")
    lives[:2] = [Life(folder, "node0"), Life(folder, "node1")]
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide")
    assert folder.node("node2").next_key.exists()
