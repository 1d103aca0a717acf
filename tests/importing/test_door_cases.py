"""Files built after public reports of doors that let wrong guests in: the right answer to each was written
before it was played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.importing.planning import moment, stored_of
from tickets.importing import ImportPlan, Known, read_plan
from tickets.importing.answers import answers_from

CASES = Path(__file__).parent / "door"
DOOR = Known(event="door", events=("door", "spring", "autumn"), zones={"door": "Europe/Berlin"})


def plan(file: str, known: Known = DOOR, stored: Any = None, **answers: Any) -> ImportPlan:
    more = {} if stored is None else {"stored": stored}
    return read_plan(CASES / file, answers_from(**answers), known=known, **more)


class Door(msgspec.Struct, kw_only=True):
    file: str
    asked: tuple[str, ...]
    """What must be asked, beside products and event."""
    answers: dict[str, Any]
    admits: tuple[str, ...]
    left_out: tuple[int, ...] = ()
    used: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.file


URL = "https://venue.example/?event_qr_code=1&ticket_id={}&event_id=77&security_code={}&path=wp-json%2Ftribe"
DOORS = [
    Door(
        file="F02-token-and-url.csv",
        asked=("code",),
        answers={"code": "Ticket URL", "entrances": "Standard"},
        admits=("https://tickets.example.org/t/tkq9f2m7w4", "https://tickets.example.org/t/tkz3n8c5r1"),
    ),
    Door(
        file="F03-wordpress-event-tickets.csv",
        asked=("code",),
        answers={
            "code": URL.format("1201", "9f3a1c2e7b"),
            "admits": ["Order Status=Completed"],
            "entered": ["Check in=Yes"],
            "entrances": "Adult",
        },
        admits=(URL.format("1201", "9f3a1c2e7b"), URL.format("1204", "77aa31fe09")),
        left_out=(3, 4),
        used=(URL.format("1204", "77aa31fe09"),),
    ),
    Door(
        file="F05-ticket-invalidated.csv",
        asked=("code", "column:ticket invalidated", "column:ticket invalidated at", "column:order status"),
        answers={
            "code": "barcode",
            "event_name": ["Door=door"],
            "admits": ["order_status=paid", "ticket_invalidated=0"],
            "harmless": ["ticket_invalidated_at", "created_at"],
            "entrances": "Adult",
        },
        admits=("7710045001", "7710045003"),
        left_out=(3,),
    ),
    Door(
        file="F07-ean13-leading-zero.csv",
        asked=(),
        answers={},
        admits=("0490001234561", "0490001234578", "4006381333931"),
    ),
    Door(
        file="F09-formula-escaped-codes.csv",
        asked=(),
        answers={},
        admits=("-7Q4KZ", "+8R5LM", "=9S6NP", "@1T7QR", "-2U8ST"),
    ),
    Door(
        file="F10-html-entities.csv",
        asked=(),
        answers={"entrances": "Food & Drink"},
        admits=("https://t.example.org/c?e=7&t=K1Q2", "https://t.example.org/c?e=7&t=K3Q4"),
    ),
    Door(
        file="F15a-waitlisted.csv",
        asked=("column:waitlisted",),
        answers={"admits": ["Waitlisted=No"], "entrances": "Day"},
        admits=("31001001",),
        left_out=(3,),
    ),
    Door(
        file="F15b-resold.csv",
        asked=("column:resold",),
        answers={"admits": ["Resold=No"]},
        admits=("31002002",),
        left_out=(2,),
    ),
    Door(
        file="F16a-italian.csv",
        asked=("code", "column:stato"),
        answers={
            "code": "Codice a barre",
            "admits": ["Stato=Valido"],
            "column": ["name=Nome", "product=Tipo biglietto"],
            "entrances": "Intero",
        },
        admits=("32001001",),
        left_out=(3, 4),
    ),
    Door(
        file="F16b-dutch.csv",
        asked=("column:geannuleerd",),
        answers={
            "admits": ["Geannuleerd=nee"],
            "column": ["name=Naam", "product=Tickettype"],
            "entrances": "Volwassene",
        },
        admits=("32002001",),
        left_out=(3,),
    ),
    Door(
        file="F18-row-per-answer.csv",
        asked=("column:question", "column:answer"),
        answers={"harmless": ["Question", "Answer"], "entrances": "Day", "repeats": "ticket"},
        admits=("33001001", "33001002"),
        left_out=(3, 5),
    ),
    Door(
        file="F20-days-column.csv",
        asked=("column:days",),
        answers={"day": ["Days"], "column": ["name=Name"]},
        admits=("d7Qk2m", "d8Rl3n", "d9Sm4p"),
    ),
    Door(
        file="F21-pretix-series.csv",
        asked=("column:start date",),
        answers={"event_name": ["museum=door"], "day": ["Start date=End date"], "entrances": "Entry"},
        admits=(
            "sr7kq2secretsecretsecretsecret1a",
            "sr8lr3secretsecretsecretsecret2b",
            "sr9ms4secretsecretsecretsecret3c",
        ),
    ),
    Door(
        file="F23-pretix-series.json",
        asked=("column:start date",),
        answers={"event_name": ["museum=door"], "admits": ["Start date=2026-11-29T09:00:00Z"]},
        admits=("jssecret0000000000000000000000005",),
        left_out=(2,),
    ),
    Door(
        file="F24-fr-controle.csv",
        asked=("column:contrôlé",),
        answers={"entered": ["Contrôlé=Oui"]},
        admits=("61001001", "61001002"),
        used=("61001001",),
    ),
]


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_what_decides_is_asked_and_nobody_wrong_is_admitted(door: Door) -> None:
    asked = {question.id for question in plan(door.file).questions}

    assert {*door.asked} <= asked
    found = plan(door.file, **door.answers)
    assert found.questions == []
    assert [code for ticket in found.tickets for code in ticket.codes] == [*door.admits]
    assert [one.row for one in found.left_out] == [*door.left_out]
    assert found.wrong == []
    assert [ticket.codes[0] for ticket in found.tickets if ticket.entered] == [*door.used]


def test_a_ticket_of_one_day_admits_on_no_other() -> None:
    days = {
        one.codes[0]: (one.not_before, one.not_after)
        for one in plan("F20-days-column.csv", day=["Days"], column=["name=Name"]).tickets
    }
    begins, ends = days["d9Sm4p"]
    assert begins == moment(2026, 11, 28, 23), "in Berlin the 29th begins at 23:00 UTC"
    assert ends == moment(2026, 11, 29, 23) - 1_000_000


def test_a_season_pass_is_a_ticket_of_each_event() -> None:
    every = Known(events=("spring", "autumn"))
    found = plan("F06-season-pass-two-events.csv", every, entrances="Season pass")
    assert (len(found.tickets), found.wrong, found.left_out) == (4, [], [])
    assert {(one.event, one.codes[0]) for one in found.tickets} == {
        (event, f"PASS-55AB-0{number}") for event in every.events for number in (1, 2)
    }


def test_a_later_file_keeps_the_answer_about_who_has_entered() -> None:
    first = plan("F24-fr-controle.csv", entered=["Contrôlé=Oui"])
    later = plan("F24b-fr-controle-later.csv", stored=stored_of(first))
    assert (later.questions, {one.codes[0] for one in later.tickets if one.entered}) == (
        [],
        {"61001001", "61001003"},
    )
