"""A reader whose keyboard layout is not the computer's: the answer names both, and admits nothing."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, read
from tests.api.test_admission import admit, fest, gate_key  # noqa: F401 - fest is a fixture
from tickets.services.keyboards import LAYOUTS, looks_misread, misreadings

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


def test_where_ids_are_codes_they_are_recognised_too(api: Api) -> None:
    api.post("tickets", {"ticket_id": "ZY-1", "event": "old"})
    assert "German" in admit(api, typed("ZY-1", "German"), event="old")[1]["keyboard"]
    answer = read(api.post("tickets/find", {"event": "old", "barcode": typed("ZY-1", "German")}))
    assert "German" in answer["keyboard"]
