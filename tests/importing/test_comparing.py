"""Importing again: what a file says otherwise is said, and ordered once it is confirmed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.api.ordering import Request
from dtvn.machine import ImportEntry, Replace
from tests.importing.networks import SALT, PlainNetwork, chosen, digest, stored
from tickets.importing import Holder, ImportedTicket, ImportPlan
from tickets.importing.answers import Answers
from tickets.importing.changes import Change, Differences, key_of_new
from tickets.importing.confirmed import Confirmed, still_holding, unconfirmed
from tickets.importing.imported import WrongRow
from tickets.importing.kinds import KINDS
from tickets.models import TicketHolder

ADA = Holder("Ada T", "ada@example.org")
COLUMNS: dict[str, list[str]] = {
    name: [name] for name in ("product", "seat", "not_before", "not_after", "name", "email", "order")
}
DAY = 86_400_000_000


def ticket(number: int = 1, **fields: Any) -> ImportedTicket:
    known: dict[str, Any] = {"row": number + 1, "ticket_id": f"T-{number}", "codes": (f"C-{number}",)}
    return ImportedTicket(**{"event": "fest", "product": "Day", "holder": ADA, **known, **fields})


def cancelled(number: int = 1, **fields: Any) -> ImportedTicket:
    return ticket(number, admits=False, blocked=True, block_reason="Status: cancelled", **fields)


def file(*tickets: ImportedTicket, read: dict[str, list[str]] = COLUMNS) -> ImportPlan:
    """A file with these rows; those that do not admit are left out."""
    return ImportPlan(
        tickets=[one for one in tickets if one.admits],
        refused=[one for one in tickets if not one.admits],
        read=read,
    )


def network(*tickets: ImportedTicket) -> PlainNetwork:
    """The network after these were imported."""
    found = PlainNetwork()
    found.take(file(*tickets))
    return found


def the_one(found: list[Change]) -> Change:
    (one,) = found
    return one


def ordered(found: Differences, confirmed: Collection[str]) -> list[Request]:
    """The operations once these kinds or keys are confirmed."""
    return [request for one in chosen(found, confirmed) for request in one.steps(SALT)]


def said(one: Change, **how: bool) -> str:
    return one.words(UTC, **how)


def test_another_holder_is_no_operation() -> None:
    known = network(ticket())
    found = known.compare(file(ticket(holder=Holder("Bo T", "ada@example.org"), order="R-7")))
    one = the_one(found.found)
    assert {change.field: (change.old, change.new) for change in one.fields} == {
        "name": ("Ada T", "Bo T"),
        "order": ("", "R-7"),
    }
    assert ordered(found, KINDS) == []
    assert said(one) == "T-1: name Bo T, stored Ada T; order R-7, stored none"
    assert said(one, personal=False) == "T-1: another name; another order"


@pytest.mark.parametrize("persons", [{"entries": 3}, {}])
def test_each_guest_of_a_ticket_for_several_has_an_entry(persons: dict[str, int]) -> None:
    """Whether the file says again for how many it is or not."""
    known, again = network(ticket(entries=3)), file(ticket(entered=True, **persons))
    assert ordered(known.compare(again), ["entry"]) == [Request(ImportEntry(), "T-1", "fest")] * 3
    known.take_all(again)
    assert known.tickets["fest", "T-1"].state == "CONSUMED"


def test_for_how_many_a_ticket_is_stays_and_is_said() -> None:
    known = network(ticket(entries=3))
    found = known.compare(file(ticket(entries=2), read={"quantity": ["quantity"]}))
    assert (found.found, ordered(found, KINDS)) == ([], [])
    assert said(the_one(found.unchanged)).startswith(
        "T-1 (Ada T, Day): persons 2, stored 3; stays as it is: "
    )
    assert known.compare(file(ticket())).same == 1


def test_another_number_of_guests_who_share_a_code_is_said() -> None:
    again = file(ticket(entries=2))
    again.answers = Answers(repeats="persons")
    (left,) = network(ticket(entries=3)).compare(again).unchanged
    assert said(left).startswith("T-1 (Ada T, Day): persons 2, stored 3")


def test_nobody_is_unblocked_by_a_file() -> None:
    known = network(ticket())
    known.take_all(file(cancelled()))
    found = known.compare(file(ticket()))
    assert ordered(found, KINDS) == []
    assert "blocked in the network (Status: cancelled)" in said(the_one(found.unchanged))


@pytest.mark.parametrize(("revoked", "replaced"), [(30, True), (31, False)])
def test_a_ticket_gets_no_more_codes_than_it_may_have_in_all(revoked: int, replaced: bool) -> None:
    """Replaced codes belong to the ticket for ever, so another replacement would be refused each time."""
    before = tuple(digest(f"old-{number}") for number in range(revoked))
    known = network(ticket())
    known.tickets["fest", "T-1"] = msgspec.structs.replace(known.tickets["fest", "T-1"], revoked=before)
    found = known.compare(file(ticket(codes=("C-9",))))
    commands = [request.command for request in ordered(found, KINDS)]
    assert commands == ([Replace((digest("C-9"),))] if replaced else [])
    assert [one.why for one in found.unchanged] == (
        [] if replaced else ["a ticket has at most 32 codes in all"]
    )


def test_a_row_is_known_by_its_code_whatever_its_id() -> None:
    """A source that counts its rows gives the ids anew each time; a ticket whose id is taken gets another."""
    known = network(ticket(1), ticket(2))
    moved = [ticket(1, codes=("C-2",)), ticket(2, codes=("C-9",)), ticket(3, codes=("C-1",))]
    found = known.take_all(file(*moved))
    assert (found.same, found.found, found.unclear) == (2, [], [])
    (new,) = found.new
    assert new.ticket is not None
    assert (new.ticket.codes, new.ticket_id[:2]) == (("C-9",), "t-")
    assert known.compare(file(*moved)).same == 3


@pytest.mark.parametrize("codes", ["codes", "revoked"])
def test_an_id_of_another_source_is_no_reason_to_replace_a_code(codes: str) -> None:
    other = stored("T-1", **{codes: (digest("X-1"),)})
    found = PlainNetwork(other).compare(file(ticket()))
    assert (found.new, found.found) == ([], [])
    assert [wrong.row for wrong in found.unclear] == [2]
    assert "of another source" in found.unclear[0].reason


def test_a_row_without_a_code_is_known_by_its_id() -> None:
    """What is cancelled without a code may be another source's ticket of the same name."""
    other = stored("T-1", product="Day", codes=(digest("X-1"),))
    known = PlainNetwork(other, holder=ADA)
    assert known.compare(file(ticket(codes=()))).same == 1
    found = known.compare(file(cancelled(codes=())))
    assert (found.found, found.unclear) == ([], [])


def test_an_id_that_opens_its_ticket_is_a_code() -> None:
    one = stored("C-1", product="Day")
    assert PlainNetwork(one, holder=ADA, ids_are_codes=True).compare(file(ticket())).same == 1
    found = PlainNetwork(one, holder=ADA).compare(file(ticket()))
    assert (found.same, found.found, [new.ticket_id for new in found.new]) == (0, [], ["T-1"])


def test_an_id_does_not_open_a_ticket_that_has_codes() -> None:
    """So a file whose code is that id is about another ticket, unless the code was this one's before."""
    other = stored("C-1", product="Day", codes=(digest("X-1"),))
    found = PlainNetwork(other, holder=ADA, ids_are_codes=True).compare(file(ticket()))
    assert (found.same, [new.ticket_id for new in found.new]) == (0, ["T-1"])
    replaced = msgspec.structs.replace(other, revoked=(digest("C-1"),))
    found = PlainNetwork(replaced, holder=ADA, ids_are_codes=True).compare(file(ticket()))
    assert [one.why for one in found.unchanged] == ["the code in the file was replaced in the network"]


def test_only_what_is_as_it_was_shown_is_ordered_of_a_confirmation() -> None:
    known = network(*(ticket(number, seat="A") for number in (1, 2, 3)))
    plan = file(*(ticket(number, seat="B") for number in (1, 2, 3)))
    first, second, third = known.compare(plan).found
    known.tickets["fest", "T-2"] = msgspec.structs.replace(known.tickets["fest", "T-2"], seat="C")
    confirmed = Confirmed({first.key, second.key}, {third.key})
    held = still_holding(known.compare(plan), confirmed)
    assert (held.wanted, held.missing, held.left) == ([first], {second.key}, [third])
    assert [one.ticket_id for one in held.unseen] == ["T-2"]
    assert unconfirmed(held, lambda one: f"{one.ticket_id} stays") == [WrongRow(third.row, "T-3 stays")]


def test_a_confirmed_row_that_became_unclear_is_not_issued() -> None:
    """Another source made a ticket of its id meanwhile."""
    plan = file(ticket(1), ticket(2))
    confirmed = Confirmed({key_of_new(one) for one in plan.tickets})
    assert len(still_holding(PlainNetwork().compare(plan), confirmed).wanted) == 2
    other = stored("T-1", product="Day", codes=(digest("X-1"),))
    held = still_holding(PlainNetwork(other).compare(plan), confirmed)
    assert [one.ticket_id for one in held.wanted] == ["T-2"]


def test_rows_that_may_be_two_tickets_or_one_twice_are_unclear() -> None:
    known = network(ticket(1), ticket(2), ticket(3, codes=("C-3", "C-4")))
    found = known.compare(
        file(ticket(5, codes=("C-1", "C-2")), ticket(6, codes=("C-3",)), ticket(7, codes=("C-4",)))
    )
    assert [(wrong.row, wrong.reason) for wrong in found.unclear] == [
        (6, "has codes of several tickets: T-1, T-2"),
        (8, "is ticket T-3, as row 7 is"),
    ]
    assert (found.new, found.found) == ([], [])


def test_a_row_that_admits_counts_before_one_that_does_not() -> None:
    known = network(ticket(codes=("C-1", "C-2")))
    found = known.compare(file(cancelled(1, codes=("C-1",)), ticket(2, codes=("C-2",))))
    assert (found.same, found.found, found.unclear) == (1, [], [])


def test_an_erased_holder_is_not_stored_again() -> None:
    known = network(ticket())
    known.holders["fest", "T-1"] = TicketHolder(erased_at=datetime(2026, 8, 1, tzinfo=UTC))
    found = known.compare(file(ticket()))
    assert found.found == []
    assert "erased" in said(the_one(found.unchanged))
    assert "Ada" not in said(the_one(found.unchanged))


# --- 35a and 35b ------------------------------------------------------------------------------------

FIRST: dict[str, Any] = {"code": "ticket_id", "entrances": "Day", "timezone": "Europe/Berlin"}
SECOND: dict[str, Any] = {"admits": ["status=valid"], "entrances": "Day,Weekend"}


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000 + 999_999


# --- any two files ----------------------------------------------------------------------------------

BOUNDS = st.integers(0, 3).map(lambda days: days * DAY)


@st.composite
def tickets(draw: st.DrawFn) -> list[ImportedTicket]:
    """Rows of one source: its ids stay, and a code belongs to one ticket, whichever it is at the time."""
    found = []
    for number in draw(st.lists(st.integers(1, 5), unique=True)):
        codes = draw(st.sampled_from([(f"C-{number}",), (f"D-{number}",), (f"C-{number}", f"D-{number}")]))
        begins, length = draw(BOUNDS), draw(BOUNDS)
        fields: dict[str, Any] = {
            "codes": codes,
            "product": draw(st.sampled_from(["Day", "VIP"])),
            "not_before": begins,
            "not_after": begins + length if length else 0,
            "holder": Holder(draw(st.sampled_from(["", "Ada", "Bo"]))),
            "entered": draw(st.booleans()),
        }
        if draw(st.booleans()):
            found.append(cancelled(number, **fields | {"entered": False}))
        else:
            found.append(ticket(number, **fields))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(tickets(), min_size=1, max_size=3))
def test_what_is_confirmed_is_settled_and_comes_up_no_more(files: list[list[ImportedTicket]]) -> None:
    known = PlainNetwork()
    for rows in files:
        before = dict(known.tickets)
        found = known.take_all(file(*rows))
        again = known.compare(file(*rows))
        assert (again.new, again.found, again.unclear, found.unclear) == ([], [], [], [])
        assert [one.key for one in again.unchanged] == [one.key for one in found.unchanged]
        for place, old in before.items():
            now = known.tickets[place]
            assert now.blocked >= old.blocked, "no file unblocks"
            assert set(old.revoked) <= set(now.revoked), "no file makes a replaced code valid again"
            assert (now.state == "CONSUMED") >= (old.state == "CONSUMED"), "no file undoes an entry"
