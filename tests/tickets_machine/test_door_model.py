"""Random operations on codes, blocks and events against plain dictionaries (D1 to D5, R40, R42)."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dtvn.machine import (
    Admit,
    Block,
    ChangeTicket,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    SetEvent,
    Unblock,
    Validate,
)
from tests.tickets_machine.doors import Door
from tests.tickets_machine.test_code_state import codes_of

EVENTS = st.sampled_from(["opera", "ballet"])
TICKETS = st.sampled_from(["T-1", "T-2", "T-3"])
CODES = st.sampled_from(["A", "B", "C", "D", "T-1"])
SOME_CODES = st.lists(CODES, max_size=3, unique=True)
PRODUCTS = st.sampled_from(["", "Stalls", "Parking"])


class Doors(RuleBasedStateMachine):
    """The model: event -> its products, None while nobody created it; (event, ticket) -> what is known."""

    @initialize()
    def begin(self) -> None:
        self.door = Door(created=False)
        self.created: dict[str, dict[str, bool] | None] = {"opera": None, "ballet": None}
        self.ids: dict[str, bool] = {"opera": True, "ballet": True}
        self.tickets: dict[tuple[str, str], dict[str, Any]] = {}

    def owner(self, event: str, code: str) -> str | None:
        """Name of the ticket that has or had the code."""
        for (where, name), known in self.tickets.items():
            if where == event and code in known["valid"] | known["revoked"]:
                return name
        return None

    def does(self, event: str, command: Any, ticket: str = "", principal: str = "gateway") -> str:
        return self.door.does(command, ticket, principal=principal, event=event).code

    def sell(self, event: str, product: str) -> None:
        listed = self.created[event]
        if product and listed is not None:
            listed.setdefault(product, True)

    @rule(
        event=EVENTS,
        ids=st.none() | st.booleans(),
        products=st.none() | st.dictionaries(PRODUCTS.filter(bool), st.booleans()),
        adds=st.booleans(),
    )
    def set_event(self, event: str, ids: bool | None, products: dict[str, bool] | None, adds: bool) -> None:
        """What is not said stays."""
        adds = adds and products is not None
        listed = None if products is None else tuple(products.items())
        command = SetEvent(ids_are_codes=ids, products=listed, others_stay=adds)
        assert self.does(event, command) == "ok"
        if self.created[event] is None:
            self.created[event], self.ids[event] = {}, any(where == event for where, _ in self.tickets)
        if products is not None:
            self.created[event] = (self.created[event] or {} if adds else {}) | products
        if ids is not None:
            self.ids[event] = ids

    def scanned_as(self, event: str, ticket: str) -> tuple[str, ...]:
        """The id, where ids are codes."""
        return (ticket,) if self.created[event] is None or self.ids[event] else ()

    @rule(event=EVENTS, ticket=TICKETS, codes=SOME_CODES, product=PRODUCTS, blocked=st.booleans())
    def issue(self, event: str, ticket: str, codes: list[str], product: str, blocked: bool) -> None:
        digests = self.door.digests(*codes, event=event)
        command = Issue(codes=digests, product=product, blocked=blocked)
        if (event, ticket) in self.tickets:
            due = "ticket_exists"
        elif any(self.owner(event, code) for code in (*codes, *self.scanned_as(event, ticket))):
            due = "barcode_taken"
        else:
            due = "ok"
            self.sell(event, product)
            self.tickets[event, ticket] = {
                "state": "ISSUED",
                "valid": set(codes),
                "revoked": set(),
                "blocked": blocked,
                "product": product,
            }
        assert self.does(event, command, ticket) == due

    @rule(event=EVENTS, ticket=TICKETS, codes=st.lists(CODES, min_size=1, max_size=3, unique=True))
    def replace(self, event: str, ticket: str, codes: list[str]) -> None:
        due, known = "ticket_not_found", self.tickets.get((event, ticket))
        if known is not None and any(self.owner(event, code) not in (None, ticket) for code in codes):
            due = "barcode_taken"
        elif known is not None:
            due = "ok"
            known["revoked"] = (known["revoked"] | known["valid"]) - set(codes)
            known["valid"] = set(codes)
        assert self.does(event, Replace(self.door.digests(*codes, event=event)), ticket) == due

    @rule(event=EVENTS, ticket=TICKETS, ends=st.booleans())
    def block(self, event: str, ticket: str, ends: bool) -> None:
        due, known = "ticket_not_found", self.tickets.get((event, ticket))
        if known is not None and known["blocked"] is not ends:
            due = "not_blocked" if ends else "already_blocked"
        elif known is not None:
            due, known["blocked"] = "ok", not ends
        assert self.does(event, Unblock() if ends else Block(), ticket) == due

    @rule(event=EVENTS, ticket=TICKETS, product=PRODUCTS)
    def change(self, event: str, ticket: str, product: str) -> None:
        due, known = "ticket_not_found", self.tickets.get((event, ticket))
        if known is not None and known["state"] == "CONSUMED":
            due = "already_consumed"
        elif known is not None:
            if known["product"] != product:
                self.sell(event, product)
            due, known["product"] = "ok", product
        assert self.does(event, ChangeTicket(product=product), ticket) == due

    @rule(event=EVENTS, ticket=TICKETS)
    def enters_elsewhere(self, event: str, ticket: str) -> None:
        due, known = "ticket_not_found", self.tickets.get((event, ticket))
        if known is not None and known["state"] in ("CONSUMED", "DISPUTED"):
            due = "already_consumed" if known["state"] == "CONSUMED" else "disputed"
        elif known is not None:
            due, known["state"] = "ok", "CONSUMED"
        assert self.does(event, ImportEntry(at=5), ticket) == due

    @rule(event=EVENTS, ticket=TICKETS)
    def disputes(self, event: str, ticket: str) -> None:
        """Both sides of a dispute: it begins, or it is cleared."""
        known = self.tickets.get((event, ticket))
        if known is None or known["state"] == "CONSUMED":
            return
        if known["state"] == "DISPUTED":
            assert self.does(event, Resolve(verdict="clear"), ticket) == "ok"
            known["state"] = "VALIDATED"
            return
        if known["state"] == "ISSUED":
            due = "blocked" if known["blocked"] else "ok"
            assert self.does(event, Validate(), ticket) == due
            if due == "blocked":
                return
        assert self.does(event, Dispute(), ticket) == "ok"
        known["state"] = "DISPUTED"

    @rule(event=EVENTS, ticket=TICKETS)
    def scan_id(self, event: str, ticket: str) -> None:
        """The text of an id, which is sent beside its digest."""
        self.scan(event, ticket, ticket)

    @rule(event=EVENTS, ticket=TICKETS)
    def admit_by_id(self, event: str, ticket: str) -> None:
        """By a gate that may do nothing else, which may not where the ticket has codes."""
        known = self.tickets.get((event, ticket))
        if not self.ids[event] or (known is not None and known["valid"]):
            due = "not_permitted"
        elif known is None:
            others = any(where == event for where, _ in self.tickets)
            due = "ticket_not_found" if others or self.created[event] is not None else "unknown_event"
        else:
            due = self.judge(event, known)
        assert self.does(event, Admit(code=b""), ticket, "scanner") == due

    @rule(event=st.sampled_from(["opera", "ballet", "oprea"]), code=CODES, named=st.none() | TICKETS)
    def scan(self, event: str, code: str, named: str | None) -> None:
        """By a gate that may do nothing else; `named`: the text beside the code."""
        command = Admit(gate="n", code=self.door.digest(code, event))
        assert self.does(event, command, named or "", "scanner") == self.due(event, code, named)

    def due(self, event: str, code: str, named: str | None) -> str:
        created = self.created.get(event)
        if created is None and not any(where == event for where, _ in self.tickets):
            return "unknown_event"
        found = self.owner(event, code)
        if found is None and self.ids.get(event, True):
            found = named if code == named and not self.tickets.get((event, code), {}).get("valid") else None
        known = self.tickets.get((event, found or ""))
        return "barcode_not_found" if known is None else self.judge(event, known, code)

    def judge(self, event: str, known: dict[str, Any], code: str = "") -> str:
        """What an admission of this ticket is answered."""
        created = self.created.get(event)
        admits = created is None or not known["product"] or created.get(known["product"], False)
        for holds, reason in (
            (code in known["revoked"], "revoked"),
            (known["blocked"], "blocked"),
            (known["state"] == "DISPUTED", "disputed"),
            (not admits, "wrong_product"),
            (known["state"] == "CONSUMED", "already_consumed"),
        ):
            if holds:
                return reason
        known["state"] = "CONSUMED"
        return "ok"

    @rule(backwards=st.booleans())
    def restart(self, backwards: bool) -> None:
        """A node that starts from its rows continues exactly where it was."""
        self.door.restart(backwards=backwards)

    @invariant()
    def states_and_codes_agree(self) -> None:
        for (event, name), known in self.tickets.items():
            row = self.door.application.row(event, name)
            assert row is not None
            assert (row.state, row.blocked, row.product) == (
                known["state"],
                known["blocked"],
                known["product"],
            )
            assert (set(row.codes), set(row.revoked)) == (
                {*self.door.digests(*known["valid"], event=event)},
                {*self.door.digests(*known["revoked"], event=event)},
            )

    @invariant()
    def each_code_belongs_to_one_ticket(self) -> None:
        index = codes_of(self.door.application)
        for event in self.created:
            due = {
                self.door.digest(code, event): owner
                for code in ("A", "B", "C", "D", "T-1")
                if (owner := self.owner(event, code)) is not None
            }
            assert index.get(event, {}) == due


TestDoors = Doors.TestCase
TestDoors.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
