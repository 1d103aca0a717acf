"""A core that starts or is built anew meets a full disk, or the end of its epoch (R8, R35)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.node.build import _in_epoch
from dtvn.node.layout import ClusterFolder
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions
from dtvn.node.run import EXIT_STOPPED
from dtvn.protocol.consensus.effects import Effects, StateRecord, Successor
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.host.ports import JournalFull
from tests.host.support import make_genesis
from tests.node.running import Running, is_sent_and_not_answered, until_commits
from tests.waiting import wait_until


def test_r18_addresses_follow_their_members_into_another_epoch(tmp_path: Path) -> None:
    """An operator names members by their places in genesis; the first of them has left."""
    genesis = make_genesis(4)
    membership = founding(genesis)
    left = msgspec.structs.replace(membership, members=membership.members[1:])
    options = NodeOptions(addresses={0: ("192.0.2.0", 1), 1: ("192.0.2.1", 1), 3: ("192.0.2.3", 3)})
    found = _in_epoch(ClusterFolder(tmp_path).node("r1"), options, genesis, left)
    assert found.addresses == {0: ("192.0.2.1", 1), 2: ("192.0.2.3", 3)}


FULL = JournalFull("No space left on device.")


def change_restore(node: Node, change: Callable[[Effects], object]) -> None:
    """Change the effects of this node's core when it is restored, once."""
    real, changes = node.core.restore, [change]

    def restore(*arguments: Any) -> Effects:
        effects = real(*arguments)
        if changes:
            changes.pop()(effects)
        return effects

    node.core.restore = restore  # type: ignore[method-assign]


def change_next_restore(node: Node, change: Callable[[Effects], object]) -> None:
    """The same for the next core that it builds."""
    real = node._make_host

    def make() -> None:
        real()
        change_restore(node, change)
        node._make_host = real  # type: ignore[method-assign]

    node._make_host = make  # type: ignore[method-assign]


def states(running: Running, since: int = 0) -> list[str]:
    return [beat["state"] for beat in running.beats[since:]]


def test_r8_a_disk_that_is_full_again_at_the_rebuild_is_waited_for(running: Running) -> None:
    def fill_again(effects: Effects) -> None:
        effects.persist.append(StateRecord("something", b""))
        running.breaks = FULL
        told.append(len(running.beats))

    told: list[int] = []
    change_next_restore(running.node, fill_again)
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = FULL
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: "disk_full" in states(running), what="the heartbeat says so")
        running.breaks = None
        wait_until(lambda: told and "disk_full" in states(running, told[0]), what="it says so again")
        running.breaks = None
        until_commits(gateway)
    assert running.end() == EXIT_STOPPED


def test_r8_a_ledger_that_a_full_disk_keeps_from_being_read_is_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index of SQLite's log may have to grow for that."""
    real = running.node.ledger.load

    def load() -> Any:
        monkeypatch.setattr(running.node.ledger, "load", real)
        raise FULL

    with running.gateway() as gateway:
        until_commits(gateway)
        monkeypatch.setattr(running.node.ledger, "load", load)
        running.breaks = FULL
        assert is_sent_and_not_answered(gateway)
        running.breaks = None
        until_commits(gateway)
    assert running.end() == EXIT_STOPPED


def test_r35_an_epoch_whose_end_is_met_at_the_rebuild_is_followed(running: Running) -> None:
    """That end came as a snapshot, behind which the core is built anew."""
    following = Successor(running.node.membership, ())

    def end_epoch(effects: Effects) -> None:
        effects.successor = following

    change_next_restore(running.node, end_epoch)
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = FULL
        assert is_sent_and_not_answered(gateway)
        running.breaks = None
        wait_until(lambda: running.code is not None, what="the loop ends")
    assert (running.code, running.loop.successor) == (EXIT_STOPPED, following)


class Changed(Running):
    """Whose first core has other effects at its start."""

    def __init__(self, data: Path, change: Callable[[Effects], object]) -> None:
        super().__init__(data)
        self._change = change

    def _break_when_told(self, node: Node) -> None:
        super()._break_when_told(node)
        change_restore(node, self._change)


def test_r8_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    running = Changed(tmp_path, lambda effects: effects.persist.append(StateRecord("something", b"")))
    running.breaks = FULL
    running.start()
    wait_until(lambda: "disk_full" in states(running), what="the heartbeat says so")
    with running.gateway() as gateway:
        wait_until(lambda: gateway.members()[0].state == "disk_full", what="it says so itself")
        running.breaks = None
        until_commits(gateway)
    assert running.end() == EXIT_STOPPED


def test_r35_an_epoch_whose_end_is_met_at_the_start_is_followed(tmp_path: Path) -> None:
    def end_epoch(effects: Effects) -> None:
        effects.successor = Successor(running.node.membership, ())

    running = Changed(tmp_path, end_epoch)
    running.start()
    wait_until(lambda: running.code is not None, what="the loop ends")
    assert running.code == EXIT_STOPPED
    assert running.loop.successor is not None
