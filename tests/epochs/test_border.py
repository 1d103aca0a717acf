"""A process carries its executed state over the end of an epoch, and loads nothing (R9, R35)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dtvn.machine import Issue, TicketApplication
from dtvn.protocol.consensus import messages as m
from simulator.node import Node
from simulator.violation import Violation
from tests.epochs.test_epoch_catch_up import FAR, busy
from tests.epochs.test_membership_changes import arrived
from tests.epochs.world import SECOND, World, barrier


def founded(seed: str) -> World:
    world = World(seed)
    world.open_session()
    return world


def carry(monkeypatch: pytest.MonkeyPatch, change: Callable[[Node], None]) -> None:
    """Let `change(node)` see each node at the border, when it has the state of the epoch before."""
    real = Node._rebuild

    def rebuild(node: Node, *, continued: bool) -> None:
        carries = node.carried is not None
        if carries:
            change(node)
        if node.up or not carries:  # else its power was cut
            real(node, continued=continued)

    monkeypatch.setattr(Node, "_rebuild", rebuild)


def test_r35_the_state_is_carried_and_its_rows_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that loses power right after the border reads from its disk what the others carried."""
    world, carried = founded("carried"), {}

    def note(node: Node) -> None:
        assert node.disk.applied == len(node.disk.log)
        carried[node.name] = node.carried

    carry(monkeypatch, note)
    assert world.do(Issue(), "T-1") == "ok"
    world.reconfigure(leaves="n3", allow_small=True)
    assert world.run(60 * SECOND, lambda: world.settled() and len(carried) == 4)
    for name in ("n0", "n1", "n2", "n3"):  # the last one goes on as a follower
        host = world.boxes[name].host
        assert host is not None
        assert host.application is carried[name]
    world.boxes["n2"].crash()
    world.start(world.boxes["n2"])
    assert barrier(world) == "ok"
    assert world.run(60 * SECOND, world.settled)
    assert world.do(Issue(), "T-1") == "ticket_exists"
    world.check()


def end(world: World, digest: bytes) -> None:
    """Run until the change is done, and on to the next checkpoints."""
    world.run(60 * SECOND, lambda: digest in world.client.done and world.settled())
    busy(world, 20)


def test_r35_a_state_that_is_not_the_checkpoints_is_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    world = founded("another state")

    def lose(node: Node) -> None:
        if node.name == "n1":
            node.carried = TicketApplication(world.genesis, world.cluster, verify=world.keyring.scheme.verify)

    carry(monkeypatch, lose)
    digest = world.client.ask(world.change(leaves="n3", allow_small=True))
    with pytest.raises(Violation, match="the state is not that of checkpoint"):
        end(world, digest)


def test_r9_all_lose_their_power_at_the_border(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last rows of an epoch and before the first record of the next. Rows that were not synced are
    replayed."""
    world, cut = founded("power cut"), set()

    def power(node: Node) -> None:
        if node.name not in cut:
            cut.add(node.name)
            node.crash(thorough=True)
            world.at(SECOND // 10, world.start, node)

    carry(monkeypatch, power)
    assert world.do(Issue(), "T-1") == "ok"
    world.reconfigure(leaves="n3", allow_small=True)
    assert world.run(60 * SECOND, world.settled)
    assert cut >= {"n0", "n1", "n2"}
    assert barrier(world) == "ok"
    assert world.do(Issue(), "T-1") == "ticket_exists"
    world.check()


def test_r23_a_node_that_was_receiving_a_state_fetches_another_in_the_next_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, received = World("receiving 3", members=5, far=FAR), []
    world.open_session()
    box = world.boxes["n4"]

    def note(node: Node) -> None:
        if node is box:
            received.append((node.core.receiving, node.disk.applied))

    carry(monkeypatch, note)
    world.cut = {"n4"}
    busy(world, 2 * FAR)
    world.hold(m.Groups, m.Entries)  # else it has the log before a state is offered
    world.cut = set()
    assert world.run(30 * SECOND, lambda: box.core.receiving)
    behind = len(box.disk.log)
    world.cut = {"n4"}  # else the entries of the change would reach it, too
    world.reconfigure(leaves="n1")
    busy(world, 2 * FAR)
    world.cut = set()
    assert world.run(30 * SECOND, lambda: box.membership == world.now)
    assert received == [(True, behind)]
    world.hold()
    busy(world, FAR)
    arrived(world)
    assert box.core.voting
    world.check()
