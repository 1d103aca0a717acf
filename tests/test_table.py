"""A table of cases as one test (`tests/support/table.py`)."""

import inspect

import pytest

from tests.support.table import SHOWN_MAX, table

ROWS = [(1, 2), pytest.param(3, 4, id="three"), (5, 5)]


@table("number, least, most", [(2, 1, 3), pytest.param(3, 1, 3, id="three")], count=2)
def test_each_row_runs_in_one_case(number: int, least: int, most: int) -> None:
    assert least <= number <= most


@table("kind", ["a"], count=1)
def test_what_no_row_gives_is_a_fixture(kind: str, request: pytest.FixtureRequest) -> None:
    assert (kind, request.node.name) == ("a", "test_what_no_row_gives_is_a_fixture")


@pytest.mark.parametrize("outside", [1, 2])
@table("inside", [3, 4], count=2)
def test_a_table_stands_under_parametrize(outside: int, inside: int) -> None:
    assert outside < inside


@pytest.mark.parametrize("names", ["low, high", "low,high", ("low", "high"), ["low", "high"]])
def test_every_failing_row_is_named_once(names: str | tuple[str, ...] | list[str]) -> None:
    @table(names, ROWS, count=3)
    def rises(low: int, high: int) -> None:
        assert low > high, f"{low} then {high}"

    with pytest.raises(AssertionError) as failure:
        rises()
    told = str(failure.value).splitlines()
    assert told[0] == "3 of 3 rows failed"
    assert [line for line in told if line[0] == "["] == [
        "[1-2] 1 then 2",
        "[three] 3 then 4",
        "[5-5] 5 then 5",
    ]


def test_a_row_that_raises_does_not_end_the_table() -> None:
    seen = []

    @table("value", [0, 1, 2], count=3, ids=str)
    def divides(value: int) -> None:
        seen.append(value)
        if value == 1:
            pytest.fail("one")
        assert 1 // value == 0

    with pytest.raises(AssertionError) as failure:
        divides()
    assert seen == [0, 1, 2]
    assert str(failure.value) == (
        "2 of 3 rows failed\n[0] ZeroDivisionError: integer division or modulo by zero\n[1] one"
    )


def test_a_failure_shows_a_bounded_number_of_rows() -> None:
    @table("value", range(SHOWN_MAX + 5), count=SHOWN_MAX + 5)
    def fails(value: int) -> None:
        raise ValueError(value)

    with pytest.raises(AssertionError) as failure:
        fails()
    lines = str(failure.value).splitlines()
    assert (len(lines), lines[-1]) == (SHOWN_MAX + 2, "... and 5 further rows")


@pytest.mark.parametrize("rows", [[], [1, 2]])
def test_a_table_of_another_length_fails(rows: list[int]) -> None:
    @table("value", rows, count=1)
    def passes(value: int) -> None:
        pass

    with pytest.raises(AssertionError, match=rf"the table has {len(rows)} rows, not 1"):
        passes()


def test_two_tables_make_their_product() -> None:
    seen = []

    @table("left", "ab", count=2)
    @table("right", [1, 2], count=2)
    def pairs(left: str, right: int) -> None:
        seen.append((left, right))

    pairs()
    assert seen == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert not inspect.signature(pairs).parameters


def test_what_no_table_can_run_is_refused_at_import() -> None:
    def takes(value: int) -> None:
        pass

    async def waits(value: int) -> None:
        pass

    for names, rows, function, said in (
        ("other", [1], takes, "takes no other"),
        ("value", [1], waits, "runs no coroutines"),
        ("value", [pytest.param(1, marks=pytest.mark.bench)], takes, "no marks"),
        (["value"], [(1, 2)], takes, "2 values for value"),
    ):
        with pytest.raises((TypeError, ValueError), match=said):
            table(names, rows, count=1)(function)
    with pytest.raises(ValueError, match="1 ids for 2 rows"):
        table("value", [1, 2], count=2, ids=["a"])
