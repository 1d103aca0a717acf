"""Numbers in URLs and headers: the checked value is the used one, out of range is 400."""

from __future__ import annotations

import pytest

from dtvn.api.errors import InvalidRequest
from dtvn.api.queries import LIST_MAX, read_limit, read_number
from tests.api.conftest import Api, read

DIGITS = "9" * 5_000
"""More of them than Python's int() takes."""
TOO_MUCH = ["0000000019999999", "000000001" + "9" * 25, DIGITS, "0" * 20 + DIGITS, str(LIST_MAX + 1)]
NO_NUMBER = ["", "-1", "+1", " 1", "1_0", "1.0", "x", "\u0661", "²"]


@pytest.mark.parametrize("text", [*TOO_MUCH, *NO_NUMBER, "0", "0" * 5_000])
def test_a_limit_out_of_range_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^limit must be a number from 1 to 10000$"):
        read_limit({"limit": text})


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("0007", 7), ("10000", LIST_MAX), ("0" * 6_000 + "9", 9)]
)
def test_leading_zeros_are_ignored(text: str, value: int) -> None:
    assert read_limit({"limit": text}) == value


def test_bounds_are_inclusive() -> None:
    for text, value in (("0", 0), ("00", 0), ("9223372036854775807", 2**63 - 1)):
        assert read_number("n", text, 0, 2**63 - 1) == value
    with pytest.raises(InvalidRequest, match=r"^n must be"):
        read_number("n", "9223372036854775808", 0, 2**63 - 1)


@pytest.mark.django_db(databases=["default", "learner"])
@pytest.mark.parametrize("text", TOO_MUCH)
def test_a_list_with_a_bad_limit_is_400(api: Api, text: str) -> None:
    for path in ("tickets", "consensus/logs"):
        answer = api.get(f"{path}?limit={text}")
        assert answer.status_code == 400
        assert read(answer)["error"].startswith("limit ")


@pytest.mark.django_db(databases=["default", "learner"])
@pytest.mark.parametrize("text", ["9223372036854775808", DIGITS, "0" * 20 + DIGITS, "x", "²"])
def test_an_impossible_sequence_is_400(api: Api, text: str) -> None:
    for path in ("tickets", "tickets/T-1", "consensus/logs"):
        answer = api.get(path, **{"X-DTVN-Min-Sequence": text})
        assert answer.status_code == 400
        assert read(answer)["error"].startswith("X-DTVN-Min-Sequence ")


@pytest.mark.django_db(databases=["default", "learner"])
@pytest.mark.parametrize("path", ["simulator/runs", "changes"])
@pytest.mark.parametrize("number", ["9" * 30, DIGITS])
def test_an_impossible_row_number_is_404(api: Api, path: str, number: str) -> None:
    assert api.get(f"{path}/{number}").status_code == 404
