"""tests/docs/parity.json: the cases of both contracts and the tests behind each.

`python -m tests.docs.parity` (`make parity`) adds the tests that bear a case's number and removes those that
are gone. The site shows the table (tests.docs.tables).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("parity.json")
EVENTS = [f"A{n}" for n in range(1, 88) if n != 74]
CASES = [*(f"C{n}" for n in range(1, 49)), *(f"X{n}" for n in range(1, 44)), "X6b", "X26b", *EVENTS]
NUMBER = re.compile(r"[acx]\d+b?")
REAL, INTEGRATION = "tests/integration/", "pytest.mark.integration"
PROCESSES, IN_PROCESS, OPEN = "processes", "in process", "open"


class Case(TypedDict, total=False):
    """One case of the contract or promise of the description."""

    about: str
    tests: list[str]
    """`path` or `path::function`."""
    open: str
    """Why nothing proves it, if nothing does."""


def cases() -> dict[str, Case]:
    """All cases by number."""
    found: dict[str, Case] = json.loads(TABLE.read_text(encoding="utf-8"))
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
    """Tests by the cases that their names begin or end with: `test_c7_x15_...` is of C7 and of X15,
    `test_..._a68_a69` of A68 and of A69."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for name in sorted(functions(path)):
            parts = name.split("_")[1:]
            first, last = takewhile(NUMBER.fullmatch, parts), takewhile(NUMBER.fullmatch, reversed(parts))
            for part in {*first, *last}:
                found.setdefault(part.capitalize(), []).append(f"{path}::{name}")
    return found


def kind_of(tests: Iterable[str]) -> str:
    """Proved against real processes, in process, or not."""
    kinds = [_runs_processes(test) for test in tests]
    if not kinds:
        return OPEN
    return PROCESSES if any(kinds) else IN_PROCESS


def _runs_processes(test: str) -> bool:
    path = test.partition("::")[0]
    return path.startswith(REAL) or INTEGRATION in (ROOT / path).read_text(encoding="utf-8")


def refreshed(known: Mapping[str, Case]) -> dict[str, Case]:
    """The cases with their tests as these are now."""
    by_number, found = numbered(), {}
    for name, case in known.items():
        tests = [test for test in case.get("tests", []) if exists(test)]
        tests += [test for test in by_number.get(name, []) if test not in tests]
        rest = Case(about=case["about"], open=case["open"]) if "open" in case else Case(about=case["about"])
        found[name] = Case(**rest, tests=tests) if tests else rest
    return found


def main() -> None:
    """Rewrite the table."""
    TABLE.write_text(json.dumps(refreshed(cases()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
