"""A member that is away while the epoch begins in which it has another key (R35, R36)."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from dtvn.gateway import Gateway, gather_liveness_proofs
from dtvn.ledger import Location, NodeLedger
from dtvn.machine import Barrier, Reconfigure, build
from dtvn.net import ensure_seed, public_key_of
from dtvn.node import build as building
from dtvn.node.layout import ClusterFolder
from dtvn.node.logs import node_logger
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions
from dtvn.node.provision import create_demo_cluster
from dtvn.node.run import run_node
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.genesis import Member
from tests.ports import free_ports
from tests.threads import Start
from tests.waiting import PATIENCE, wait_until
from validators.ledger import find_ledger, open_ledger

ALIASES = (f"rotated{number}" for number in itertools.count())


class Life:
    """One node in a thread, as its process would run it."""

    def __init__(self, folder: ClusterFolder, name: str) -> None:
        self.root = folder.node(name).root
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def start(self) -> None:
        self._thread.start()

    def _live(self) -> None:
        run_node(
            self.root,
            self.stopped.is_set,
            open_ledger=self._open,
            find_ledger=find_ledger,
            options=NodeOptions(),
        )

    def _open(self, location: Location | Path | str, **named: Any) -> NodeLedger:
        """Under an alias of its own: several nodes live in this one process."""
        return open_ledger(location, **{**named, "alias": next(ALIASES)})

    def end(self) -> None:
        self.stopped.set()
        self._thread.join(PATIENCE)
        logger = node_logger(self.root)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Node]]:
    """What each node was built as, in turn."""
    real = building.build_node
    found: dict[str, list[Node]] = {}

    def build_node(root: Path, *arguments: Any, **named: Any) -> Node:
        process = real(root, *arguments, **named)
        found.setdefault(root.name, []).append(process)
        return process

    monkeypatch.setattr("dtvn.node.run.build_node", build_node)
    return found


@pytest.fixture
def lives(tmp_path: Path, built: object, started: Start) -> list[Life]:
    create_demo_cluster(tmp_path, nodes=3, host="127.0.0.1", ports=free_ports(3))
    return [started(Life(ClusterFolder(tmp_path), f"node{index}")) for index in range(3)]


def ordered(gateway: Gateway, command: Barrier | Reconfigure, *, wait: float = 5.0) -> str:
    operation = build(command, actor="operator", entry="node1")
    return gateway.submit([operation], wait=wait).result(PATIENCE)[0].code


def decide_together(gateway: Gateway, built: dict[str, list[Node]]) -> None:
    """Two decide before the third votes: if one of these then ended, the third would wait for it (R11)."""

    def all_vote() -> bool:
        return len(built) == 3 and all(nodes[-1].voting for nodes in built.values())

    wait_until(all_vote, what="three members vote")
    wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide")


def rotate(gateway: Gateway, folder: ClusterFolder, life: Life, index: int) -> None:
    """Order a new key for a member, which signs its liveness proof and then stops."""
    epoch, place = gateway.present.epoch, gateway.present.members[index]
    key = public_key_of(ensure_seed(folder.node(place.id).next_key))
    words = tuple(gather_liveness_proofs(gateway, keys={place.id: key}))
    life.end()
    change = Change(epoch, place.id, (Member(place.id, key, place.host, place.port),), alive=words)
    assert ordered(gateway, Reconfigure(change), wait=20.0) == "ok"


@pytest.mark.parametrize("away", [0, 2], ids=["it dials the others", "they dial it"])
def test_r35_a_member_away_at_its_key_change_returns_under_the_new_key(
    away: int, tmp_path: Path, lives: list[Life], built: dict[str, list[Node]], started: Start
) -> None:
    """With three members the others wait for it (R11): without its vote nothing would be decided for ever."""
    folder = ClusterFolder(tmp_path)
    name, other = f"node{away}", f"node{2 - away}"
    next_key = folder.node(name).next_key
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        decide_together(gateway, built)
        rotate(gateway, folder, lives[away], away)
        wait_until(lambda: built[other][-1].membership.epoch == 1, what="the epoch begins")
        lives[away] = started(Life(folder, name))
        wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide again")
        wait_until(lambda: not next_key.exists(), what="it stands under its next key")


def test_r35_a_member_without_a_ledger_finds_the_epoch_with_its_next_key(
    tmp_path: Path, lives: list[Life], built: dict[str, list[Node]], started: Start
) -> None:
    """Genesis names neither of its keys, so it begins as a follower; members take its next key only."""
    folder = ClusterFolder(tmp_path)
    node = folder.node("node2")
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        for epoch in (1, 2):
            decide_together(gateway, built)
            rotate(gateway, folder, lives[2], 2)
            wait_until(lambda: built["node0"][-1].membership.epoch == epoch, what="the epoch begins")  # noqa: B023
            if epoch == 2:
                shutil.rmtree(node.ledger)
            lives[2] = started(Life(folder, "node2"))
            wait_until(lambda: not node.next_key.exists(), what="it stands under its next key")
        wait_until(lambda: built["node2"][-1].membership.epoch == 2, what="it is a member of the epoch")


def test_r35_a_key_of_no_epoch_yet_does_not_stop_decisions(
    tmp_path: Path, lives: list[Life], built: dict[str, list[Node]], started: Start
) -> None:
    folder = ClusterFolder(tmp_path)
    for index in (0, 2):
        ensure_seed(folder.node(f"node{index}").next_key)
    for life in lives:
        life.end()
    lives[2] = started(Life(folder, "node2"))
    wait_until(lambda: len(built["node2"]) == 2, what="one of them runs")
    lives[:2] = [started(Life(folder, name)) for name in ("node0", "node1")]
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        wait_until(lambda: ordered(gateway, Barrier()) == "ok", what="three members decide")
    assert folder.node("node2").next_key.exists()
