"""The lines of the checkout that a patch changes, and the tests to try on it."""

from __future__ import annotations

import ast
import re

from tests.mutation.record import PRODUCT, ROOT, Record

NEAR = 6
"""So many lines on each side of a change are looked at if no test runs its own."""


def changed_lines(patch: str) -> dict[str, set[int]]:
    """Path -> numbers of the lines, before the patch, that a unified diff takes away; where it only adds, of
    the line before."""
    found: dict[str, set[int]] = {}
    path, number, before = "", 0, " "
    for line in patch.splitlines():
        if line.startswith("--- a/"):
            path = line.removeprefix("--- a/").strip()
        elif begin := re.match(r"@@ -(\d+)", line):
            number = int(begin[1])
        elif line.startswith(("-", " ")) and not line.startswith("---"):
            if line[0] == "-":
                found.setdefault(path, set()).add(number)
            number += 1
        elif line.startswith("+") and not line.startswith("+++") and before == " ":
            found.setdefault(path, set()).add(number - 1)
        before = line[:1]
    return found


def choose_tests(patch: str, record: Record) -> list[str]:
    """Tests to try on a patch, the quickest first: those that run its lines, or else lines beside them. What
    is made when a module is imported, such as a table or the fields of a class, is run by no test: then all
    tests of the file, of those that import it, and of those that import them."""
    chosen: set[str] = set()
    for path, lines in changed_lines(patch).items():
        known = record.tests_of(path)
        inside = lines & _lines_of_functions(path)
        chosen |= _running(known, inside, 0) or _running(known, inside, NEAR)
        if lines - inside:
            for file in _importing({path}):
                chosen |= _all_tests(record.tests_of(file))
    return sorted(chosen, key=lambda test: record.seconds.get(test, 0.0))


def _running(known: dict[int, set[str]], lines: set[int], near: int) -> set[str]:
    beside = {line + offset for line in lines for offset in range(-near, near + 1)}
    return {test for line in known.keys() & beside for test in known[line]}


def _all_tests(known: dict[int, set[str]]) -> set[str]:
    return {test for tests in known.values() for test in tests}


def _lines_of_functions(path: str) -> set[int]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    bodies = ((each.body[0].lineno, each.body[-1].end_lineno or 0) for each in functions)
    return {line for first, last in bodies for line in range(first, last + 1)}


def _importing(files: set[str]) -> set[str]:
    """These files, those that import them, and those that import these."""
    texts = {
        file: file.read_text(encoding="utf-8") for root in PRODUCT for file in (ROOT / root).rglob("*.py")
    }
    for _level in range(2):
        names = "|".join(re.escape(file.removesuffix(".py").replace("/", ".")) for file in files)
        wanted = re.compile(rf"^\s*(from|import) ({names})\b", re.MULTILINE)
        files = files | {str(file.relative_to(ROOT)) for file, text in texts.items() if wanted.search(text)}
    return files
