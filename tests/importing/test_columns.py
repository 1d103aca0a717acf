"""No column that may decide who comes in is passed over, whatever it is called."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importing.planning import FEST, asked, codes, moment, plan, stored_of
from tickets.importing import FileRefused, Known, LeftOut

NAMES = (
    "Cancelled Waitlisted Resold Fraud Deleted Chargeback|Storniert Warteliste Weiterverkauft Rückgabe"
    "|Annulé Liste_d'attente Revendu Remboursé|Anulado Lista_de_espera Reembolsado"
    "|Annullato In_attesa Rimborsato Stato|Geannuleerd Wachtlijst Doorverkocht|Cancelado Devolvido Lista"
    "|Avbokad Väntelista Återköpt|Anulowano Zwrot Lista_rezerwowa|Peruttu Jonossa Palautettu"
)
"""What decides, in English, German, French, Spanish, Italian, Dutch, Portuguese, Swedish, Polish, Finnish."""
WORDS = "yes no ja nein oui non sí sì kyllä ei tak nie sim não x ✓ - paid offen void 0 1 true false"
names = st.sampled_from(NAMES.replace("|", " ").split()).map(lambda name: name.replace("_", " "))
words = st.sampled_from(["", *WORDS.split()]) | st.text(st.characters(categories=["Ll", "Lu"]), min_size=1)


def table_of(columns: dict[str, list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


@settings(deadline=None)
@given(
    name=names | st.text(st.characters(categories=["Ll", "Lu"]), min_size=3).map("zz {}".format),
    values=st.lists(words, min_size=2, max_size=12, unique_by=str.casefold),
    rows=st.lists(st.integers(0, 11), min_size=2, max_size=60),
)
def test_a_column_that_parts_the_rows_is_never_passed_over(
    name: str, values: list[str], rows: list[int]
) -> None:
    cells = [values[row % len(values)] for row in rows]
    codes_ = [f"C-{row}-{number}" for number, row in enumerate(rows)]
    with TemporaryDirectory() as folder:
        found = plan(Path(folder), table_of({"Barcode": codes_, name: cells}))
    assert {question.column for question in found.questions} <= {name, ""}, "the code, if it is called so"
    assert found.questions or len(set(cells)) == 1


def many(name: str, cells: list[str]) -> str:
    return table_of({"barcode": [f"C-{number}" for number in range(len(cells))], name: cells})


@pytest.mark.parametrize(
    ("cells", "is_asked"),
    [
        ([f"note {number}" for number in range(40)], True),
        ([*[f"note {number}" for number in range(39)], ""], True),
        ([*["usual"] * 21, *[f"other {number}" for number in range(19)]], True),
        ([f"row {number % 39}" for number in range(40)], True),
        ([f"a{number}@x.se" for number in range(40)], False),
        ([f"{'ab'[number % 2]}@x.se" for number in range(40)], True),
        ([f"a{number}@x.se" if number else "" for number in range(40)], True),
        ([f"{'refunded' if number % 9 else 'paid'} by card {number}" for number in range(40)], True),
        ([f"{'ab' if number % 9 else 'an'}gemeldet{number:02}" for number in range(40)], True),
        ([f"{number}Mar2026" for number in range(1, 29)], True),
        ([*[f"note {number}" for number in range(39)], "2026-06-01"], True),
        ([f"2026-06-{number % 30 + 1:02}" for number in range(40)], True),
        (["same"] * 40, False),
        (["cancelled"] * 40, True),
    ],
)
def test_what_is_asked_is_what_parts_the_rows(tmp_path: Path, cells: list[str], is_asked: bool) -> None:
    found = plan(tmp_path, many("Etwas", cells))
    assert asked(found) == (["column:etwas"] if is_asked else [])


def test_a_list_in_json_may_decide_too(tmp_path: Path) -> None:
    rows = [
        {"barcode": f"C-{number}", "refunds": refunds} for number, refunds in enumerate(([], [{"at": 1}]))
    ]
    assert asked(plan(tmp_path, rows)) == ["column:refunds (a list) at"]
    found = plan(tmp_path, rows, admits=["refunds (a list) at="])
    assert (codes(found), found.left_out) == (["C-0"], [LeftOut(2, "refunds (a list) at: 1")])


def test_a_stored_answer_holds_for_its_event_and_source_alone(tmp_path: Path) -> None:
    content = "barcode,VIP\nC-1,yes\nC-2,no\n"
    stored = stored_of(plan(tmp_path, content, harmless=["VIP"]))
    again = plan(tmp_path, content.replace("no", "maybe"), stored=stored)
    assert (asked(again), [one.origin for one in again.told]) == (
        [],
        ["an earlier answer", "an earlier answer"],
    )
    other = Known(event="gala", events=("gala",))
    assert asked(plan(tmp_path, content, known=other, stored=stored)) == ["column:vip"]
    assert asked(plan(tmp_path, "barcode,VIP,Resold\nC-1,yes,\nC-2,no,x\n", stored=stored)) == [
        "column:resold"
    ], "a later file with one more column"


def test_a_value_that_no_stored_answer_names_is_asked_about(tmp_path: Path) -> None:
    stored = stored_of(plan(tmp_path, "barcode,Flag\nC-1,a\nC-2,b\n", admits=["Flag=a"]))
    assert codes(plan(tmp_path, "barcode,Flag\nC-1,a\nC-2,b\n", stored=stored)) == ["C-1"]
    assert asked(plan(tmp_path, "barcode,Flag\nC-1,a\nC-2,c\n", stored=stored)) == ["admits:flag"]


def test_a_column_of_one_value_is_remembered_with_it(tmp_path: Path) -> None:
    stored = stored_of(plan(tmp_path, "barcode,Flag\nC-1,ok\nC-2,ok\n"))
    assert asked(plan(tmp_path, "barcode,Flag\nC-1,ok\n", stored=stored)) == []
    assert asked(plan(tmp_path, "barcode,Flag\nC-1,resold\nC-2,resold\n", stored=stored)) == ["column:flag"]


def test_dates_of_cancellation_are_answered_once(tmp_path: Path) -> None:
    content = "barcode,Gone at\nC-1,\nC-2,2026-08-01 10:00\n"
    first = plan(tmp_path, content, admits=["Gone at="])
    assert first.left_out == [LeftOut(3, "Gone at: 2026-08-01 10:00")]
    later = plan(tmp_path, content + "C-3,2026-08-02 09:00\n", stored=stored_of(first))
    assert (codes(later), [one.row for one in later.left_out]) == (["C-1"], [3, 4])


def test_a_status_that_says_who_has_entered_is_asked_about_its_other_values(tmp_path: Path) -> None:
    content = "barcode,Mark\nC-1,1\nC-2,7\nC-3,3\n"
    assert asked(plan(tmp_path, content, entered=["Mark=7"])) == ["admits:mark"]
    found = plan(tmp_path, content, entered=["Mark=7"], admits=["Mark=1,7"])
    assert [(one.codes[0], one.entered) for one in found.tickets] == [("C-1", False), ("C-2", True)]
    assert asked(plan(tmp_path, "barcode,In\nC-1,yes\nC-2,no\n", entered=["In=yes"])) == []


def test_a_row_without_a_product_is_asked_about_in_a_file_of_products(tmp_path: Path) -> None:
    content = "barcode,product\nC-1,Day\nC-2,\nC-3,Parking\n"
    (question,) = plan(tmp_path, content).questions
    assert ("", 1) in question.values
    found = plan(tmp_path, content, entrances="Day")
    assert (codes(found), found.left_out) == (["C-1", "C-3"], [LeftOut(3, "product: empty")])
    assert codes(plan(tmp_path, content, entrances="Day,")) == ["C-1", "C-2", "C-3"]


def test_a_row_without_an_event_among_others_enters_none_unasked(tmp_path: Path) -> None:
    content = "barcode,event\nC-1,fest\nC-2,\nC-3,gala\n"
    known = Known(events=("fest", "gala"))
    for chosen in (known, FEST):
        (question,) = plan(tmp_path, content, known=chosen, event_name=["gala=gala"]).questions
        assert (question.id, question.values) == ("event", [("", 1)])
    found = plan(tmp_path, content, known=known, event_name=["=gala"])
    assert [(one.event, one.codes[0]) for one in found.tickets] == [
        ("fest", "C-1"), ("gala", "C-2"), ("gala", "C-3")
    ]  # fmt: skip
    out = plan(tmp_path, content, event_name=["gala=", "="])
    assert (codes(out), out.left_out[0]) == (["C-1"], LeftOut(3, "names no event"))
    assert codes(plan(tmp_path, "barcode,event\nC-1,\nC-2,\n")) == ["C-1", "C-2"], "no row names one"


def test_a_new_column_of_a_source_is_asked_about(tmp_path: Path) -> None:
    stored = stored_of(plan(tmp_path, "barcode,Flag\nC-1,1\nC-2,0\n", admits=["Flag=1"]))
    content = "barcode,Flag,Seller\nC-1,1,other\nC-2,0,other\n"
    assert asked(plan(tmp_path, content, stored=stored)) == ["column:seller"]


def test_an_asterisk_in_a_cell_is_not_any_text(tmp_path: Path) -> None:
    found = plan(tmp_path, "barcode,Mark\nC-1,*\nC-2,x\n", admits=["Mark=\\*"])
    assert codes(found) == ["C-1"]


def test_an_answer_about_a_column_contradicts_no_other(tmp_path: Path) -> None:
    content = "barcode,Flag\nC-1,a\nC-2,b\n"
    with pytest.raises(FileRefused, match="Flag contradict"):
        plan(tmp_path, content, admits=["Flag=a"], harmless=["Flag"])
    with pytest.raises(FileRefused, match="no column 'flagge'"):
        plan(tmp_path, content, harmless=["Flagge"])


DAYS = """barcode,Day
C-1,2026-11-28;2026-11-29
C-2,28.11.2026
C-3,2026-11-29 00:00
C-4,2026-11-27;2026-11-29
"""
BERLIN = {"timezone": "Europe/Berlin"}


def test_a_ticket_admits_on_its_day_in_the_zone_of_the_event(tmp_path: Path) -> None:
    found = plan(tmp_path, DAYS, day=["Day"], **BERLIN)
    saturday, sunday, monday = moment(2026, 11, 27, 23), moment(2026, 11, 28, 23), moment(2026, 11, 29, 23)
    second = 1_000_000
    assert [(one.not_before, one.not_after) for one in found.tickets] == [
        (saturday, monday - second),
        (saturday, sunday - second),
        (sunday, monday - second),
    ]
    (wrong,) = found.wrong
    assert "days that do not follow each other" in wrong.reason


EVENING = "barcode,Begins\nC-1,2026-11-28 23:00\nC-2,29.11.2026 20:30\nC-3,2026-11-30\n"


def test_an_evening_goes_on_past_midnight_and_begins_at_its_time(tmp_path: Path) -> None:
    (question,) = plan(tmp_path, EVENING).questions
    assert question.ends == ["06:00"], "a time does not say how long it lasts"
    assert "day=Begins=06:00" in question.answers
    with pytest.raises(FileRefused, match=r'holds times: say until when.*"--day=Begins=06:00"'):
        plan(tmp_path, EVENING, day=["Begins"], **BERLIN)
    found = plan(tmp_path, EVENING, day=["Begins=06:00"], **BERLIN)
    assert [(one.not_before, one.not_after) for one in found.tickets] == [
        (moment(2026, 11, 28, 22), moment(2026, 11, 29, 5)),
        (moment(2026, 11, 29, 19, 30), moment(2026, 11, 30, 5)),
        (moment(2026, 11, 30, 5), moment(2026, 12, 1, 5)),
    ]
    assert "Begins: each ticket admits from then to 06:00 of the next morning only" in [
        one.words for one in found.told
    ]


def test_two_evenings_have_no_hour_in_common(tmp_path: Path) -> None:
    days = "barcode,Day\nC-1,2026-11-28\nC-2,2026-11-29 00:00\n"
    first, second = plan(tmp_path, days, day=["Day=06:00"], timezone="UTC").tickets
    assert first.not_after == second.not_before == moment(2026, 11, 29, 6)
    night = "barcode,Begins\nC-1,2026-11-28 20:00\nC-2,2026-11-29 00:00\nC-3,2026-11-29 01:30\n"
    found = plan(tmp_path, night, day=["Begins=06:00"], timezone="UTC")
    assert {one.not_after for one in found.tickets} == {moment(2026, 11, 29, 6)}


def test_a_day_to_the_morning_is_stored_and_a_day_to_midnight_is_not_for_times(tmp_path: Path) -> None:
    content = "barcode,Day\nC-1,2026-11-28\nC-2,2026-11-29\n"
    assert plan(tmp_path, content).questions[0].ends == ["", "06:00"]
    timed = content.replace("-29", "-29 23:00")
    for day, open_ in ((["Day=6:00"], []), (["Day"], ["column:day"])):
        stored = stored_of(plan(tmp_path, content, day=day, **BERLIN))
        assert asked(plan(tmp_path, timed, stored=stored)) == open_


def test_rows_of_other_days_are_left_out_where_one_is_this_event(tmp_path: Path) -> None:
    found = plan(tmp_path, "barcode,Day\nC-1,Saturday\nC-2,Sunday\n", admits=["Day=Saturday"])
    assert (codes(found), found.left_out) == (["C-1"], [LeftOut(3, "Day: Sunday")])


CITIES = "barcode,name,City,Position\nC-1,Ada,Berlin,guest\nC-2,Bo,Ulm,queue\nC-3,Cem,Ulm,queue\n"


OWN = (
    "event,ticket_id,state,sequence,entry_node,codes,ids_are_codes,Note\n"
    'fest,t-1,ISSUED,1,n,"[""C-1""]",no,\nfest,t-2,ISSUED,2,n,"[""C-2""]",no,gave it back\n'
)


def test_what_is_written_beside_our_own_export_is_asked_about(tmp_path: Path) -> None:
    (question,) = plan(tmp_path, OWN).questions
    assert (question.id, question.answers) == ("column:note", ("harmless=Note",))
    found = plan(tmp_path, OWN, harmless=["Note"])
    assert codes(found) == ["C-1", "C-2"]
    assert plan(tmp_path, OWN, stored=stored_of(found)).questions == []
    with pytest.raises(FileRefused, match="says itself who comes in"):
        plan(tmp_path, OWN, admits=["Note="])


def test_an_answer_holds_for_a_column_that_a_field_is_read_from(tmp_path: Path) -> None:
    found = plan(tmp_path, CITIES, admits=["City=Berlin"], harmless=["Position"])
    assert (codes(found), [one.row for one in found.left_out]) == (["C-1"], [3, 4])


@pytest.mark.parametrize("answer", [{"admits": ["Sity=Ulm"]}, {"refuses": ["St=x"]}, {"entered": ["In=yes"]}])
def test_an_answer_about_a_column_that_the_file_lacks_is_refused(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(FileRefused, match="The file has no column"):
        plan(tmp_path, CITIES, harmless=["Position"], **answer)


def test_a_column_has_one_meaning(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="contradict each other"):
        plan(tmp_path, "barcode,Day\nC-1,2026-11-28\n", day=["Day"], admits=["Day=2026-11-28"])


def test_a_position_that_is_no_position_in_an_order_is_asked_about(tmp_path: Path) -> None:
    assert asked(plan(tmp_path, CITIES, column=["city=City"])) == ["column:position"]


@pytest.mark.parametrize("cells", ["28-Nov-2026 29-Nov-2026", "28/11/2026T10:00 29/11/2026T10:00"])
def test_a_date_in_each_row_is_asked_about_in_any_form(tmp_path: Path, cells: str) -> None:
    assert asked(plan(tmp_path, many("Slot", cells.split()))) == ["column:slot"]


def test_a_day_narrows_the_window_that_a_ticket_has(tmp_path: Path) -> None:
    content = "barcode,valid until,Starts,Ends\nC-1,2026-11-29 12:00,2026-11-28 18:00,2026-11-30 02:00\n"
    (ticket,) = plan(tmp_path, content, day=["Starts=Ends"], timezone="UTC").tickets
    assert (ticket.not_before, ticket.not_after) == (moment(2026, 11, 28, 18), moment(2026, 11, 29, 12))


def test_one_seat_on_two_dates_is_no_seat_of_two_tickets(tmp_path: Path) -> None:
    content = "barcode,seat,Day\nC-1,A1,2026-11-28\nC-2,A1,2026-11-29\nC-3,A1,2026-11-29\n"
    found = plan(tmp_path, content, day=["Day"], **BERLIN)
    assert "Seats of several tickets: A1 (rows 3, 4)." in found.said


# --- rows that are no tickets, and what is printed ---------------------------------------------------


def test_titles_end_marks_and_totals_are_left_out(tmp_path: Path) -> None:
    guests = "".join(f"C-{number},Guest,A{number},Day\n" for number in range(4))
    content = f"barcode,name,seat,product\n,Evening show,,\n{guests}--- end ---,,,\n,Tickets,4,\n"
    found = plan(tmp_path, content, entrances="Day")
    assert (len(found.tickets), [one.row for one in found.left_out], found.wrong) == (4, [2, 7, 8], [])


def test_a_row_once_more_is_the_same_ticket_or_one_more_person_as_is_answered(tmp_path: Path) -> None:
    content = "barcode,name,Question\nC-1,Ada,diet\nC-1,Ada,size\nC-1,Bob,size\n"
    asked_ = plan(tmp_path, content, harmless=["Question"])
    assert (asked(asked_), asked_.questions[0].values) == (["repeats"], [("C-1", 3)])
    found = plan(tmp_path, content, harmless=["Question"], repeats="ticket")
    assert codes(found) == ["C-1"]
    assert found.left_out == [LeftOut(3, "says the same ticket as row 2, in all that is read")]
    assert [one.row for one in found.wrong] == [4], "another guest has no code of hers"
    assert plan(tmp_path, content, stored=stored_of(found)).questions == []


ORDERS = "Order number,Kind,State\n1001,Adult,ok\n1001,Adult,ok\n1001,Adult,refunded\n1002,Adult,ok\n"


@pytest.mark.parametrize("head", ["Order number,Kind,State", "Buchung,Kind,State", "Numero,Kind,State"])
def test_the_number_of_an_order_is_no_ticket_until_somebody_says_so(tmp_path: Path, head: str) -> None:
    content = ORDERS.replace("Order number,Kind,State", head)
    answers: dict[str, Any] = {"code": head.split(",")[0], "admits": ["State=ok"], "harmless": ["Kind"]}
    (question,) = plan(tmp_path, content, **answers).questions
    assert (question.id, question.values) == ("repeats", [("1001", 2)])
    assert "as the number of an order" in question.sentence
    found = plan(tmp_path, content, **answers, repeats="persons")
    assert [(one.codes, one.entries) for one in found.tickets] == [(("1001",), 2), (("1002",), 1)]
    assert [one.row for one in found.left_out] == [3, 4]


def test_a_status_is_the_number_of_no_order(tmp_path: Path) -> None:
    """All that are paid would be let in as one family."""
    found = plan(tmp_path, "barcode,Order\nC-1,Paid\nC-2,Paid\nC-3,R-7\n", harmless=["Order"])
    assert [one.order for one in found.tickets] == ["", "", "R-7"]


def test_guests_of_two_orders_are_asked_about_and_one_slip_is_a_wrong_row(tmp_path: Path) -> None:
    slip = "barcode,name,seat\nC-1,Ada,A1\nC-1,Bo,A2\nC-2,Cem,A3\n"
    assert [one.row for one in plan(tmp_path, slip).wrong] == [3]
    assert asked(plan(tmp_path, slip + "C-2,Dan,A4\n")) == ["repeats"]


def test_a_shared_code_counts_no_shirt_as_a_person_and_no_guest_of_another_day(tmp_path: Path) -> None:
    shirts = "barcode,product\nC-1,Shirt\nC-1,Adult\nC-2,Adult\nC-2,Adult\n"
    found = plan(tmp_path, shirts, entrances="Adult", repeats="persons")
    assert [(one.product, one.entries) for one in found.tickets] == [("Adult", 1), ("Adult", 2)]
    days = "barcode,Day\nC-1,2026-11-28\nC-1,2026-11-29\nC-2,2026-11-28\nC-2,2026-11-28\n"
    found = plan(tmp_path, days, day=["Day"], repeats="persons", timezone="UTC")
    assert [one.entries for one in found.tickets] == [1, 2]
    assert [one.row for one in found.wrong] == [3]


def test_persons_who_share_a_code_and_have_entered_are_counted(tmp_path: Path) -> None:
    content = "barcode,In\nC-1,yes\nC-1,no\nC-1,yes\nC-2,no\n"
    (one, two) = plan(tmp_path, content, entered=["In=yes"], repeats="persons").tickets
    assert (one.entries, one.entered, one.entries_made) == (3, True, 2)
    assert (two.entries, two.entered) == (1, False)


@pytest.mark.parametrize("rows", [("paid", "refunded"), ("refunded", "paid"), ("paid", "refunded", "paid")])
def test_a_code_that_one_row_refuses_admits_nobody(tmp_path: Path, rows: tuple[str, ...]) -> None:
    content = "barcode,name,status\nC-9,Cem,paid\n" + "".join(f"C-1,Ada,{one}\n" for one in rows)
    found = plan(tmp_path, content, admits=["status=paid"], repeats="ticket")
    assert codes(found) == ["C-9"]
    paid = [number for number, one in enumerate(rows, 3) if one == "paid"]
    assert [one.row for one in found.wrong] == paid
    assert "which does not admit (status: refunded)" in found.wrong[0].reason
    assert len(found.left_out) == 1
    assert [one.codes for one in found.refused] == [("C-1",)], "in the network it would be cancelled"
    shown = plan(tmp_path, content, admits=["status=paid"], repeats="ticket", stewards_see_why=True)
    assert [(one.codes[0], one.blocked) for one in shown.tickets] == [("C-9", False), ("C-1", True)]


SHOP = "Attendee ID,Security Code,name\n1201,9f3a1c2e7b,Ada\n1202,4be8d07a11,Bo\n"
URL = "https://venue.example/?ticket_id=1201&event_id=77&security_code=9f3a1c2e7b&path=wp-json%2Ftribe"


def test_the_text_of_one_ticket_says_what_is_printed_on_all(tmp_path: Path) -> None:
    found = plan(tmp_path, SHOP, code=URL, harmless=["name"])
    second = URL.replace("1201", "1202").replace("9f3a1c2e7b", "4be8d07a11")
    assert codes(found) == [URL, second]
    assert all(one.ticket_id.startswith("t-") for one in found.tickets), "an id would give the code away"
    pattern = found.answers.code
    assert pattern.startswith("https://venue.example/?ticket_id={Attendee ID}&event_id=77")
    assert codes(plan(tmp_path, SHOP, code=pattern, harmless=["name"])) == [URL, second]


def test_cells_that_only_together_name_a_ticket_make_a_pattern(tmp_path: Path) -> None:
    content = "Booking,No.,Seat\n240129,01,12\n240129,02,1\n240130,01,2\n"
    found = plan(
        tmp_path, content, code="https://t.example/b/240129-01/show", harmless=["Booking", "No.", "Seat"]
    )
    assert codes(found) == [
        f"https://t.example/b/{one}/show" for one in ("240129-01", "240129-02", "240130-01")
    ]


def test_the_only_list_in_a_json_object_is_the_list_of_tickets(tmp_path: Path) -> None:
    content = {"bilhetes": [{"barcode": "C-1"}], "resumo": {"barcode": "TOTAL"}}
    assert codes(plan(tmp_path, content)) == ["C-1"]
    with pytest.raises(FileRefused, match="which of 'a', 'b' is it"):
        plan(tmp_path, {"a": [{"barcode": "C-1"}], "b": [{"barcode": "C-2"}]})


def test_a_scanned_cell_names_its_column(tmp_path: Path) -> None:
    assert codes(plan(tmp_path, SHOP, code="4be8d07a11", harmless=["name"])) == ["9f3a1c2e7b", "4be8d07a11"]


HASHED = "https://venue.example/?id={}&hash={}"
IDS = "Attendee ID,name\n" + "".join(f"{1201 + number},Guest {number}\n" for number in range(9))


@pytest.mark.parametrize("unknown", ["9f3a1c2e7b", "kqzvbnmwrt", "83720193"])
def test_an_id_beside_a_part_that_no_column_holds_makes_no_rule(tmp_path: Path, unknown: str) -> None:
    scanned = HASHED.format(1203, unknown)
    with pytest.raises(FileRefused, match=f"The part '{unknown}'.*can be guessed, such as 1201") as refused:
        plan(tmp_path, IDS, code=scanned, harmless=["name"])
    rule = HASHED.format("{Attendee ID}", unknown)
    assert rule in str(refused.value)
    found = plan(tmp_path, IDS, code=rule, harmless=["name"])
    assert codes(found)[0] == HASHED.format(1201, unknown)
    assert any("9 codes can be guessed" in one for one in found.said)


def test_an_id_that_can_be_guessed_opens_within_no_text(tmp_path: Path) -> None:
    for before, shown in (("7700", "77001201"), ("WP-", "1201")):
        content = IDS.replace("12", f"{before}12")
        with pytest.raises(FileRefused, match=f"can be guessed, such as {shown}"):
            plan(tmp_path, content, code="Attendee ID", within=True, harmless=["name"])


def test_an_id_behind_what_all_begin_with_makes_no_rule_either(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"The part '9f3a1c2e7b'.*can be guessed, such as 1201"):
        plan(tmp_path, IDS.replace("12", "WP-12"), code=HASHED.format("WP-1203", "9f3a1c2e7b"))


def test_the_text_of_no_ticket_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no column 'https://venue"):
        plan(tmp_path, SHOP, code="https://venue.example/1203")


def test_a_code_inside_a_longer_text_is_too_long_for_chance(tmp_path: Path) -> None:
    content = "barcode,name\nk7uhbd49,Ada\n1201,Bo\n"
    found = plan(tmp_path, content, within=True, harmless=["name"])
    assert (found.within, codes(found), found.answers.within) == (True, ["k7uhbd49"], True)
    assert [one.row for one in found.wrong] == [3]
    again = plan(tmp_path, content, stored=stored_of(found))
    assert again.within, "stored with what the scanner reads"


def test_an_id_is_never_a_part_of_a_code(tmp_path: Path) -> None:
    content = "ticket id,barcode,name\n7001,XX7001YY,Ada\n7002,XX7002YY,Bo\n"
    found = plan(tmp_path, content, code="barcode", harmless=["name"])
    assert all(one.ticket_id.startswith("t-") for one in found.tickets)


def test_html_entities_are_read_as_their_characters(tmp_path: Path) -> None:
    urls = [f"https://t.example/c?e=7&amp;t=K{number}" for number in (1, 2)]
    content = f"Ticket URL,Ticket type\n{urls[0]},Food &amp; Drink\n{urls[1]},Food & Drink\n"
    found = plan(tmp_path, content, entrances="Food & Drink")
    assert codes(found) == ["https://t.example/c?e=7&t=K1", "https://t.example/c?e=7&t=K2"]
    assert found.products == {"Food & Drink": True}
    assert any("HTML entities" in one for one in found.said)


def test_what_a_person_ticks_is_the_whole_and_what_was_ticked_before_is_shown(tmp_path: Path) -> None:
    """A slip in the first file would stay for ever otherwise: the waitlisted guest would come in."""
    first = "barcode,Waitlisted\nC-1,Yes\nC-2,No\n"
    stored = stored_of(plan(tmp_path, first, admits=["Waitlisted=Yes"]))
    later = first + "C-3,Maybe\n"
    [question] = plan(tmp_path, later, stored=stored).questions
    assert (question.id, question.chosen) == ("admits:waitlisted", ["Yes"])
    assert codes(plan(tmp_path, later, stored=stored, admits=["Waitlisted=No"])) == ["C-2"]


def test_codes_that_a_spreadsheet_may_have_shortened_are_told(tmp_path: Path) -> None:
    """It drops zeros at the beginning; the guests of these codes would be refused."""
    numbers = [f"{12_345_678_901 * (number + 3) % 10**10:010}" for number in range(30)]
    dropped = [text.removeprefix("0") for text in numbers]
    assert dropped != numbers

    def told(texts: list[str]) -> list[str]:
        content = "barcode,name\n" + "".join(f"{text},Guest {text[-4:]}\n" for text in texts)
        return [one for one in plan(tmp_path, content).said if "dropped zeros" in one]

    assert [len(told(texts)) for texts in (dropped, numbers)] == [1, 0]


WEEK = "barcode,Day\nC-1,Friday\nC-2,Saturday\nC-3,Friday\n"
FRIDAY, SATURDAY = "Day=Friday=2026-08-28", "Day=Saturday=2026-08-29"


def test_a_day_that_is_no_date_is_asked_for_its_date(tmp_path: Path) -> None:
    (question,) = plan(tmp_path, WEEK).questions
    assert "day=Day=06:00" in question.answers
    (question,) = plan(tmp_path, WEEK, day=["Day=06:00"], date=[FRIDAY], timezone="UTC").questions
    assert (question.id, question.values) == ("dates:day", [("Friday", 2), ("Saturday", 1)])
    found = plan(tmp_path, WEEK, day=["Day=06:00"], date=[FRIDAY, SATURDAY], timezone="UTC")
    assert [(one.not_before, one.not_after) for one in found.tickets][:2] == [
        (moment(2026, 8, 28, 6), moment(2026, 8, 29, 6)),
        (moment(2026, 8, 29, 6), moment(2026, 8, 30, 6)),
    ]
    stored = stored_of(found)
    assert asked(plan(tmp_path, WEEK, stored=stored)) == []
    assert asked(plan(tmp_path, WEEK + "C-4,Sunday\n", stored=stored)) == ["dates:day"]


def test_a_date_of_a_day_has_the_zone_of_the_event(tmp_path: Path) -> None:
    assert asked(plan(tmp_path, WEEK, date=[FRIDAY, SATURDAY])) == ["timezone"]
    with pytest.raises(FileRefused, match="ends in no date"):
        plan(tmp_path, WEEK, date=["Day=Friday=28 August"])


def test_days_without_a_year_are_asked_about_though_no_two_rows_have_one(tmp_path: Path) -> None:
    days = [f"{number} August" for number in range(1, 29)]
    assert asked(plan(tmp_path, many("Termin", days))) == ["column:termin"]
    dates = [f"Termin={day}=2026-08-{number:02}" for number, day in enumerate(days, 1)]
    assert len(plan(tmp_path, many("Termin", days), date=dates, timezone="UTC").tickets) == 28
