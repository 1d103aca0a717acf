"""A table of cases that run as one test, and cannot become shorter unnoticed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

SHOWN_MAX = 20
"""Failing rows that a failure shows."""
LABEL_MAX = 80
MESSAGE_MAX = 800

Test = Callable[..., None]
Ids = Sequence[object] | Iterable[object] | Callable[[Any], object]


def table(
    names: str | Sequence[str], rows: Iterable[Any], *, count: int, ids: Ids | None = None
) -> Callable[[Test], Test]:
    """Run a test with every row, as `pytest.mark.parametrize` does, but as one case.

    All rows run; the failure names each that failed. `count` is the number of rows. What the names do not
    cover is injected by pytest once and shared by the rows, so it must not keep anything of a row. Above
    another table it makes the product of both.
    """
    single = isinstance(names, str) and len(_listed(names)) == 1
    listed = _listed(names)
    cases = list(_cases(listed, single, list(rows), ids))

    def decorate(function: Test) -> Test:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__}: a table runs no coroutines")
        signature = inspect.signature(function)
        missing = [name for name in listed if name not in signature.parameters]
        if missing:
            raise TypeError(f"{function.__name__} takes no {', '.join(missing)}")

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            assert len(cases) == count, f"the table has {len(cases)} rows, not {count}"
            failed: list[tuple[str, BaseException]] = []
            for label, values in cases:
                try:
                    function(*args, **kwargs, **values)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 every row runs
                    failed.append((label, error))
            if failed:
                raise AssertionError(_told(failed, len(cases))) from failed[0][1]

        rest = [each for name, each in signature.parameters.items() if name not in listed]
        run.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return run

    return decorate


def _listed(names: str | Sequence[str]) -> list[str]:
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts if part.strip()]


def _cases(
    names: list[str], single: bool, rows: list[Any], ids: Ids | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    given = None if ids is None or callable(ids) else [str(each) for each in ids]
    if given is not None and len(given) != len(rows):
        raise ValueError(f"{len(given)} ids for {len(rows)} rows")
    for number, row in enumerate(rows):
        values, label = row, given[number] if given else None
        if isinstance(row, type(pytest.param())):
            if row.marks:
                raise ValueError(f"a row of a table has no marks: {row}")
            values, label = row.values, str(row.id) if row.id is not None else label
        elif single:
            values = (row,)
        if len(values) != len(names):
            raise ValueError(f"a row has {len(values)} values for {', '.join(names)}: {values!r}")
        words = map(ids, values) if callable(ids) else map(repr, values)
        yield (label or "-".join(map(str, words)))[:LABEL_MAX], dict(zip(names, values, strict=True))


def _told(failed: list[tuple[str, BaseException]], total: int) -> str:
    lines = [f"{len(failed)} of {total} rows failed"]
    for label, error in failed[:SHOWN_MAX]:
        kind = (
            "" if isinstance(error, AssertionError | pytest.fail.Exception) else f"{type(error).__name__}: "
        )
        lines.append(f"[{label}] {kind}{str(error)[:MESSAGE_MAX]}".replace("\n", "\n    "))
    if len(failed) > SHOWN_MAX:
        lines.append(f"... and {len(failed) - SHOWN_MAX} further rows")
    return "\n".join(lines)
