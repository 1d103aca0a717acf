"""A node's process goes on over the border of an epoch: what it has, it keeps (R35)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.gateway import Gateway, gather_liveness_proofs
from dtvn.machine import Reconfigure, build
from dtvn.net import ensure_seed, public_key_of
from dtvn.node import run
from dtvn.node.build import build_node
from dtvn.node.carried import Carried
from dtvn.node.logs import node_logger
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions
from dtvn.node.process import Process
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.node.running import Running, until_commits
from tests.ports import free_ports
from tests.threads import Start
from tests.waiting import PATIENCE, wait_until
from validators.ledger import find_ledger, open_ledger


class Living(Running):
    """A one-member cluster that lives through epochs in a thread; each epoch has a Node."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, options=NodeOptions(bind=("127.0.0.1", free_ports(1)[0])))
        self.lives: list[Node] = []
        self.left = data.with_name("left")
        """The cluster's folder at the end of the epoch, as a kill -9 would leave it."""
        self.carried: list[tuple[int, bytes]] = []
        """The last sequence of each epoch that ended, and the state root after it."""

    def _live(self) -> None:
        logger = node_logger(self.root)

        def make(inherited: tuple[VerifiedBundle, ...], carried: Carried | None) -> Process:
            if carried is not None:
                self.carried.append((carried.ledger.load().applied_sequence, carried.application.root()))
                copytree(self.data, self.left)
            made = build_node(self.root, logger, self.options, open_ledger, inherited, None, carried)
            assert isinstance(made, Node)
            self.lives.append(made)
            self.node = made
            self._ready.set()
            return made

        self.code = run._live(make, self.asked.is_set, self.beats.append, logger)

    def change(self, gateway: Gateway, change: Change, keys: dict[str, bytes] | None = None) -> None:
        """Order a change of the membership, and wait until the node is in the next epoch."""
        proofs = gather_liveness_proofs(gateway, keys=keys or {})
        command = Reconfigure(replace(change, alive=tuple(proofs)))
        asked = build(command, actor="tester", entry="node0", nonce=b"n")
        [result] = gateway.submit([asked], wait=PATIENCE).result(2 * PATIENCE)
        assert result.code == "ok"
        wait_until(lambda: len(self.lives) == 2 and self.node.state == "voting", what="the next epoch")


class Told(Living):
    """Started by the command, with the operator's word that the missing members are gone."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.words: list[bool] = []
        """Whether each epoch's Node was built with that word."""

    def _live(self) -> None:
        def make(root: Path, logger: Any, options: NodeOptions, *others: Any) -> Process:
            made = build_node(root, logger, options, *others)
            assert isinstance(made, Node)
            self.words.append(options.others_are_gone)
            self.lives.append(made)
            self.node = made
            self._ready.set()
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "build_node", make)
            self.code = run.run_node(
                self.root,
                self.asked.is_set,
                self.beats.append,
                open_ledger=open_ledger,
                find_ledger=find_ledger,
                options=replace(self.options, others_are_gone=True),
            )


@pytest.fixture
def living(tmp_path: Path, started: Start) -> Iterator[Living]:
    made = started(Living(tmp_path / "data"))
    yield made
    assert made.end() == run.EXIT_STOPPED


def test_r35_the_next_epoch_takes_over_ledger_state_and_links(living: Living) -> None:
    with living.gateway() as gateway:
        until_commits(gateway)
        incarnation = living.node.ledger.incarnation
        terms = replace(gateway.present.parameters, view_timeout=900_000)
        living.change(gateway, Change(epoch=0, parameters=(terms,)))
        wait_until(lambda: gateway.present.epoch == 1, what="the gateway follows")
        until_commits(gateway)
        before, after = living.lives
        assert after.membership == gateway.present
        assert after.application is before.application
        assert after.ledger.incarnation == incarnation, "the ledger was not opened anew"
        assert (after.transport, after.exporter) == (before.transport, before.exporter)
        assert after.transport.counters()["gateway"].connects == 1
        assert gateway.links()["node0"].connects == 1


def test_r35_a_node_with_another_key_opens_other_links_over_the_same_state(living: Living) -> None:
    with living.gateway() as gateway:
        until_commits(gateway)
        [member], address = gateway.present.members, living.node.transport.address
        key = public_key_of(ensure_seed(living.folder.node("node0").next_key))
        rotated = replace(member, public_key=key)
        living.change(gateway, Change(epoch=0, leaves="node0", joins=(rotated,)), {"node0": key})
        before, after = living.lives
        assert after.membership.members[0].public_key == key
        assert after.application is before.application
        assert after.transport is not before.transport
        assert after.transport.address == address


def test_r11_that_others_are_gone_holds_for_one_start_and_no_later_epoch(
    tmp_path: Path, started: Start
) -> None:
    told = started(Told(tmp_path / "data"))
    with told.gateway() as gateway:
        until_commits(gateway)
        terms = replace(gateway.present.parameters, view_timeout=900_000)
        told.change(gateway, Change(epoch=0, parameters=(terms,)))
    assert told.end() == run.EXIT_STOPPED
    assert told.words == [True, False]


def test_r9_a_process_killed_at_the_border_goes_on_in_the_next_epoch(living: Living, started: Start) -> None:
    with living.gateway() as gateway:
        until_commits(gateway)
        terms = replace(gateway.present.parameters, view_timeout=900_000)
        living.change(gateway, Change(epoch=0, parameters=(terms,)))
    assert living.end() == run.EXIT_STOPPED  # one process opens one ledger
    again = started(Running(living.left, found=False))
    wait_until(lambda: again.node.executed, what="the killed node runs again")
    assert again.end() == run.EXIT_STOPPED
    assert again.node.membership.epoch == 1
    assert [(again.node.executed, again.node.application.root())] == living.carried
