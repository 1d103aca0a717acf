"""The repository checks itself: sizes, banned calls, leftovers, links, pins."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 60

# call -> why not; the dotted name as it is written at the call.
BANNED_ANYWHERE = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "pickle.loads": "runs code hidden in data",
    "pickle.load": "runs code hidden in data",
    "marshal.loads": "crashes on hostile data",
    "os.system": "goes through a shell",
    "breakpoint": "a debugger left behind",
}
BANNED_IN_TESTS = {
    "time.sleep": "wait for what you expect, with a deadline",
    "asyncio.sleep": "wait for what you expect, with a deadline",
}
# The one helper in which tests may pause between two looks at a condition.
MAY_PAUSE = {"tests/waiting.py"}
LEFTOVER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
TEXT_SUFFIXES = {".py", ".md", ".js", ".css", ".html", ".toml", ".sh", ".txt", ".yml", ".yaml"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows or would take, vendored ones apart."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = (name for name in listed.stdout.splitlines() if not name.startswith("static/vendor/"))
    return tuple(path for name in names if (path := ROOT / name).is_file())


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and "migrations" not in path.parts]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=relative(path))


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
    return "?"


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


@pytest.mark.ci
def test_no_function_exceeds_the_length_limit() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


@pytest.mark.ci
def test_no_banned_calls() -> None:
    found = []
    for path in sources():
        banned = dict(BANNED_ANYWHERE)
        if relative(path).startswith("tests/") and relative(path) not in MAY_PAUSE:
            banned |= BANNED_IN_TESTS
        found += [
            f"{relative(path)}:{line} {name}: {banned[name]}" for line, name in calls(path) if name in banned
        ]
    assert not found


@pytest.mark.ci
def test_no_exception_is_swallowed() -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (
                isinstance(node.type, ast.Name)
                and node.type.id in {"Exception", "BaseException"}
                and all(isinstance(line, ast.Pass) for line in node.body)
            )
        )
    ]
    assert not found


def test_no_todo_is_left_in_the_code() -> None:
    """What is not done is an issue, not a comment."""
    found = [
        f"{relative(path)}:{number}"
        for path in tracked()
        if path.suffix in TEXT_SUFFIXES or path.name == "Makefile"
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if LEFTOVER.search(line)
    ]
    assert not found


def test_links_in_the_documentation_have_targets() -> None:
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
    dead = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        dead += [
            f"{relative(path)} -> {target}"
            for target in link.findall(text)
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
        ]
    assert not dead


def requirement_lines(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "constraints.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    assert [
        line for line in requirement_lines(name) if not re.fullmatch(r"[\w.\[\],-]+==[\w.+!]+", line)
    ] == []


def test_every_dependency_has_a_stated_reason() -> None:
    reasons = (ROOT / "docs/understand/dependencies.md").read_text(encoding="utf-8").lower()
    named = set(re.findall(r"[\w.-]+", reasons))
    wanted = {
        re.split(r"[\[=]", line)[0].lower()
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in requirement_lines(name)
    }
    assert wanted - named == set()
