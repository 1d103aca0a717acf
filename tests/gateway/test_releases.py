"""Which release members run, and whom the next version of a cluster waits for (R47)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.gateway import releases_of, waits_sentence
from dtvn.protocol import versions
from dtvn.watch import MemberReport, read_report

NEW = {"release": "0.2.0", "newest": 2}


def member(
    name: str, status: dict[str, Any], *, connected: bool = True, heard: float | None = 0.1
) -> MemberReport:
    return read_report(name, status, connected=connected, heard=heard)


def test_r47_a_version_waits_for_members_that_do_not_run_it_or_do_not_answer() -> None:
    views = [
        member("organiser", NEW),
        member("seller", {}),
        member("north", NEW, connected=False),
        member("south", NEW, heard=None),
    ]
    found = releases_of(views)
    assert [each.release for each in found] == ["0.2.0", "0.1.0 or unknown", "no answer", "no answer"]
    expected = "Version 2 waits for seller (0.1.0), north (no answer), south (no answer)."
    assert waits_sentence(versions.FIRST, found) == expected
    assert waits_sentence(versions.FIRST, found[:1]) == ""
    assert waits_sentence(versions.NEWEST, found) == "", "this program knows no later one"


@pytest.mark.parametrize(
    "status",
    [{"release": "<b>", "newest": "2"}, {"release": 2, "newest": True}, {"release": "9" * 99, "newest": -1}],
)
def test_what_a_member_says_of_its_program_is_read_strictly(status: dict[str, Any]) -> None:
    [found] = releases_of([member("liar", status)])
    assert (found.release, found.newest) == ("0.1.0 or unknown", versions.FIRST)
