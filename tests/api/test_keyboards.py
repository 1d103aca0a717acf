"""A reader whose keyboard layout is not the computer's: the answer names both, and admits nothing."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, read
from tests.api.test_admission import admit, fest, gate_key  # noqa: F401 - fest is a fixture
from tickets.services.keyboards import LAYOUTS, Misreading, looks_misread, misreadings

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

KEYS = 47
CODE = "AZ-19/yq"


def typed(code: str, computer: str, reader: str = "US") -> str:
    """What arrives of a code when a reader for one keyboard is at a computer with another."""
    layouts = {one.name: one.plain + one.shifted for one in LAYOUTS}
    return "".join(layouts[computer][layouts[reader].index(letter)] for letter in code)


def test_a_layout_has_a_character_for_each_key_and_none_twice() -> None:
    for layout in LAYOUTS:
        assert len(layout.plain) == len(layout.shifted) == KEYS, layout.name
        letters = (layout.plain + layout.shifted).replace("\0", "")
        assert len(set(letters)) == len(letters), layout.name


@pytest.mark.parametrize("computer", [one.name for one in LAYOUTS if one.name not in ("US", "British")])
def test_a_code_from_a_us_reader_is_recognised_on_each_keyboard(computer: str) -> None:
    arrived = typed(CODE, computer)
    assert arrived != CODE
    found = [one for one in misreadings(arrived) if one.meant == CODE]
    assert [(one.reader, computer in one.computer) for one in found] == [("US", True)]


def test_a_text_that_is_the_same_on_all_keyboards_is_no_misreading() -> None:
    assert misreadings("") == []
    assert "TICKET" not in [one.meant for one in misreadings("TICKET")]
    assert misreadings("東京") == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("&é\"'(-è_çà", "1234567890"),
        ("ABß12", "AB-12"),
        ("!@#$%^", "123456"),
        ("AB-12", None),
        ("a+b/c==", None),
        ("Müller", None),
    ],
)
def test_what_no_shop_prints_looks_misread(text: str, meant: str | None) -> None:
    found = looks_misread(text, misreadings(text))
    assert (found and found.meant) == meant


def test_the_answer_names_the_keyboards_and_decides_nothing(fest: Api) -> None:  # noqa: F811
    fest.post("tickets", {"ticket_id": "T-2", "event": "fest", "barcodes": [CODE]})
    gate = gate_key("gate", "gate")
    status, answer = admit(gate, typed(CODE, "German"))
    assert (status, answer["code"], answer["ticket_id"]) == (404, "barcode_not_found", None)
    assert answer["keyboard"] == Misreading(CODE, "US", "German").sentence
    assert answer["hint"].endswith(answer["keyboard"])
    assert CODE not in str(answer)
    assert "T-2" not in str(answer)
    assert admit(gate, CODE)[1]["outcome"] == "admitted"
    assert "keyboard" not in admit(gate, "nothing-like-it")[1]
    unknown = admit(gate, "&é\"'(-è_")[1]
    assert "French" in unknown["keyboard"]


def test_a_code_that_was_replaced_is_no_reason_to_blame_the_keyboard(fest: Api) -> None:  # noqa: F811
    fest.post("tickets", {"ticket_id": "T-2", "event": "fest", "barcodes": ["zz1"]})
    fest.post("tickets/replace", {"ticket_id": "T-2", "event": "fest", "barcodes": ["other"]})
    assert "keyboard" not in admit(fest, "yy1")[1]


def test_where_ids_are_codes_they_are_recognised_too(api: Api) -> None:
    api.post("tickets", {"ticket_id": "ZY-1", "event": "old"})
    assert "German" in admit(api, typed("ZY-1", "German"), event="old")[1]["keyboard"]
    answer = read(api.post("tickets/find", {"event": "old", "barcode": typed("ZY-1", "German")}))
    assert "German" in answer["keyboard"]
