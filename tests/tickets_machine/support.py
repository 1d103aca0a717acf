"""A ticket machine with one open session, driven by single lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dtvn.machine import Command, OpenSession, TicketApplication, TicketState, build, read_state
from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import BatchResult
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.messages import Bundle, Operation, Outcome, bundle_digest
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Genesis, Grant, Member, Parameters, Principal, cluster_id
from dtvn.protocol.versions import NEWEST
from tests.host.support import key_pair

START = 1_700_000_000_000_000
"""Batch time of the first batch, Unix microseconds."""
FIRST_CAPABILITIES = ("issue", "operate", "gate", "admin")
"""Those that there were when the golden story was kept."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def public(name: str) -> bytes:
    """A public key that is this name's alone."""
    return key_pair(name)[0]


def genesis(
    *,
    demo: bool = True,
    members: int = 4,
    sessions_max: int = 1_024,
    nonces_max: int = 100_000,
    version: int = NEWEST,
    principals: Sequence[Principal] | None = None,
) -> Genesis:
    """`gateway` may do everything, `scanner` gate only in the default event, `reader` nothing."""
    if principals is None:
        principals = (
            Principal("gateway", public("g"), tuple(Grant("*", c) for c in FIRST_CAPABILITIES)),
            Principal("reader", public("r"), ()),
            Principal("scanner", public("s"), (Grant("default", "gate"),)),
        )
    return Genesis(
        name="test",
        created_at=1,
        members=tuple(
            Member(f"node{index}", public(f"node{index}"), "127.0.0.1", 4_000 + index)
            for index in range(members)
        ),
        principals=tuple(principals),
        parameters=Parameters(version=version, sessions_max=sessions_max, nonces_max=nonces_max),
        demo=demo,
    )


def sealed(bundle: Bundle) -> VerifiedBundle:
    """The bundle as the wire reader passes it on: decoded from bytes, with its digest."""
    body = canonical.encode(bundle)
    return VerifiedBundle(canonical.decode(Bundle, body), bundle_digest(body), b"")


class Machine:
    """The application under test, its log position, and one session per principal."""

    def __init__(self, founded: Genesis | None = None, *, searched: bool = True) -> None:
        self.genesis = founded or genesis()
        self.searched = searched
        self.application = self._fresh()
        self.sequence = 0
        self.now = START
        self.sessions: dict[str, tuple[int, int]] = {}
        self.numbers: dict[str, int] = {}
        self.rows: dict[tuple[str, tuple[object, ...]], ApplicationChange] = {}
        """What a ledger would hold."""

    def operation(
        self,
        command: Command,
        ticket: str = "",
        *,
        event: str = "default",
        actor: str = "anna",
        entry: str = "node0",
        nonce: bytes = b"",
        valid_for: int = 30 * SECOND,
    ) -> Operation:
        """An operation that stays valid for `valid_for` microseconds from now."""
        return build(
            command,
            ticket=ticket,
            event=event,
            actor=actor,
            entry=entry,
            valid_until=self.now + valid_for,
            nonce=nonce,
        )

    def bundle(
        self,
        operations: Iterable[Operation],
        *,
        principal: str = "gateway",
        session: tuple[int, int] | None = None,
        number: int | None = None,
        done_below: int = 0,
    ) -> VerifiedBundle:
        """The next bundle of the principal's session, or the one described."""
        if session is None:
            session = self.session(principal)
        if number is None:
            number = self.numbers[principal]
            self.numbers[principal] = number + 1
        return sealed(Bundle(0, principal, b"client00", session, number, done_below, tuple(operations)))

    def opening(self, *, principal: str = "gateway", nonce: bytes = b"open") -> VerifiedBundle:
        """A bundle that asks for a session."""
        return self.bundle(
            [self.operation(OpenSession(), nonce=nonce)],
            principal=principal,
            session=(0, 0),
            number=0,
        )

    def session(self, principal: str = "gateway") -> tuple[int, int]:
        """The principal's session, opened when it has none."""
        if principal not in self.sessions:
            execution = self.execute([self.opening(principal=principal)])
            result = execution.results[0]
            assert result is not None
            assert result.outcomes[0].code == "ok"
            self.sessions[principal] = (self.sequence, 0)
            self.numbers[principal] = 0
        return self.sessions[principal]

    def execute(self, bundles: Sequence[VerifiedBundle], *, after: int = 1) -> BatchResult:
        """Execute a batch at the next sequence, `after` microseconds later."""
        self.sequence += 1
        self.now += after
        return self.application.execute(bundles, sequence=self.sequence, timestamp=self.now)

    def order(self, *operations: Operation, principal: str = "gateway") -> list[Outcome]:
        """Outcomes of one bundle, executed alone."""
        result = self.execute([self.bundle(operations, principal=principal)]).results[0]
        assert result is not None
        return list(result.outcomes)

    def do(self, command: Command, ticket: str = "", *, principal: str = "gateway", **fields: object) -> str:
        """The outcome code of one operation."""
        operation = self.operation(command, ticket, **fields)  # type: ignore[arg-type]
        return self.order(operation, principal=principal)[0].code

    def show(self, ticket: str, *, event: str = "default") -> TicketState | None:
        """The ticket as it stands."""
        return self.application.ticket(event, ticket)

    def state(self, ticket: str) -> str:
        """The ticket's state by its public name."""
        shown = self.show(ticket)
        return "" if shown is None else shown.state.name

    def _fresh(self) -> TicketApplication:
        """A liveness proof's signature is valid here if it is the member's key, repeated."""
        return TicketApplication(
            self.genesis,
            cluster_id(self.genesis),
            searched=self.searched,
            verify=lambda key, _data, signature: signature == 2 * key,
        )

    def save(self) -> None:
        """Take the changed rows as a ledger would."""
        for change in self.application.changes():
            key = (change.table, change.key)
            if change.row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = change

    def reload(self, *, backwards: bool = False) -> TicketApplication:
        """A fresh application loaded from the rows saved so far."""
        rows = list(self.rows.values())
        fresh = self._fresh()
        ordered = sorted(reversed(rows) if backwards else rows, key=lambda row: row.table != "membership")
        fresh.load(ordered)
        return fresh

    def restart(self, *, backwards: bool = False) -> None:
        """Continue with an application loaded from the rows: it has the same root."""
        self.save()
        root = self.application.root()
        self.application = self.reload(backwards=backwards)
        assert self.application.root() == root


def shown(outcome: Outcome) -> TicketState:
    """The ticket state inside an outcome."""
    state = read_state(outcome.state)
    assert state is not None
    return state
