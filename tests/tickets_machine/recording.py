"""Runs of agent events with the members' real votes, and a machine that records them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.judging import (
    Electorate,
    RunPoint,
    Vote,
    assemble,
    cast_vote,
    decode_certificate,
    first_head,
    next_head,
    open_turn,
    sign_turn,
)
from dtvn.machine import Record, TicketApplication
from dtvn.machine.rows import RunRow
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Genesis, Grant, Principal, cluster_id
from dtvn.protocol.wire import ED25519
from tests.events.judging.support import RULES, SimpleRun, digests, events
from tests.host.support import key_pair
from tests.tickets_machine.support import Machine, genesis, public

MAY = (Grant("agents", "operate"),)
PRINCIPALS = (
    Principal("gateway", public("g"), (Grant("*", "admin"), Grant("*", "operate"))),
    Principal("other", public("o"), MAY),
    Principal("reader", public("r"), ()),
)

SECRETS = dict(key_pair(f"{name}{number}") for name in ("node", "next") for number in range(4))
"""Public key of a member, before and after the members got new ones -> its secret."""


class Run:
    """A run as its gateway follows it. `next` goes forward; a copy may go another way."""

    def __init__(self, voters: Electorate, thread: str, name: str) -> None:
        self.voters = voters
        self.point = RunPoint(thread, name, 0, bytes(32), RULES)
        self.head = first_head(thread, name)

    def copy(self) -> Run:
        twin = Run(self.voters, self.point.thread, self.point.run)
        twin.point, twin.head = self.point, self.head
        return twin

    def vote(self, *texts: str) -> Vote:
        """The vote of the rules on the next chunk."""
        chunk = events(*texts)
        return cast_vote(self.point.question(digests(chunk)), chunk, SimpleRun(self.point.state))

    def next(self, *texts: str, ends: bool = False, signers: Sequence[int] = (0, 1, 2)) -> Record:
        """The record of the next chunk, with the signatures of some members."""
        vote = self.vote(*texts)
        record = self.signed(vote, ends=ends, signers=signers)
        self.head = next_head(self.head, record.certificate.vote)
        self.point = self.point.after(vote.question, vote.after)
        return record

    def signed(self, vote: Vote, *, ends: bool = False, signers: Sequence[int] = (0, 1, 2)) -> Record:
        """A record of this vote at the present head."""
        given = []
        for member in signers:
            secret = SECRETS[self.voters.members[member].public_key]
            cluster, epoch = self.voters.cluster, self.voters.epoch
            turn = sign_turn([vote], cluster=cluster, epoch=epoch, member=member, secret=secret)
            given += open_turn(turn, self.voters, member)
        return Record(self.head, decode_certificate(assemble(given, len(signers), self.voters)), ends)


class Recorder(Machine):
    """A machine that checks real signatures, with two principals that may record."""

    def __init__(self, founded: Genesis | None = None) -> None:
        super().__init__(founded or genesis(demo=False, principals=PRINCIPALS))
        self.follow()

    def follow(self) -> None:
        """From now on those vote who are members now."""
        now = self.application.membership()
        self.voters = Electorate(cluster_id(self.genesis), now.epoch, now.members, now.mode)

    def _fresh(self) -> TicketApplication:
        return TicketApplication(
            self.genesis, cluster_id(self.genesis), searched=self.searched, verify=ED25519.verify
        )

    def run(self, thread: str = "t", name: str = "r") -> Run:
        """A run of this cluster before its first event."""
        return Run(self.voters, thread, name)

    def record(
        self, record: Record, *, principal: str = "gateway", event: str = "agents", nonce: bytes = b""
    ) -> tuple[str, RunRow | None]:
        """(outcome code, the run as the outcome shows it)."""
        operation = self.operation(record, event=event, nonce=nonce)
        (outcome,) = self.order(operation, principal=principal)
        return outcome.code, canonical.decode(RunRow, outcome.state) if outcome.state else None

    def out_of_order(self) -> str:
        """The code of a record that skips its predecessor."""
        run = self.run()
        run.next("a")
        return self.record(run.next("b"))[0]


def changed(record: Record, **fields: object) -> Record:
    """The record with other values in its certificate."""
    return msgspec.structs.replace(record, certificate=msgspec.structs.replace(record.certificate, **fields))
