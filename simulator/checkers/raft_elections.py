"""Has each term of Raft one entry an index, and one leader: elected, complete, in one of its lives, and while
a quorum answers? (R44; Ongaro & Ousterhout 2014, figure 3; Ongaro 2014, 6.2 and 9.6)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import RAFT_TERM, RaftReplica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Record
from simulator.checkers.base import Checker
from simulator.checkers.raft_records import is_accepted
from simulator.clock import MILLISECOND, SECOND
from simulator.node import Node
from simulator.world import World

NOW = 50 * MILLISECOND
"""Longest time in which a message waits for the turn that reads it."""
Ask = tuple[str, int, int, bool]
"""Member, epoch, term, whether of a pre-vote."""


class RaftElections(Checker):
    """Reads what members send: a term is durable before it is spoken, a candidate was wanted by a quorum
    before, a leader was elected by one, and each entry that it sends is on its own disk."""

    name = "raft-elections"
    kinds = frozenset(
        {
            *(m.RequestVote, m.RequestVoteResult, m.AppendEntries, m.AppendEntriesResult, m.Commit),
            m.TimeoutNow,
        }
    )

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._lives: dict[str, int] = {}
        """Node -> how often it stopped."""
        self._led: dict[tuple[int, int], tuple[str, int]] = {}
        """(Epoch, term) -> the member that sent entries in it, and its life at that time."""
        self._granted: dict[Ask, set[str]] = {}
        """Votes that arrived at a candidate."""
        self._answered: dict[str, dict[str, int]] = {}
        """Leader -> member -> world time of its newest answer."""
        self._acknowledged: dict[tuple[int, int, int], bytes] = {}
        """(Epoch, term, index) -> the digest that members acknowledge."""
        self._handed: set[tuple[str, int, int]] = set()
        """(Member, epoch, term) of leaders that told it to campaign (Ongaro 2014, 3.10)."""
        self._heard: dict[tuple[str, int, int], int] = {}
        """(Member, epoch, term) -> world time at which its leader's newest message arrived."""
        self._decided: dict[int, tuple[int, EntryRecord]] = {}
        """Sequence -> the term whose COMMITs decided it, and its entry."""
        self._newest: tuple[Node | None, bytes] = (None, b"")

    def stopped(self, node: Node) -> None:
        """See Observer: what it says from now on, also while it starts, it says in another life."""
        self._lives[node.name] = self._lives.get(node.name, 0) + 1
        for key in [key for key in self._heard if key[0] == node.name]:
            del self._heard[key]

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        if node is self._newest[0] and frame is self._newest[1]:
            return  # a broadcast
        self._newest = (node, frame)
        message = self.world.frame_cache.read(frame)[1]
        self._durable_term(node, message)
        if type(message) is m.Commit:
            self._one_entry(node, message)
        elif type(message) is m.RequestVoteResult and message.pre and message.granted:
            self._undisturbed(node, message)
        elif type(message) is m.RequestVote and message.transfer:
            told = (key[2] for key in self._handed if key[:2] == (node.name, message.epoch))
            if not any(term < message.term for term in told):
                self.fail(f"{node.name} asks for votes in term {message.term}, and no leader handed over")
        elif type(message) is m.RequestVote and not message.pre:
            self._elected(node, message.epoch, message.term, pre=True)
        elif type(message) is m.AppendEntries:
            self._leads(node, message)
            self._on_own_disk(node, message)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        message = self.world.frame_cache.read(frame)[1]
        if type(message) is m.RequestVoteResult and message.granted:
            key = (receiver, message.epoch, message.term, message.pre)
            self._granted.setdefault(key, set()).add(sender)
        elif type(message) is m.TimeoutNow:
            self._handed.add((receiver, message.epoch, message.term))
        elif type(message) is m.AppendEntriesResult:
            self._answered.setdefault(receiver, {})[sender] = self.world.time
        elif type(message) is m.AppendEntries:
            self._heard[receiver, message.epoch, message.term] = self.world.time

    def _one_entry(self, node: Node, message: m.Commit) -> None:
        place = (message.epoch, message.view, message.sequence)
        if self._acknowledged.setdefault(place, message.digest) != message.digest:
            self.fail(f"{node.name} acknowledges another entry {message.sequence} of term {message.view}")

    def _undisturbed(self, node: Node, message: m.RequestVoteResult) -> None:
        """A member that hears its leader wants no other: one that it heard a moment ago, not in this turn."""
        state, time = node.core.state, self.world.time
        heard = self._heard.get((node.name, message.epoch, state.views.view), 0)
        awake = node.slept[1] < time - 2 * state.timeouts.timeout
        recent = time - state.timeouts.timeout // 2 < heard < time - NOW
        if not state.views.changing and recent and awake and message.epoch == node.membership.epoch:
            self.fail(f"{node.name} hears the leader of term {state.views.view}, and wants another")

    def _durable_term(self, node: Node, message: Any) -> None:
        term = _spoken(message)
        if not term:
            return
        kept = node.disk.synced.states.get(RAFT_TERM)
        epoch, known = (0, 0) if kept is None else canonical.decode(tuple[int, int], kept.value)
        if message.epoch == node.membership.epoch and (epoch, known) < (message.epoch, term):
            self.fail(f"{node.name} says {type(message).__name__} of term {term}, durable is {known}")

    def _elected(self, node: Node, epoch: int, term: int, *, pre: bool) -> None:
        votes = len(self._granted.get((node.name, epoch, term, pre), set()) - {node.name}) + 1
        if votes < self.quorum_in(epoch):
            what = "asks for votes" if pre else "leads"
            self.fail(f"{node.name} {what} in term {term}, and {votes} members wanted it")

    def _leads(self, node: Node, message: m.AppendEntries) -> None:
        term = message.term
        place = node.place(self.world.epochs[message.epoch])
        if place != quorum.primary(term, len(self.world.epochs[message.epoch].members)):
            self.fail(f"{node.name} sends entries in term {term}, which is not its own")
        life = (node.name, self._lives.get(node.name, 0))
        before = self._led.get((message.epoch, term))
        if before is None:
            self._led[message.epoch, term] = life
            self._complete(node, message.epoch, term)
        elif before != life and node.name not in self.world.twins:  # else an old process may go on
            self.fail(f"{node.name} leads term {term} again after a restart")
        if term:
            self._elected(node, message.epoch, term, pre=False)

    def _complete(self, node: Node, epoch: int, term: int) -> None:
        """Leader completeness: it has every entry that was decided in a lower term."""
        disk = node.disk.synced
        for sequence, (decided, record) in self._decided.items():
            missing = record.entry.epoch == epoch and decided < term and len(disk.log) < sequence
            if missing and not is_accepted(disk, record):
                self.fail(f"{node.name} leads term {term} without entry {sequence} of term {decided}")

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for record in records:
            if isinstance(record, EntryRecord) and record.commits:
                commit = self.world.frame_cache.read(record.commits[0])[1]
                self._decided.setdefault(record.entry.sequence, (commit.view, record))

    def _on_own_disk(self, node: Node, message: m.AppendEntries) -> None:
        disk = node.disk.synced
        for index, body in enumerate(message.bodies, message.previous + 1):
            if index > len(disk.log) and not any(
                slot.phase == "append" and slot.sequence == index and slot.body == body
                for slot in disk.slots.values()
            ):
                self.fail(f"{node.name} sends entry {index}, and its own disk does not hold it")

    def turning(self, node: Node) -> None:
        """See Observer: a leader that no quorum answers steps down (check-quorum)."""
        core = node.core
        if not isinstance(core, RaftReplica) or not core.elections.leads or core.state.q == 1:
            return
        since = self.world.time - 4 * core.state.timeouts.timeout - SECOND
        if node.slept[1] > since or core.elections.heard > core.state.now.monotonic - (
            self.world.time - since
        ):
            return
        heard = self._answered.get(node.name, {})
        others = (name for name in self.world.member_names if name != node.name)
        newest = sorted((heard.get(name, 0) for name in others), reverse=True)
        if len(newest) >= core.state.q - 1 and newest[core.state.q - 2] < since:
            self.fail(f"{node.name} still leads term {core.state.views.view}, and no quorum answers")


def _spoken(message: Any) -> int:
    """The term that a message says its sender to be in; 0 if it names none."""
    if type(message) is m.RequestVote:
        return 0 if message.pre else int(message.term)
    if type(message) is m.RequestVoteResult:
        return int(message.term if message.granted and not message.pre else message.current)
    return int(message.view if type(message) is m.Commit else message.term)
