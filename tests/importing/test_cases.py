"""Files of ticket shops: what is asked of each, and which tickets come of the answers.

An answer is given as the command's options are, without their dashes. `asked` names the questions and how
each is answered; every one of them alone must stop the import.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.importing.table import BERLIN, TABLE, Case
from tests.support.table import table
from tickets.importing import FileRefused, ImportPlan, Known, read_plan
from tickets.importing.answers import answers_from

CASES = Path(__file__).parent / "cases"
SUMMER = Known(event="summer", events=("summer",))


def rows_of(kind: Iterable[Any]) -> set[int]:
    return {one.row for one in kind}


def plan(file: str, *answers: dict[str, Any], known: Known = SUMMER, **more: Any) -> ImportPlan:
    """The plan of a file under all these answers; lists of the same option are joined."""
    options: dict[str, Any] = {}
    for answer in (*answers, more):
        for name, value in answer.items():
            options[name] = options.get(name, []) + value if isinstance(value, list) else value
    return read_plan(CASES / file, answers_from(**options), known=known)


@table("case", TABLE, ids=str, count=56)
def test_without_answers_each_question_is_asked_and_nothing_planned(case: Case) -> None:
    found = plan(case.file)
    first = {"sheet"} & case.asked.keys() or case.asked.keys()  # which sheet comes before all else
    assert {question.id for question in found.questions} == set(first)
    assert found.preset == case.preset
    if case.asked:
        assert [*found.tickets, *found.left_out, *found.wrong] == []
    for question in found.questions:
        assert question.sentence.count("?") == 1 or question.id == "cells"
        assert question.answers


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("15-utf16le-nobom.csv", "UTF-16"),
        ("49-csv-no-header-whitelist.csv", "no header"),
        ("60-csv-seat-map-dup-names.csv", "'Name' twice"),
    ],
)
def test_a_file_that_cannot_be_read_right_is_refused(file: str, words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        plan(file)


def at(text: str, zone: str = "Europe/Berlin") -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp()) * 1_000_000


@table(
    ("file", "windows"),
    [
        ("06-xlsx-merged-title.xlsx", {"MT-1": (None, "2026-12-31 23:59:59")}),
        (
            "09-xlsx-date-serial.xlsx",
            {
                "DS-2": ("2026-08-01 18:00", "2026-08-02 00:00"),
                "DS-3": ("2026-08-01 00:00", "2026-08-02 23:59:59"),
            },
        ),
        (
            "10-csv-time-forms.csv",
            {"TF-1": (None, "2026-08-01T18:00+00:00"), "TF-9": (None, "2026-08-01 23:59:59")},
        ),
        (
            "11-csv-dst.csv",
            {
                "DST-1": ("2026-10-24 20:00", "2026-10-25T02:30+01:00"),
                "DST-2": ("2027-03-28T03:30+02:00", "2027-03-28T05:00+02:00"),
            },
        ),
        (
            "47-csv-valid-until-midnight.csv",
            {
                "VM-1": (None, "2026-11-27 00:00"),
                "VM-2": (None, "2026-11-27 23:59:59"),
                "VM-3": (None, "2026-11-27 00:00"),
            },
        ),
    ],
    count=5,
)
def test_windows_are_those_of_the_cells(file: str, windows: dict[str, tuple[str | None, str]]) -> None:
    found = {ticket.codes[0]: (ticket.not_before, ticket.not_after) for ticket in plan(file, BERLIN).tickets}
    assert found == {
        name: (at(begins) if begins else 0, at(ends)) for name, (begins, ends) in windows.items()
    }


def test_the_time_of_an_entry_is_kept_where_its_form_is_listed() -> None:
    rest = plan("38-pretix-rest-valid-if-pending.json", entrances="10").tickets[2]
    assert (rest.entered, rest.entered_at) == (True, at("2026-11-26T20:00:00", "UTC"))
    listed = plan("30-pretix-checkinlist.csv", entrances="Weekend – Adult").tickets[0]
    assert (listed.entered, listed.entered_at) == (True, 0)
    assert datetime.fromtimestamp(rest.entered_at / 1e6, UTC).year == 2026


@table(
    ("file", "answers", "names"),
    [
        ("14-csv-multiline.csv", {"harmless": ["notes"]}, ['Ada "The" T', "Bo T"]),
        ("16-utf16-bom-tab.txt", {}, ["Łucja"]),
        ("25-weezevent.csv", {"entrances": "Plein tarif", "admits": ["Remarques="]}, ["Olu Ngata"]),
        ("26-weezevent-generic-en.csv", {"entrances": "Plein tarif", "admits": ["notes="]}, ["Olu Ngata"]),
        ("24-tickettailor.csv", {"entrances": "GA", "event_name": ["Demo Night=summer"]}, ["Jörg Testfrau"]),
        ("29-indico.csv", {"code": "ID"}, ["Invented, Jörg"]),
        ("39-eventbrite-api.json", {"entrances": "GA"}, ["Ada T"]),
        ("51-csv-multiline-comma.csv", {}, ["Ada T"]),
        ("56-csv-cp1252-euro.csv", {}, ["Jörg €uro", "Zoë"]),
    ],
    count=9,
)
def test_the_holder_is_the_guest_with_the_whole_name(
    file: str, answers: dict[str, Any], names: list[str]
) -> None:
    found = [ticket.holder.name for ticket in plan(file, answers).tickets]
    assert found[: len(names)] == names


def test_a_text_in_no_western_encoding_is_refused(tmp_path: Path) -> None:
    """Its values would be asked about as signs that nobody can read."""
    path = tmp_path / "list.csv"
    path.write_bytes("Barcode,Name,Payment\nKODE7731,山田太郎,支払い済み\n".encode("shift_jis"))
    with pytest.raises(FileRefused, match="save it as UTF-8"):
        read_plan(path, answers_from(), known=SUMMER)
