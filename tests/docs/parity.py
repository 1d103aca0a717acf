"""docs/understand/parity.md and the tests behind it, read and refreshed: `python -m tests.docs.parity`
(`make parity`) lists for each case the tests that bear its number, takes out those that are gone, and says
on the page what kind of proof that is.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["CASES", "PAGE", "Row", "exists", "kind_of", "listed_tests", "numbered", "refreshed", "rows"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "understand" / "parity.md"
TESTS = Path(__file__).with_name("parity.json")
"""Case -> its tests, `path` or `path::function`."""
CASES = [*(f"C{n}" for n in range(1, 49)), *(f"X{n}" for n in range(1, 44)), "X6b", "X26b"]
NUMBER = re.compile(r"[cx]\d+b?")
SPLIT = "|"
REAL, MARK = "tests/integration/", "pytest.mark.integration"
PROCESSES, IN_PROCESS, OPEN = "processes", "in process", "open"
MARKS = {PROCESSES: "", IN_PROCESS: " (*in process*)", OPEN: "**open**: "}
"""How a line shows its kind of proof; of what is open people write the reason."""


class Row(NamedTuple):
    """One line of a table: a case's number or a promise's, and what it is about."""

    name: str
    about: str

    @property
    def kind(self) -> str:
        """The kind of proof that the line shows."""
        if MARKS[OPEN] in self.about:
            return OPEN
        return IN_PROCESS if self.about.endswith(MARKS[IN_PROCESS]) else PROCESSES


def rows(text: str) -> list[Row]:
    """All lines of all tables."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip(SPLIT).split(SPLIT)]
        if len(cells) == 2 and re.fullmatch(r"[CXP]\d+b?", cells[0]):
            found.append(Row(*cells))
    return found


def listed_tests() -> dict[str, list[str]]:
    """The tests of each case, as they are listed now."""
    found: dict[str, list[str]] = json.loads(TESTS.read_text(encoding="utf-8"))
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


def refreshed_tests(listed: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The lists without the tests that are gone, and with those that bear a case's number."""
    found = {name: [test for test in tests if exists(test)] for name, tests in listed.items()}
    for name, tests in numbered().items():
        known = found.setdefault(name, [])
        known += [test for test in tests if test not in known]
    return {name: tests for name, tests in found.items() if tests}


def refreshed(text: str, tests: Mapping[str, list[str]]) -> str:
    """The page with the kind of proof of every row as the tests are now; what is open is left to people."""
    lines = []
    for line in text.splitlines():
        for row in rows(line):
            kind = kind_of(tests.get(row.name, []))
            if OPEN not in (kind, row.kind):
                line = f"| {row.name} | {row.about.removesuffix(MARKS[IN_PROCESS])}{MARKS[kind]} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrite the lists and the page."""
    tests = refreshed_tests(listed_tests())
    TESTS.write_text(json.dumps(tests, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8"), tests), encoding="utf-8")


if __name__ == "__main__":
    main()
