"""What the tickets page tells of one ticket, and which acts it offers to the person who looks."""

from __future__ import annotations

import time
from typing import Any

from dtvn.api.times import in_zone
from dtvn.machine import CAPABILITY, TRANSITIONS, State
from dtvn.machine.kinds import ACTS
from dtvn.machine.movements import IMPORT
from dtvn.machine.rows import EventRow, TicketRow
from tickets.models import TicketHolder
from tickets.pages.access import may_see_addresses
from tickets.services import list_counts
from tickets.services.codes import by_name_only
from tickets.services.data_text import in_words
from tickets.services.search import Found, state_of_row
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.event_zones import zone_of
from validators.rest.keys import Caller
from validators.services.following import is_follower

MEANINGS = {
    State.ISSUED: "not entered yet",
    State.VALIDATED: "may be admitted",
    State.CONSUMED: "admitted",
    State.DISPUTED: "not admitted until the dispute is resolved",
    State.UPHELD: "final, never admitted",
}
ENTERS_AGAIN = "admitted before, may enter again"
UNKNOWN_TIME = "at a time that is not known"
NO_ENTRANCE = "its product does not admit"
BY_CODE_ONLY = (
    "Only a code admits here: scan the ticket, or type its code into the search of the tickets page."
)
"""Why an admission is not offered to those who may not admit by name."""
STOPPED_BY_BLOCK = frozenset({"validate", "admit"})
"""Acts that are refused while a ticket is blocked."""

Fact = tuple[str, str]
"""(name, value)."""


def offered(caller: Caller) -> list[str]:
    """Acts (keys of ACTS) that the caller may perform on some ticket."""
    if is_follower():
        return []
    return [name for name, (kind, _) in ACTS.items() if caller.rights.has(kind.capability)]


class Facts:
    """For one request and caller, so that an event is looked up once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._offered = offered(caller)
        self._events: dict[str, EventRow | None] = {}

    def row(self, row: TicketRow, part: Found, *, by_code: bool = False) -> dict[str, Any]:
        """A ticket in the list. `by_code`: it was found by a code, which is then at hand."""
        state = state_of_row(row)
        holder, order = part.holders.get((row.event, row.ticket), ("", ""))
        return {
            "event": row.event,
            "id": row.ticket,
            "state": state.name.lower(),
            "meaning": self._meaning(row),
            "blocked": row.blocked,
            "block_reason": row.block_reason,
            "changed": _changed(self._event(row.event), row),
            "entry": row.validator,
            "about": about(row),
            "holder": holder,
            "order": order,
            "acts": self.acts(row, by_code=by_code),
            "by_name": not by_code and by_name_only(self._event(row.event), row),
            "withheld": BY_CODE_ONLY if self._withholds(row, by_code=by_code) else "",
        }

    def acts(self, row: TicketRow, *, by_code: bool = False) -> list[str]:
        """Acts that the caller may perform, and that the ticket as it stands allows."""
        withheld = {"admit"} if self._withholds(row, by_code=by_code) else set()
        if not _admits(self._event(row.event), row):
            withheld.add("admit")
        here = self._caller.rights.at(row.event)
        return [
            act
            for act in self._offered
            if act not in withheld and ACTS[act][0].capability in here and self._allows(row, act)
        ]

    def _meaning(self, row: TicketRow) -> str:
        if not _admits(self._event(row.event), row):
            return NO_ENTRANCE
        return ENTERS_AGAIN if self._enters_again(row) else MEANINGS[state_of_row(row)]

    def _allows(self, row: TicketRow, act: str) -> bool:
        if act == "admit" and not row.blocked and self._enters_again(row):
            return True
        return _allows(row, act)

    def _enters_again(self, row: TicketRow) -> bool:
        """Whether the ticket has entered, and has an entry left on `main`: on a daily one, of another day."""
        event = self._event(row.event)
        if state_of_row(row) is not State.CONSUMED or not is_entrance(event, row):
            return False
        return not list_counts.on_list(row, event, time.time_ns() // 1_000).exhausted

    def _withholds(self, row: TicketRow, *, by_code: bool) -> bool:
        """Whether an admission is only not offered because it would be by name."""
        event = self._event(row.event)
        admits = "admit" in self._offered and self._allows(row, "admit") and _admits(event, row)
        return admits and not by_code and not self._may_name(row)

    def _may_name(self, row: TicketRow) -> bool:
        """Whether the caller may admit a ticket by its id."""
        by_name = self._caller.rights.may(CAPABILITY["block"], row.event)
        return by_name or not by_name_only(self._event(row.event), row)

    def _event(self, event: str) -> EventRow | None:
        if event not in self._events:
            self._events[event] = read.event_row(LEARNER_ALIAS, event)
        return self._events[event]

    def of_ticket(self, row: TicketRow) -> list[Fact]:
        """The fields of a ticket that are set, for the caller."""
        found: list[Fact] = [
            ("Event", row.event),
            *told_terms(self._event(row.event), row),
            ("Admission", BY_CODE_ONLY if self._withholds(row, by_code=False) else ""),
            ("Reason of the dispute", row.note),
            ("Data", in_words(row.data)),
            ("Metadata", ", ".join(f"{name}: {value}" for name, value in row.metadata.items())),
            ("Commitment", row.commitment.hex()),
            ("Vector clock", ", ".join(f"{node} {count}" for node, count in sorted(row.clock.items()))),
        ]
        return [(name, value) for name, value in found if value]

    def terms(self, row: TicketRow) -> dict[str, Any]:
        """What may be changed, as a form shows it: times as on the clocks of the event's zone."""
        event = self._event(row.event)
        zone = zone_of(event)
        clock = [
            f"{in_zone(at, zone):%Y-%m-%dT%H:%M:%S}" if at else "" for at in (row.not_before, row.not_after)
        ]
        products = event.products if event is not None and event.declared else ()
        return {
            "product": row.product,
            "seat": row.seat,
            "not_before": clock[0],
            "not_after": clock[1],
            "zone": zone.key,
            "products": [name for name, _admits in products],
        }


def about(row: TicketRow) -> str:
    """Product, seat and what else its file said of a ticket, in words."""
    labels = (row.product, row.seat)
    return ", ".join(filter(None, (*labels, in_words(row.data, labels))))


def told_terms(event: EventRow | None, row: TicketRow) -> list[Fact]:
    """What decides whether a ticket opens a gate, as far as it is set; times are in the event's zone."""
    found: list[Fact] = [
        ("Product", _product(event, row)),
        ("Seat", row.seat),
        ("Valid from", event_time(event, row.not_before)),
        ("Valid until", event_time(event, row.not_after)),
        ("Blocked", (row.block_reason or "yes") if row.blocked else ""),
        ("Codes", _codes(row)),
        ("Entered", entry(event, row)),
    ]
    return [(name, value) for name, value in found if value]


def _allows(row: TicketRow, act: str) -> bool:
    if act in ("block", "unblock"):
        return row.blocked is (act == "unblock")
    if act == "change":
        return state_of_row(row) is not State.CONSUMED
    if row.blocked and act in STOPPED_BY_BLOCK:
        return False
    return act not in TRANSITIONS or isinstance(TRANSITIONS[act][state_of_row(row)], State)


def _admits(event: EventRow | None, row: TicketRow) -> bool:
    """Whether the ticket is of a product that admits (D3), or has entered all the same."""
    return state_of_row(row) is State.CONSUMED or is_entrance(event, row)


def is_entrance(event: EventRow | None, row: TicketRow) -> bool:
    """Whether the ticket's product admits: any in an event that was not created."""
    if not row.product or event is None or not event.declared:
        return True
    return dict(event.products).get(row.product, False)


def _product(event: EventRow | None, row: TicketRow) -> str:
    return row.product if _admits(event, row) else f"{row.product} (does not admit)"


def _changed(event: EventRow | None, row: TicketRow) -> str:
    """When the ticket changed last, on the event's clocks and short enough for a column; "" if not known."""
    return f"{in_zone(row.timestamp, zone_of(event)):%Y-%m-%d %H:%M:%S %Z}" if row.timestamp else ""


def event_time(event: EventRow | None, microseconds: int) -> str:
    """A time of the log on the event's clocks, with the name of its zone; "" for 0."""
    zone = zone_of(event)
    return f"{in_zone(microseconds, zone):%Y-%m-%d %H:%M:%S} {zone.key}" if microseconds else ""


def _codes(row: TicketRow) -> str:
    if not (row.codes or row.revoked):
        return ""
    return f"{len(row.codes)} valid" + (f", {len(row.revoked)} revoked" if row.revoked else "")


def entry(event: EventRow | None, row: TicketRow) -> str:
    """The newest entry on `main`: when, at which gate and device."""
    made = list_counts.entry_on_main(row)
    if made is None:
        return UNKNOWN_TIME if state_of_row(row) is State.CONSUMED else ""
    gate = f"gate {made.gate}" if made.gate else ""
    device = f"device {made.device}" if made.device else ""
    elsewhere = "elsewhere" if made.kind == IMPORT else ""
    return ", ".join(filter(None, (event_time(event, made.at) or UNKNOWN_TIME, gate, device, elsewhere)))


def of_holder(caller: Caller, row: TicketRow) -> list[Fact]:
    """What the caller may see of the ticket's holder."""
    holder = TicketHolder.objects.filter(event=row.event, ticket=row.ticket).first()
    if holder is None:
        return []
    if holder.erased_at is not None:
        return [("Holder", f"erased on {holder.erased_at:%Y-%m-%d}")]
    shown = [holder.name, holder.company]
    if may_see_addresses(caller, row.event):
        shown += [holder.email, holder.phone, holder.address]
    facts: list[Fact] = [("Holder", ", ".join(filter(None, shown))), ("Order", holder.order)]
    return [(name, value) for name, value in facts if value]
