"""Does a member prove of a ticket what the log says of it, and is no forged proof believed? (R18)

From time to time a member is asked as the platform asks for a quorum read: its proof is checked as the
platform checks it, and compared with the outcomes of the agreed log up to the checkpoint. A proof that q
members did not sign must be refused.
"""

from __future__ import annotations

import msgspec

from dtvn.machine import TicketApplication, TicketState, read_state
from dtvn.machine.kinds import NAMING
from dtvn.proof import Chain, ProofError, read_stable
from dtvn.proof.epoch_chain import chain_through
from dtvn.proof.reads import StateProof, proved_ticket, show
from dtvn.protocol import canonical
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.effects import Executed, Note
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.node import Node
from simulator.observers import EXECUTED
from simulator.world import World

FIRST = 24
"""Executions and stable checkpoints of all members between the first two questions."""
RARER = 5
"""The interval grows by 1/RARER of the events so far: long worlds cost little more than short ones."""
PATIENCE = 60
"""Further executions and stable checkpoints for which the checker waits until the ticket has changed."""
NOWHERE = ("default", "never-issued")
FIELDS = TicketState.__struct_fields__

Name = tuple[str, str]
"""(event, ticket)."""


class Reads(Checker):
    """Asks for the ticket that changed last, one that changed earlier, and one that was never issued."""

    name = "reads"
    notes = frozenset({EXECUTED, "checkpoint_stable"})

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self.proved = 0
        """Number of valid proofs that were accepted."""
        self.absent = self.changed_since = 0
        """Number of accepted proofs that were of tickets that did not exist, and of tickets that had changed
        since the checkpoint."""
        self.refused = 0
        """Number of forged proofs that were refused."""
        self._history = history
        self._states: dict[Name, list[tuple[int, bytes]]] = {}
        """Ticket -> (sequence, state after it) of each change, as in the log."""
        self._order: list[Name] = []
        """Tickets in the order of the log, each as often as it changed."""
        self._unread = Unread(history)
        self._chain = self._known()
        self._newest: tuple[tuple[bytes, ...], CheckpointCertificate | None] = (), None
        """Frames of the newest checkpoint that was read, and the certificate that they prove."""
        self._heard = self._asked = 0
        self._next = FIRST

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not node.honest or node.index is None or node.host is None:
            return
        self._heard += 1
        certificate = node.core.state.checkpoint.certificate
        if self._heard < self._next or certificate is None:
            return
        self._read_log()
        application = node.host.application
        if isinstance(application, TicketApplication) and not self._puts_off(certificate.sequence):
            self._next = self._heard + FIRST + self._heard // RARER
            self._ask(node, application, *self._choose())
            self._asked += 1

    def _puts_off(self, stable: int) -> bool:
        """Whether to wait, up to PATIENCE events, until the ticket to be asked for has changed since the
        checkpoint: then the node must have kept its state at the checkpoint."""
        if self._asked % 2 or self._heard >= self._next + PATIENCE or not self._order:
            return False
        return self._states[self._order[-1]][-1][0] <= stable

    def _read_log(self) -> None:
        for sequence, _bundle, operation, outcome in self._unread.operations():
            shown = read_state(outcome.state) if operation.kind in NAMING else None
            if shown is None:
                continue
            name = shown.event, shown.ticket
            state = canonical.encode(TicketState(*[getattr(shown, field) for field in FIELDS]))
            if state != self._agreed(name, sequence):
                self._states.setdefault(name, []).append((sequence, state))
                self._order.append(name)

    def _choose(self) -> Name:
        """Returns in turn the ticket that changed last, one that changed long ago, one that was never
        issued."""
        turn, order = self._asked % 4, self._order
        if turn == 3 or not order:
            return NOWHERE
        return order[len(order) // 2] if turn == 1 else order[-1]

    def _ask(self, node: Node, application: TicketApplication, event: str, ticket: str) -> None:
        certificate = node.core.state.checkpoint.certificate
        _code, shown = show(certificate, application.prove(event, ticket))
        if shown is None:
            return
        if len(self._chain.epochs) != len(self._history.epochs):
            self._chain = self._known()
        asked = f"{node.name} on {ticket} at {certificate.sequence}"
        try:
            sequence, found = self._check(shown, event, ticket)
        except ProofError as error:
            self.fail(f"{asked}: {error}")
        state = b"" if found is None else found[0]
        if sequence != certificate.sequence or state != self._agreed((event, ticket), sequence):
            self.fail(f"{asked}: proved is another state than the log's")
        self.proved += 1
        self.absent += found is None
        self.changed_since += state != self._agreed((event, ticket), self._history.highest)
        what, forged = _forged(shown, self.proved)
        try:
            self._check(forged, event, ticket)
        except ProofError:
            self.refused += 1
        else:
            self.fail(f"{asked}: with {what} it is believed")

    def _known(self) -> Chain:
        """All epochs that the log has begun."""
        epochs, scheme = tuple(self._history.epochs), self.world.keyring.scheme
        return chain_through(self.world.genesis, self.world.cluster, epochs, scheme)

    def _check(self, shown: StateProof, event: str, ticket: str) -> tuple[int, tuple[bytes, bytes] | None]:
        return proved_ticket(msgspec.json.encode(shown), self._chain, event, ticket, self._stable)

    def _stable(self, frames: tuple[bytes, ...], chain: Chain) -> CheckpointCertificate:
        """The checkpoint that these frames prove; equal frames are verified once, as on the platform."""
        known, certificate = self._newest
        if certificate is None or frames != known:
            certificate = read_stable(frames, chain)
            self._newest = frames, certificate
        return certificate

    def _agreed(self, name: Name, sequence: int) -> bytes:
        """State of a ticket after a sequence; b"" if it did not exist."""
        for at, state in reversed(self._states.get(name, ())):
            if at <= sequence:
                return state
        return b""


def _forged(shown: StateProof, number: int) -> tuple[str, StateProof]:
    """Returns in turn a proof with too few signatures, another sequence, an absence where there is a
    ticket."""
    replace, proof = msgspec.structs.replace, shown.proof
    if number % 3 == 1:
        return "a signature fewer", replace(shown, checkpoint=shown.checkpoint[:-1])
    if number % 3 == 2 or not proof.items:
        return "a newer sequence", replace(shown, proof=replace(proof, sequence=proof.sequence + 1))
    return "nothing in its place", replace(shown, proof=replace(proof, items=()))
