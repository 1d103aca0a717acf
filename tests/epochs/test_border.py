"""A process carries its executed state over the end of an epoch, and loads nothing (R9, R35)."""

from __future__ import annotations

import pytest

from dtvn.machine import Issue, TicketApplication
from simulator.node import Node
from simulator.violation import Violation
from tests.epochs.world import SECOND, World, barrier


def founded(seed: str) -> World:
    world = World(seed)
    world.open_session()
    return world


def carry(monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """Let `change(node)` see each node at the border, when it has the state of the epoch before."""
    real = Node._rebuild

    def rebuild(node: Node, *, continued: bool) -> None:
        if node.carried is not None:
            change(node)  # type: ignore[operator]
        real(node, continued=continued)

    monkeypatch.setattr(Node, "_rebuild", rebuild)


def test_r35_the_state_is_carried_and_its_rows_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loses power right after the border reads what the others carried."""
    world, carried = founded("carried"), {}

    def note(node: Node) -> None:
        assert node.disk.applied == len(node.disk.log)
        carried[node.name] = node.carried

    carry(monkeypatch, note)
    assert world.do(Issue(), "T-1") == "ok"
    world.reconfigure(leaves="n3", allow_small=True)
    assert world.run(60 * SECOND, world.settled)
    assert set(carried) >= {"n0", "n1", "n2"}
    for name in ("n0", "n1", "n2"):
        host = world.boxes[name].host
        assert host is not None
        assert host.application is carried[name]
    world.boxes["n2"].crash()
    world.start(world.boxes["n2"])
    assert barrier(world) == "ok"
    assert world.run(60 * SECOND, world.settled)
    assert world.do(Issue(), "T-1") == "ticket_exists"
    world.check()


def test_r35_a_state_that_is_not_the_checkpoints_is_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    world = founded("another state")

    def lose(node: Node) -> None:
        if node.name == "n1":
            node.carried = TicketApplication(world.genesis, world.cluster, verify=world.keyring.scheme.verify)

    carry(monkeypatch, lose)
    digest = world.client.ask(world.change(leaves="n3", allow_small=True))
    with pytest.raises(Violation, match="the state is not that of checkpoint"):
        world.run(60 * SECOND, lambda: digest in world.client.done and world.settled())
