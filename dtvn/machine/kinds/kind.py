"""What each module of a kind declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from dtvn.machine.bodies import OperationBody
from dtvn.machine.context import Context
from dtvn.machine.fields import Command
from dtvn.machine.ticket import Ticket
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import FIRST, LISTS

Result = tuple[str, bytes]
"""(outcome code, canonical state of what the operation is about afterwards: of its ticket, lock, run ...)."""
Rule = Callable[[Context, Operation, Any, Ticket | None], Result]
"""Applies an operation, given its command and its ticket, if it names an existing one. It runs after the
checks that all kinds share; a refusal changes nothing."""


def _state(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> bytes:
    """The state of the ticket that the operation names."""
    return b"" if ticket is None else ticket.state


def _any(_command: Any) -> None:
    """Nothing but the types of the fields limits this command."""


def _as_given(_command: Any) -> dict[str, object]:
    """No field is composed besides the texts."""
    return {}


def _first(_command: Any) -> int:
    """All forms of this command are of the first version."""
    return FIRST


def _as_it_is(payload: bytes) -> bytes:
    return payload


def _never(_command: Any) -> bool:
    return False


class Rest(msgspec.Struct, frozen=True):
    """An operation in REST: a route for POST, and an item of a batch."""

    body: type[OperationBody]
    message: str
    """Of the answer when it was applied."""
    summary: str
    """One sentence for the API document."""
    example: dict[str, Any] | None = msgspec.field(default_factory=lambda: {"ticket_id": "T-1"})
    """A body in the API document; None: none."""
    full: bool = False
    """Whether its answers have the fields of dtvn.api.outcome, for programs that act on them."""
    path: str = ""
    """Below /api/v1/; "": tickets/<kind>."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a person does with tickets on a page: an operation of this kind."""

    name: str
    """Verb on the button; if there is an action of this name in the table of transitions, it is offered for
    tickets in a state that the action changes, else for all."""
    past: str
    means: str = ""
    """What follows for the ticket, after `past`."""
    label: str = ""
    """On buttons; "": the name."""
    consequence: str = ""
    """Sentences of a question that is asked before; "": nothing is asked."""
    fields: dict[str, str] = {}
    """Fields of the command and of its REST body."""
    reason: bool = False
    """Whether the command has a field `reason` that the person may fill in."""
    inputs: tuple[str, ...] = ()
    """Fields of the REST body that the person fills in; such an act is about one ticket at a time."""
    outcome: str = ""
    """Its word in lists of outcomes; "": that of its kind."""

    @property
    def title(self) -> str:
        """On buttons: its label, else its name."""
        return self.label or self.name.capitalize()


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation."""

    name: str
    command: type[Command]
    rule: Rule
    since: int = FIRST
    """The cluster's version that has this kind (R47)."""
    needs: Callable[[Any], int] = _first
    """The version that has this value of the command, whose form is not told by its number of fields."""
    raises: Callable[[Any], bool] = _never
    """Whether a command in a form of the next version is judged all the same: it raises the version."""
    capability: str = ""
    """Capability that its signer needs in the operation's event (R15); "" for none."""
    former: str = ""
    """A second capability that permits it, because ledgers hold such operations from before this kind had its
    own; "" for none."""
    besides: str = ""
    """A capability that its signer needs as well; "" for none."""
    names: Literal["ticket", "event", "nothing"] = "ticket"
    """Whether it names a ticket and its event, an event only, or neither."""
    subject: str = ""
    """What its outcome is about, in lists; "": its ticket."""
    check: Callable[[Any], None] = _any
    """Raises CommandError for a command that breaks a rule which the types of its fields do not state."""
    compose: Callable[[Any], dict[str, object]] = _as_given
    """Fields of the command in the form that the log keeps, besides texts in normal form C."""
    shown: Callable[[Context, Operation, Any, Ticket | None], bytes] = _state
    """Outcome's state where no rule ran: of a refusal that all kinds share, and of a repetition."""
    repeated: bytes | None = None
    """Outcome's state of a repetition; None: as `shown`."""
    oldest: Callable[[bytes], bytes] = _as_it_is
    """A payload in the oldest form that says the same (R13)."""
    with_code: Callable[[Any, bytes], Command] | None = None
    """For a kind whose command begins with gate, device and `code`, the digest of a code, which then finds
    the ticket, so that the operation need not name one: the command with another digest."""
    rest: Rest | None = None
    """None: REST does not offer it as an operation."""
    event_type: str = ""
    """Type of the live event about an applied operation; "": that of all administration."""
    told: bool = False
    """Whether a node tells the clients of its WebSocket about each ticket that was changed."""
    verb: str = ""
    """Word for its outcome in lists, as "issued"; "": its name."""
    acts: tuple[Act, ...] = ()
    """What pages offer of it."""
    plain: bool = True
    """Whether the plain consensus log shows it."""

    def version_of(self, command: Command) -> int:
        """The first version of the cluster that has this kind in the form of this command (R47)."""
        if self.since > FIRST:
            return self.since
        first_form: int | None = getattr(command, "first_form", None)
        if first_form is not None and len(cast(tuple[object, ...], canonical.trimmed(command))) > first_form:
            return LISTS
        return self.needs(command)

    @property
    def path(self) -> str:
        """Path of its route in REST, if it has one."""
        return f"/api/v1/{(self.rest and self.rest.path) or f'tickets/{self.name}'}"
