"""Clients that read through the platform while faults happen (R18).

A linearizable read shares an ordered barrier, or in a Raft cluster the leader's word of what is decided, with
others that wait at the same gateway process, then waits for the platform's copy to show it: it sees every
change that was reported to any caller before the read was requested, and every change that an earlier reader
saw. A quorum read after a restart of all members has barriers ordered until a checkpoint is passed: until
then no member can prove the state of an older one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import msgspec

from dtvn.gateway import Answered
from dtvn.machine import Barrier, TicketApplication, TicketState, build
from dtvn.machine.reasons import OK
from dtvn.proof import barriers
from dtvn.proof.barriers import SharedBarriers
from dtvn.proof.reads import StateProof, show
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import READ_INDEX
from dtvn.protocol.quorum import Mode
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.disk import VirtualDisk
from simulator.gateway import Gateway, Request
from simulator.recurring import Recurring
from simulator.violation import Violation
from simulator.workload import Traffic
from simulator.world import LEARNER, World

COPY_WAIT = 3 * SECOND
"""Time within which a copy must show the barrier, as in the API; later it gives no answer."""
LOOK_EVERY = 10 * MILLISECOND
EVENT = "default"
UNAVAILABLE = "unavailable"


class Read(msgspec.Struct):
    """One linearizable read."""

    ticket: str
    least: int
    """Sequence of the newest state of the ticket that was reported to any caller before."""
    ordered: int = 0
    """Sequence of its barrier; 0: not ordered yet."""
    until: int = 0
    """World time until which it waits for the copy."""
    code: str = ""
    """Code of the answer; "": not over yet."""
    shown: int = 0
    """Sequence of the state that it read; 0: no such ticket."""


def ticket_shown(disk: VirtualDisk, event: str, ticket: str) -> int:
    """Sequence of a ticket's state in the rows of a disk; 0: there is no such ticket."""
    for row in disk.rows("ticket"):
        if (row.head.event, row.head.ticket) == (event, ticket):
            return canonical.decode(TicketState, row.state).sequence
    return 0


class Readers(Recurring):
    """Reads until it is stopped; a ClientObserver of the gateways that it reads through."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice, traffic: Traffic) -> None:
        super().__init__(world, dice, traffic.pause_max)
        self.reads: list[Read] = []
        self.barriers = 0
        """Barriers of the quorum read at the end."""
        self.shared = 0
        """Reads that shared their barrier with another read."""
        self._gateways = gateways
        self._dice = dice
        self._tickets = traffic.tickets
        self._undated = traffic.undated
        self._told: dict[str, int] = {}
        """Ticket -> sequence of its newest state that was reported to any caller."""
        self._changed = ""
        """The ticket that changed last: half of the readers ask for it."""
        self._barriers: dict[str, SharedBarriers[list[Read]]] = {}
        """Gateway process -> its shared barriers; its readers end with it."""
        self._sent: dict[tuple[str, int], list[Read]] = {}
        self._waiting: list[Read] = []
        """Reads that wait for the platform's copy."""
        for gateway in gateways:
            gateway.observers.append(self)

    def happen(self) -> None:
        """Start one to three reads."""
        for _ in range(1 + self._dice.below(3)):
            self.read(self._dice.pick(self._gateways))

    # --- linearizable ------------------------------------------------------------------------------

    def read(self, gateway: Gateway) -> Read:
        """Read a ticket through a gateway."""
        ticket = f"T-{self._dice.below(self._tickets)}"
        if self._changed and self._dice.hit(0.5):
            ticket = self._changed
        read = Read(ticket, self._told.get(ticket, 0))
        self.reads.append(read)
        self._barriers.setdefault(gateway.name, SharedBarriers()).join(list).append(read)
        self._begin(gateway)
        return read

    def _begin(self, gateway: Gateway) -> None:
        shared = self._barriers.get(gateway.name)
        readers = None if shared is None else shared.begin()
        if shared is None or readers is None:
            return
        if self.world.mode is Mode.RAFT:
            self.shared += len(readers) if len(readers) > 1 else 0
            self._ask_leader(gateway, shared, readers)
            return
        request = self.order(gateway)
        if request is None:
            shared.end()
            _end(readers, UNAVAILABLE)
        else:
            self.shared += len(readers) if len(readers) > 1 else 0
            self._sent[gateway.name, request.number] = readers
            if request.over:  # it ended while it was submitted, before its readers were registered
                self.answered(gateway, request)

    def _ask_leader(self, gateway: Gateway, shared: SharedBarriers[list[Read]], readers: list[Read]) -> None:
        """Ask all members what is decided, as the platform does: only the leader knows (R18)."""
        waiting = len(gateway.collector.epochs.present.members)

        def answered(answer: Answered) -> None:
            nonlocal waiting
            over, waiting = waiting <= 0, waiting - 1 if answer.code else 0
            if over or waiting > 0:
                return
            shared.end()
            if answer.code:
                _end(readers, UNAVAILABLE)
            else:
                self._wait_for(readers, int(msgspec.json.decode(answer.text)["sequence"]))
            self._begin(gateway)

        for index in range(waiting):
            gateway.query(index, READ_INDEX, answered)

    def _wait_for(self, readers: list[Read], sequence: int) -> None:
        for read in readers:
            read.ordered, read.until = sequence, self.world.time + COPY_WAIT
            self._waiting.append(read)
        self._look()

    def order(self, gateway: Gateway) -> Request | None:
        """Request a barrier; returns None if the gateway is overloaded."""
        until = 0 if self._undated else (gateway.clock.now().wall + 20 * SECOND) // 1_000
        entry = self.world.member_names[0]
        operation = build(Barrier(), ticket="", actor="platform", entry=entry, valid_until=until)
        return gateway.ask([operation])

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See ClientObserver."""
        self._hear(request)
        readers = self._sent.pop((gateway.name, request.number), None)
        if readers is None:
            return
        self._barriers[gateway.name].end()
        result = request.results[0] if request.results else None
        if result is None or result.code != OK:
            _end(readers, UNAVAILABLE if result is None else result.code)
        else:
            self._wait_for(readers, result.sequence)
        self._begin(gateway)

    def _hear(self, request: Request) -> None:
        for event, ticket, changed in request.changes():
            if event == EVENT and changed > self._told.get(ticket, 0):
                self._told[ticket] = changed
                self._changed = ticket

    def _look(self) -> None:
        """Answer the reads whose barrier the platform's copy shows; check the others again later."""
        disk = self.world.nodes[f"{LEARNER}-0"].disk
        waiting, self._waiting = self._waiting, []
        for read in waiting:
            if disk.applied >= read.ordered:
                self._answer(read, ticket_shown(disk, EVENT, read.ticket))
            elif self.world.time >= read.until:
                read.code = UNAVAILABLE
            else:
                self._waiting.append(read)
        if self._waiting:
            self.world.after(LOOK_EVERY, self._look)

    def _answer(self, read: Read, shown: int) -> None:
        read.code, read.shown = OK, shown
        if shown < read.least:
            raise Violation(
                "readers", f"{read.ticket} is shown as of {shown}, {read.least} was told before (R18)"
            )
        self._told[read.ticket] = max(shown, self._told.get(read.ticket, 0))

    # --- quorum ------------------------------------------------------------------------------------

    def proofs(self, ticket: str) -> tuple[list[StateProof], Counter[str]]:
        """Proofs of a ticket by the members that are up, and the codes of those that prove nothing."""
        found, codes = [], Counter[str]()
        for node in self.world.honest_members():
            if node.index is None or node.host is None:  # down, or a newcomer that has not read its epoch yet
                continue
            if not isinstance(node.host.application, TicketApplication):
                continue
            certificate = node.core.state.checkpoint.certificate
            code, shown = show(certificate, node.host.application.prove(EVENT, ticket))
            codes[code] += 1
            found += [shown] if shown is not None else []
        return found, codes

    def prove(self, ticket: str, bound: int) -> int:
        """A quorum read, as the platform makes one; returns the number of barriers that it took. Raises
        Violation if no member proves the ticket within `bound` nanoseconds, though a checkpoint is stable."""
        reader = _QuorumReader(self, self._gateways[0], ticket, self.world.time + bound)
        try:
            found = barriers.quorum_read(reader)
        except barriers.NothingStable:
            return reader.ordered
        if found is None:
            raise Violation("readers", f"no member proves {ticket} after {reader.ordered} barriers")
        return reader.ordered

    # --- at the end --------------------------------------------------------------------------------

    def last(self, bound: int) -> None:
        """The last questions, once everything is healed: each gateway's reader gets an answer, though it may
        have to ask again (the session of its barrier may have been evicted, R12), and a quorum read finds its
        proof after all nodes were restarted. Raises Violation if either takes more than `bound`
        nanoseconds."""
        world = self.world
        ended, unanswered = world.time + bound, list(self._gateways)
        reads: list[Read] = []
        while unanswered and world.time < ended:
            reads = [self.read(gateway) for gateway in unanswered]
            world.run(ended, done=partial(_answered, reads))
            unanswered = [gateway for gateway, read in zip(unanswered, reads, strict=True) if read.code != OK]
            world.run_for(LOOK_EVERY)
        if unanswered:
            raise Violation("readers", f"reads of the healed cluster end with {[r.code for r in reads]}")
        up = [node for node in world.nodes.values() if node.up]
        dead = any(not world.nodes[name].up for name in world.member_names)
        for node in up:
            node.crash()
            if dead and quorum.faults(world.members, world.mode) == 0:
                node.say_others_are_gone()
        for node in up:
            world.start(node)
        self.barriers = self.prove(reads[-1].ticket, bound)


def _answered(reads: list[Read]) -> bool:
    return all(read.code for read in reads)


def _end(readers: list[Read], code: str) -> None:
    for read in readers:
        read.code = code


class _QuorumReader:
    """A dtvn.proof.barriers.QuorumReader in virtual time, until `ended`."""

    def __init__(self, readers: Readers, gateway: Gateway, ticket: str, ended: int) -> None:
        self.ordered = 0
        """Number of barriers ordered."""
        self._readers = readers
        self._world = readers.world
        self._gateway = gateway
        self._ticket = ticket
        self._ended = ended

    @property
    def present(self) -> Membership:
        """See QuorumReader."""
        return self._world.present

    @property
    def acknowledged(self) -> int:
        """See QuorumReader."""
        return self._gateway.collector.acknowledged

    def ask(self) -> tuple[StateProof | None, Counter[str]]:
        """See QuorumReader; the proofs are verified by another checker (checkers/reads.py)."""
        found, codes = self._readers.proofs(self._ticket)
        return found[0] if found else None, codes

    def is_enough(self, shown: StateProof) -> bool:
        """See QuorumReader."""
        return True

    def is_stable(self) -> bool:
        """See QuorumReader."""
        return any(node.disk.stable for node in self._world.nodes.values())

    def order(self) -> int | None:
        """See QuorumReader; if the gateway's session was evicted (R12), it asks again."""
        request = self._readers.order(self._gateway)
        if request is None:
            self._world.run_for(LOOK_EVERY)
            return None
        self._world.run(self._ended, done=lambda: request.over)
        result = request.results[0] if request.results else None
        if result is None or result.code != OK:
            return None
        self.ordered += 1
        return result.sequence

    def is_over(self) -> bool:
        """See QuorumReader."""
        return self._world.time >= self._ended

    def pause(self) -> None:
        """See QuorumReader."""
        self._world.run_for(LOOK_EVERY)
