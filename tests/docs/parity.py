"""docs/understand/parity.md, read and refreshed: `python -m tests.docs.parity` (`make parity`) adds to each
case the tests that bear its number, takes out those that are gone, and says what kind of proof that is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["CASES", "PAGE", "Row", "exists", "kind_of", "numbered", "rows"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "understand" / "parity.md"
CASES = [*(f"C{n}" for n in range(1, 49)), *(f"X{n}" for n in range(1, 44)), "X6b", "X26b"]
NUMBER = re.compile(r"[cx]\d+b?")
SPLIT = "|"
REAL, MARK = "tests/integration/", "pytest.mark.integration"
PROCESSES, IN_PROCESS, OPEN = "processes", "in process", "**open**"


class Row(NamedTuple):
    """One line of a table: a case's number or a promise's, what it is about, kind of proof, tests or the
    reason why there is none."""

    name: str
    about: str
    kind: str
    last: str

    @property
    def tests(self) -> list[str]:
        """`path` or `path::function`."""
        return re.findall(r"`(tests/[^`]+)`", self.last)


def rows(text: str) -> list[Row]:
    """All lines of all tables."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip(SPLIT).split(SPLIT)]
        if len(cells) == 4 and re.fullmatch(r"[CXP]\d+b?", cells[0]):
            found.append(Row(*cells))
    return found


@cache
def functions(path: str) -> frozenset[str]:
    """Tests of a file; empty where there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = (n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


def exists(test: str) -> bool:
    """A test that is named is there, or a file of tests."""
    path, _, name = test.partition("::")
    return name in functions(path) if name else bool(functions(path))


def numbered() -> dict[str, list[str]]:
    """Tests by the cases that their names begin with: `test_c7_x15_...` is of C7 and of X15."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for name in sorted(functions(path)):
            for part in name.split("_")[1:]:
                if not NUMBER.fullmatch(part):
                    break
                found.setdefault(part[0].upper() + part[1:], []).append(f"{path}::{name}")
    return found


def kind_of(tests: list[str]) -> str:
    """Proved against real processes, in process, or not."""
    if not tests:
        return OPEN
    return PROCESSES if any(map(_runs_processes, tests)) else IN_PROCESS


def _runs_processes(test: str) -> bool:
    path = test.partition("::")[0]
    return path.startswith(REAL) or MARK in (ROOT / path).read_text(encoding="utf-8")


def refreshed(text: str) -> str:
    """The page with every row as the tests are now; a row that lost its last one says so."""
    by_number = numbered()
    return "\n".join(_lines(text, by_number)) + "\n"


def _lines(text: str, by_number: dict[str, list[str]]) -> Iterator[str]:
    for line in text.splitlines():
        known = rows(line)
        if not known:
            yield line
            continue
        row = known[0]
        tests = [test for test in row.tests if exists(test)]
        tests += [test for test in by_number.get(row.name, []) if test not in tests]
        last = ", ".join(f"`{test}`" for test in tests)
        if not tests:
            last = row.last if not row.tests else "no test any more"
        yield f"| {row.name} | {row.about} | {kind_of(tests)} | {last} |"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
