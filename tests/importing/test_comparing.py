"""Importing again: what a file says otherwise is said, and ordered once it is confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Block, ChangeTicket, ImportEntry, Replace, reasons
from tests.importing.networks import PlainNetwork, digest
from tests.importing.test_cases import CASES, SUMMER
from tests.importing.test_cases import plan as plan_of
from tickets.importing import Holder, ImportedTicket, ImportPlan, read_plan
from tickets.importing.answers import answers_from
from tickets.importing.differences import (
    KINDS,
    UNASKED,
    Difference,
    Differences,
    StoredTicket,
    chosen,
    is_done,
    key_of_new,
    requests_of,
    sentence,
)
from tickets.importing.imported import WrongRow
from tickets.importing.shown import Confirmed
from tickets.importing.standing import standing, unconfirmed

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


def the_one(found: list[Difference]) -> Difference:
    (one,) = found
    return one


def ordered(found: Differences, confirmed: Collection[str]) -> list[Request]:
    """The operations once these kinds or keys are confirmed."""
    return [request for _, request in requests_of(chosen(found, confirmed))]


def said(one: Difference, **how: bool) -> str:
    return sentence(one, UTC, **how)


def test_the_same_file_again_says_nothing() -> None:
    known = network(ticket(1, not_after=DAY), ticket(2))
    found = known.compare(file(ticket(1, not_after=DAY), ticket(2)))
    assert (found.new, found.same, found.found, found.unchanged, found.gone, found.unclear) == (
        [],
        2,
        [],
        [],
        [],
        [],
    )


@pytest.mark.parametrize(
    ("before", "after", "command"),
    [
        ({}, {"product": "Weekend"}, ChangeTicket(product="Weekend")),
        ({"seat": "A-1"}, {"seat": ""}, ChangeTicket(seat="")),
        ({"not_after": DAY}, {"not_after": 2 * DAY}, ChangeTicket(not_after=2 * DAY + 999_999)),
        ({"not_before": DAY}, {"not_before": 0}, ChangeTicket(not_before=0)),
        ({}, {"entered": True, "entered_at": DAY}, ImportEntry(at=DAY)),
        ({}, {"entered": True, "gate": "n", "device": "d"}, ImportEntry(gate="n", device="d")),
        ({}, {"codes": ("C-9",)}, Replace((digest("C-9"),))),
        ({}, {"blocked": True, "block_reason": "stolen"}, Block("stolen")),
        ({}, {"admits": False, "blocked": True, "block_reason": "Status: void"}, Block("Status: void")),
    ],
)
def test_a_difference_is_ordered_once_confirmed_and_not_before(
    before: dict[str, Any], after: dict[str, Any], command: Any
) -> None:
    known = network(ticket(**before))
    found = known.compare(file(ticket(**after)))
    one = the_one(found.found)
    assert (found.new, found.same, found.unchanged) == ([], 0, [])
    assert ordered(found, []) == []
    texts = ("C-9",) if one.kind == "replace" else ()
    assert ordered(found, [one.key]) == [Request(command, "T-1", "fest", texts=texts)]
    assert ordered(found, [one.kind]) == ordered(found, [one.key])
    known.take_all(file(ticket(**after)))
    assert known.compare(file(ticket(**after))).found == []


def test_what_was_confirmed_is_not_what_a_changed_network_would_make_of_it() -> None:
    known = network(ticket())
    wanted = file(ticket(product="Weekend"))
    shown = the_one(known.compare(wanted).found)
    known.take_all(file(ticket(product="VIP")))
    assert ordered(known.compare(wanted), [shown.key]) == []


def test_what_was_confirmed_of_a_person_or_a_code_is_not_another_one() -> None:
    known = network(ticket(holder=Holder("Ada")))
    wanted = file(ticket(holder=Holder("Bo")), ticket(2))
    shown = the_one(known.compare(wanted).found)
    known.take_all(file(ticket(holder=Holder("Cem"))))
    assert chosen(known.compare(wanted), [shown.key]) == []

    known = network(ticket())
    wanted = file(ticket(codes=("C-9",)))
    shown = the_one(known.compare(wanted).found)
    known.take_all(file(ticket(codes=("C-7",))))
    assert chosen(known.compare(wanted), [shown.key]) == []


def test_a_request_comes_from_the_row_of_its_ticket_in_its_event() -> None:
    """Two events may have tickets of one id."""
    rows = [ticket(1), ticket(2, event="gala", ticket_id="T-1", codes=("C-2",))]
    known = network(*rows)
    found = known.compare(file(*(msgspec.structs.replace(one, seat="B-2") for one in rows)))
    asked = requests_of(found.found)
    assert [(request.event, one.row) for one, request in asked] == [("fest", 2), ("gala", 3)]


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


def test_a_field_without_a_column_stays() -> None:
    known = network(ticket(seat="A-1", order="R-7"))
    found = known.compare(
        file(ticket(product="Day", seat="", holder=Holder()), read={"product": ["product"]})
    )
    assert (found.same, found.found) == (1, [])


@pytest.mark.parametrize("persons", [{"entries": 3}, {}])
def test_each_guest_of_a_ticket_for_several_has_an_entry(persons: dict[str, int]) -> None:
    """Whether the file says again for how many it is or not."""
    known, again = network(ticket(entries=3)), file(ticket(entered=True, **persons))
    assert ordered(known.compare(again), ["entry"]) == [Request(ImportEntry(), "T-1", "fest")] * 3
    known.take_all(again)
    assert known.tickets["fest", "T-1"].state == "CONSUMED"


def test_one_guest_who_is_inside_is_no_reason_to_refuse_the_others_of_the_ticket() -> None:
    known = PlainNetwork(
        StoredTicket(
            event="fest",
            ticket_id="T-1",
            entries=3,
            entries_made=1,
            codes=(digest("C-1"),),
            state="VALIDATED",
        )
    )
    assert known.compare(file(ticket(entries=3, entered=True), read={})).same == 1


def test_for_how_many_a_ticket_is_stays_and_is_said() -> None:
    known = network(ticket(entries=3))
    found = known.compare(file(ticket(entries=2), read={"quantity": ["quantity"]}))
    assert (found.found, ordered(found, KINDS)) == ([], [])
    assert said(the_one(found.unchanged)).startswith(
        "T-1 (Ada T, Day): persons 2, stored 3; stays as it is: "
    )
    assert known.compare(file(ticket())).same == 1


@pytest.mark.parametrize("fields", [{"product": "VIP"}, {"holder": Holder("Bo T")}])
def test_a_ticket_that_has_entered_is_said_and_stays(fields: dict[str, Any]) -> None:
    known = network(ticket())
    known.enter("T-1")
    found = known.compare(file(ticket(**fields)))
    assert (found.found, ordered(found, KINDS)) == ([], [])
    assert said(the_one(found.unchanged)).endswith("stays as it is: its guest has entered already")


def test_a_cancelled_guest_who_has_entered_is_blocked_all_the_same() -> None:
    known = network(ticket())
    known.enter("T-1")
    assert the_one(known.compare(file(cancelled())).found).kind == "cancel"


def test_a_window_that_would_be_empty_is_not_ordered() -> None:
    known = network(ticket(not_before=3 * DAY, not_after=4 * DAY))
    found = known.compare(file(ticket(not_after=DAY), read={"not_after": ["until"]}))
    assert found.found == []
    assert "its window would be empty" in said(the_one(found.unchanged))


def test_nobody_is_unblocked_by_a_file() -> None:
    known = network(ticket())
    known.take_all(file(cancelled()))
    found = known.compare(file(ticket()))
    assert ordered(found, KINDS) == []
    assert "blocked in the network (Status: cancelled)" in said(the_one(found.unchanged))


def test_a_code_that_was_replaced_stays_so() -> None:
    known = network(ticket())
    known.take_all(file(ticket(codes=("C-9",))))
    found = known.compare(file(ticket()))
    assert ordered(found, KINDS) == []
    one = the_one(found.unchanged)
    assert "was replaced in the network" in said(one)
    assert "C-1" not in said(one)
    assert known.compare(file(ticket(codes=("C-9",)))).same == 1


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


def test_one_of_several_codes_is_no_difference() -> None:
    known = network(ticket(codes=("C-1", "band-1")))
    assert known.compare(file(ticket())).same == 1


def test_a_row_is_known_by_its_code_whatever_its_id() -> None:
    """A source that counts its rows gives the ids anew each time; a ticket whose id is taken gets another."""
    known = network(ticket(1), ticket(2))
    moved = [ticket(1, codes=("C-2",)), ticket(2, codes=("C-9",)), ticket(3, codes=("C-1",))]
    found = known.take_all(file(*moved))
    assert (found.same, found.found, found.unclear) == (2, [], [])
    (new,) = found.new
    assert (new.codes, new.ticket_id[:2]) == (("C-9",), "t-")
    assert known.compare(file(*moved)).same == 3


@pytest.mark.parametrize("codes", ["codes", "revoked"])
def test_an_id_of_another_source_is_no_reason_to_replace_a_code(codes: str) -> None:
    other = msgspec.structs.replace(StoredTicket(event="fest", ticket_id="T-1"), **{codes: (digest("X-1"),)})
    found = PlainNetwork(other).compare(file(ticket()))
    assert (found.new, found.found) == ([], [])
    assert [wrong.row for wrong in found.unclear] == [2]
    assert "of another source" in found.unclear[0].reason


def test_a_row_without_a_code_is_known_by_its_id() -> None:
    """What is cancelled without a code may be another source's ticket of the same name."""
    other = StoredTicket(event="fest", ticket_id="T-1", product="Day", codes=(digest("X-1"),), holder=ADA)
    known = PlainNetwork(other)
    assert known.compare(file(ticket(codes=()))).same == 1
    found = known.compare(file(cancelled(codes=())))
    assert (found.found, found.unclear) == ([], [])


def test_a_ticket_of_before_codes_gets_its_code() -> None:
    known = PlainNetwork(StoredTicket(event="fest", ticket_id="T-1", product="Day", holder=ADA))
    assert the_one(known.compare(file(ticket())).found).kind == "replace"


def test_an_id_that_opens_its_ticket_is_a_code() -> None:
    one = StoredTicket(event="fest", ticket_id="C-1", product="Day", holder=ADA)
    assert PlainNetwork(one, ids_are_codes=True).compare(file(ticket())).same == 1
    found = PlainNetwork(one).compare(file(ticket()))
    assert (found.same, found.found, [new.ticket_id for new in found.new]) == (0, [], ["T-1"])


def test_an_id_does_not_open_a_ticket_that_has_codes() -> None:
    """So a file whose code is that id is about another ticket, unless the code was this one's before."""
    other = StoredTicket(event="fest", ticket_id="C-1", product="Day", holder=ADA, codes=(digest("X-1"),))
    found = PlainNetwork(other, ids_are_codes=True).compare(file(ticket()))
    assert (found.same, [new.ticket_id for new in found.new]) == (0, ["T-1"])
    replaced = msgspec.structs.replace(other, revoked=(digest("C-1"),))
    found = PlainNetwork(replaced, ids_are_codes=True).compare(file(ticket()))
    assert [one.why for one in found.unchanged] == ["the code in the file was replaced in the network"]


def test_only_what_is_as_it_was_shown_is_ordered_of_a_confirmation() -> None:
    known = network(*(ticket(number, seat="A") for number in (1, 2, 3)))
    plan = file(*(ticket(number, seat="B") for number in (1, 2, 3)))
    first, second, third = known.compare(plan).found
    known.tickets["fest", "T-2"] = msgspec.structs.replace(known.tickets["fest", "T-2"], seat="C")
    confirmed = Confirmed({first.key, second.key}, {third.key}, Counter())
    held = standing(plan, known.compare(plan), confirmed)
    assert (held.wanted, held.missing, held.counts_left()) == ([first], {second.key}, Counter(change=1))
    assert [one.ticket_id for one in held.unseen] == ["T-2"]
    assert unconfirmed(held, lambda one: f"{one.ticket_id} stays") == [WrongRow(third.row, "T-3 stays")]


def test_a_confirmed_row_that_became_unclear_is_not_issued() -> None:
    """Another source made a ticket of its id meanwhile."""
    plan = file(ticket(1), ticket(2))
    confirmed = Confirmed({key_of_new(one) for one in plan.tickets}, set(), Counter())
    assert len(standing(plan, PlainNetwork().compare(plan), confirmed).fresh) == 2
    other = StoredTicket(event="fest", ticket_id="T-1", product="Day", codes=(digest("X-1"),))
    held = standing(plan, PlainNetwork(other).compare(plan), confirmed)
    assert [one.ticket_id for one in held.fresh.values()] == ["T-2"]


def test_the_entry_of_a_ticket_that_was_issued_meanwhile_goes_on_with_it() -> None:
    plan = file(ticket(1, entered=True))
    confirmed = Confirmed({key_of_new(plan.tickets[0])}, set(), Counter())
    found = network(ticket(1)).compare(plan)
    assert the_one(found.found).kind == "entry"
    held = standing(plan, found, confirmed)
    assert ([*held.fresh.values()], held.wanted, held.unseen) == (plan.tickets, [], [])


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


def test_what_is_gone_is_blocked_only_if_somebody_says_so() -> None:
    known = network(ticket(1), ticket(2), ticket(3))
    known.take_all(file(ticket(1), ticket(2), cancelled(3)))
    stranger = StoredTicket(event="fest", ticket_id="X-1", codes=(digest("X-1"),))
    known.tickets["fest", "X-1"] = stranger
    found = known.compare(file(ticket(1)))
    one = the_one(found.gone)
    assert said(one) == "T-2 (Ada T, Day): is in no row of the file"
    assert said(one, personal=False) == "T-2: is in no row of the file"
    assert ordered(found, UNASKED) == []
    blocked = [Request(Block("no longer in the seller's file"), "T-2", "fest")]
    assert (ordered(found, ["gone"]), ordered(found, [one.key])) == (blocked, blocked)
    known.take(file(ticket(1)), ["gone"])
    assert known.compare(file(ticket(1))).gone == []


def test_a_row_that_admits_counts_before_one_that_does_not() -> None:
    known = network(ticket(codes=("C-1", "C-2")))
    found = known.compare(file(cancelled(1, codes=("C-1",)), ticket(2, codes=("C-2",))))
    assert (found.same, found.found, found.unclear) == (1, [], [])


def test_a_cancelled_row_that_nobody_issued_is_not_issued() -> None:
    found = PlainNetwork().compare(file(cancelled()))
    assert (found.new, found.found, found.same) == ([], [], 0)


def test_an_erased_holder_is_not_stored_again() -> None:
    known = network(ticket())
    known.tickets["fest", "T-1"] = msgspec.structs.replace(
        known.tickets["fest", "T-1"], holder=Holder(), erased=True
    )
    found = known.compare(file(ticket()))
    assert found.found == []
    assert "erased" in said(the_one(found.unchanged))
    assert "Ada" not in said(the_one(found.unchanged))


def test_a_disputed_ticket_is_not_entered() -> None:
    known = network(ticket())
    known.tickets["fest", "T-1"] = msgspec.structs.replace(known.tickets["fest", "T-1"], state="DISPUTED")
    found = known.compare(file(ticket(entered=True)))
    assert (found.found, the_one(found.unchanged).kind) == ([], "entry")


@pytest.mark.parametrize(
    ("command", "code", "done"),
    [
        (Block("x"), reasons.OK, True),
        (Block("x"), reasons.ALREADY_BLOCKED, True),
        (ImportEntry(), reasons.ALREADY_CONSUMED, True),
        (ChangeTicket(seat="A"), reasons.ALREADY_CONSUMED, False),
        (Replace((bytes(32),)), reasons.BARCODE_TAKEN, False),
    ],
)
def test_an_order_that_was_carried_out_before_is_done(command: Any, code: str, done: bool) -> None:
    assert is_done(Decision(Request(command, "T-1", "fest"), Result(code))) is done


# --- 35a and 35b ------------------------------------------------------------------------------------

FIRST: dict[str, Any] = {"code": "ticket_id", "entrances": "Day", "timezone": "Europe/Berlin"}
SECOND: dict[str, Any] = {"admits": ["status=valid"], "entrances": "Day,Weekend"}


def second_file() -> tuple[PlainNetwork, ImportPlan]:
    """The network after 35a, and 35b under the answers that were stored with it."""
    first = plan_of("35a-reimport-v1.csv", FIRST)
    known = PlainNetwork()
    assert len(known.take(first).new) == 3
    stored = {first.key: first.answers}
    path = CASES / "35b-reimport-v2.csv"
    asked = read_plan(path, known=SUMMER, stored=stored).questions
    assert {question.id for question in asked} == {"admits:status", "entrances"}
    return known, read_plan(path, answers_from(**SECOND), known=SUMMER, stored=stored)


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000 + 999_999


def test_35b_changes_two_and_blocks_one_once_it_is_confirmed() -> None:
    known, second = second_file()
    found = known.take(second)
    assert (found.new, found.unclear, found.unchanged, found.gone) == ([], [], [], [])
    assert [(one.ticket_id, one.kind, [each.field for each in one.fields]) for one in found.found] == [
        ("RI-1", "holder", ["name"]),
        ("RI-2", "change", ["product", "not_after"]),
        ("RI-3", "cancel", []),
    ]
    assert known.compare(second) == found, "nothing was confirmed, so nothing was done"

    known.take(second, [one.key for one in found.found])
    changed, moved, blocked = (known.tickets["summer", f"RI-{number}"] for number in (1, 2, 3))
    assert changed.holder.name == "Ada Testfrau-Neu"
    assert (moved.product, moved.not_after) == ("Weekend", moment("2027-01-02 23:59:59+01:00"))
    assert (blocked.blocked, blocked.block_reason) == (True, "status: cancelled")
    assert known.compare(second).found == []


def test_35b_leaves_a_ticket_that_has_entered_as_it_is_and_says_so() -> None:
    known, second = second_file()
    known.enter("RI-2", "summer")
    found = known.take_all(second)
    assert [one.ticket_id for one in found.found] == ["RI-1", "RI-3"]
    assert "RI-2" in said(the_one(found.unchanged))
    assert known.tickets["summer", "RI-2"].product == "Day"


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
