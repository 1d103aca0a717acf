"""What a rule reads and changes while one operation is applied: the replicated state, and the place of the
operation in the log."""

from __future__ import annotations

from collections.abc import Callable

from dtvn.machine.events import Events, Moment
from dtvn.machine.fields import NONCE_BYTES_MAX
from dtvn.machine.locks import Locks
from dtvn.machine.membership import Memberships
from dtvn.machine.movements import Movement
from dtvn.machine.nonces import NonceTable
from dtvn.machine.principals import Principals
from dtvn.machine.registry import TicketRegistry
from dtvn.machine.runs import Runs
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, TicketState, read_state
from dtvn.machine.transitions import State
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import FIRST

BYTES_8 = 0xC4
"""MessagePack: bytes of at most 255 follow."""
Place = tuple[int, int] | tuple[()]
"""(sequence, index) in the log, or none."""
_HEADERS = [bytes((BYTES_8, length)) for length in range(NONCE_BYTES_MAX + 1)]
"""Length of a nonce -> the bytes before it in a ticket's encoded state."""


class Context:
    """The parts of the state that rules use, and what is known of the operation that is applied now."""

    def __init__(
        self,
        *,
        memberships: Memberships,
        demo: bool,
        principals: Principals,
        nonces: NonceTable,
        registry: TicketRegistry,
        events: Events,
        runs: Runs,
        locks: Locks,
        open_session: Callable[[tuple[int, int], str], None],
    ) -> None:
        self.demo = demo
        self.principals = principals
        self.nonces = nonces
        self.registry = registry
        self.events = events
        self.runs = runs
        self.locks = locks
        self.open_session = open_session
        self.memberships = memberships
        self.member_index: dict[str, int] = {}
        """Ids of the present and former members -> their position in the vector clock."""
        self.counts: list[int] = []
        """Number of applied operations by entry node: the newest vector clock."""
        self.alone = False
        """True if the batch holds exactly one operation: only then may it change the membership (R35)."""
        self.granting = False
        """Whether the batch held a `grant` already: each costs signature checks, so a batch holds one."""
        self.version = FIRST
        """The cluster's version at this sequence (R47)."""
        self.sequence = 0
        self.timestamp = 0
        """Effective timestamp of the batch, Unix microseconds."""
        self.index = 0
        """Index of the operation in its batch."""
        self.principal = ""
        """Who signed the operation."""
        self.first: Place = ()
        """Where the change was made that the operation repeats, by its principal, actor and nonce; (): it
        repeats none that is known (R48)."""
        self.follow_members()

    @property
    def place(self) -> tuple[int, int]:
        """(sequence, index) of the operation."""
        return self.sequence, self.index

    @property
    def moment(self) -> Moment:
        """(sequence, index, effective timestamp) of the operation."""
        return self.sequence, self.index, self.timestamp

    def begin(self, sequence: int, timestamp: int) -> None:
        """Begin a batch."""
        self.version = self.memberships.now.version
        self.sequence = sequence
        self.timestamp = timestamp
        self.granting = False
        self.runs.begin()
        self.locks.begin(sequence, timestamp)

    def follow_members(self) -> None:
        """Update the vector clock's positions and the allowed entry nodes after a change of the membership.
        A former member is still allowed as entry node: its requests may be in flight when it leaves."""
        names = self.memberships.names
        self.member_index = {name: place for place, name in enumerate(names)}
        self.counts += [0] * (len(names) - len(self.counts))

    def count(self, operation: Operation) -> None:
        """Count one applied operation of this entry node (VectorClock)."""
        self.counts[self.member_index[operation.entry]] += 1

    def stands(self, operation: Operation, ticket: Ticket) -> bool:
        """Whether the ticket's last change bears this principal, actor and nonce."""
        nonce = operation.nonce
        if not nonce or _HEADERS[len(nonce)] + nonce not in ticket.state:
            return False  # this search costs a tenth of decoding the state
        present = present_state(ticket)
        signed = self.principal, operation.actor, nonce
        if (present.principal, present.actor, present.nonce) != signed:
            return False
        self.first = present.sequence, present.index
        return True

    def moved(self, operation: Operation, ticket: Ticket, terms: Terms) -> Movement | None:
        """The ticket's kept movement that bears this principal, actor and nonce; None: there is none among
        those that its terms hold."""
        nonce = operation.nonce
        if not nonce or not terms.movements or _HEADERS[len(nonce)] + nonce not in ticket.issued:
            return None
        signed = self.principal, operation.actor, nonce
        for made in terms.movements:
            if (made.principal, made.actor, made.nonce) == signed:
                self.first = made.place
                return made
        return None

    def state(
        self,
        operation: Operation,
        ticket: str,
        state: State,
        validator: str = "",
        gate: str = "",
        device: str = "",
        note: str = "",
    ) -> bytes:
        """The encoded new state of a ticket. A tuple of a TicketState's fields has the same bytes, so no
        TicketState is built."""
        return canonical.encode(
            (
                operation.event,
                ticket,
                state,
                validator,
                self.timestamp,
                self.sequence,
                self.index,
                operation.kind,
                self.principal,
                operation.actor,
                operation.nonce,
                gate,
                device,
                note,
                self.counts,
            )
        )


def present_state(ticket: Ticket) -> TicketState:
    """The decoded state of an existing ticket."""
    present = read_state(ticket.state)
    if present is None:
        raise RuntimeError("a ticket without a state")
    return present
