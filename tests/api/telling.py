"""Stories of the platform as text: calls with their answers, under a stopped clock."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http.response import HttpResponseBase
from django.utils import timezone

from tests.golden import Differences, route_of
from tests.support.clock import SetClock

NOW = 1_790_000_000_000_000
"""Microseconds: 2026-09-21 14:13:20 UTC."""
GOLDEN = "golden"
API = "/api/v1/"
WIDTH = 140
DRAWN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32,}\b|12D3KooW\w{44}"
    r"|(?<![\w/+.-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Z])[\w/+-]{40,}={0,2}"
)
"""Digests, keys, signatures and tokens: each is told as its place in the order of appearance."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Wall time stands still, for everything that reads it by module `time` or by Django."""
    stopped = SetClock(wall=NOW * 1_000)
    monkeypatch.setattr(time, "time_ns", stopped.unix_ns)
    monkeypatch.setattr(time, "time", stopped.unix)
    monkeypatch.setattr(timezone, "now", stopped.moment)
    return stopped


class Story:
    """Lines that tell what was asked and what was answered. Long values are cut where they are the same in
    each run (`exact`); else they get names `#1`, `#2` in order of appearance, so equal ones stay equal."""

    def __init__(self, *, exact: bool = False) -> None:
        self._exact = exact
        self.hidden: dict[str, str] = {}
        """Text that differs from run to run -> what stands in its place."""
        self.masked: dict[re.Pattern[str], str] = {}
        """The same for what is found by a pattern."""
        self.lines: list[str] = []
        self.drawn: dict[str, str] = {}
        self.usual: dict[str, str] = {}
        """Headers as told first; later only those that differ are told."""
        self.differences = Differences()

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"

    def restart(self) -> None:
        """Leave out what was told so far."""
        self.lines, self.differences = [], Differences()

    def heading(self, text: str) -> None:
        self.lines += ["", f"== {text}"] if self.lines else [f"== {text}"]

    def say(self, text: str) -> None:
        self.lines += [line.rstrip() for line in self.named(text).splitlines()]

    def value(self, value: Any, indent: int = 2) -> None:
        """A value as JSON, its members in their order, objects on one line where they fit."""
        self.say(laid_out(value, indent))

    def answer(self, asked: str, response: HttpResponseBase) -> Any:
        """Tells a call and its answer; returns the decoded body."""
        self.say(f"{asked}")
        self.say(f"  {response.status_code} {self._headers(dict(response.headers))}".rstrip())
        raw = getattr(response, "content", b"")
        text = raw.decode()
        if not text:
            return None
        method, path = asked.split()[:2]
        kind = f"{method} {route_of(path if path.startswith('/') else API + path)}"
        try:
            body = json.loads(text)
        except ValueError:
            lines = [self.named(line) for line in text.splitlines()]
            self.told(self.differences.of(f"{kind} {response.status_code}", lines))
            return text
        shown = self.named(laid_out(body, 0)).splitlines()
        self.told(self.differences.of_value(kind, json.loads(self.named(text)), shown))
        return body

    def told(self, lines: list[str]) -> None:
        """What an answer holds: below it, or behind it if it is one line."""
        if len(lines) == 1:
            self.lines[-1] += f" {lines[0]}"
        else:
            self.lines += [f"    {line}".rstrip() for line in lines]

    def command(self, *words: object, hidden: tuple[str, ...] = ()) -> None:
        """Runs a command of manage.py and tells its output, errors and exit status. `hidden`: words that
        are not shown, such as folders."""
        said = [str(word) for word in words]
        self.say("$ manage.py " + " ".join(word for word in said if word not in hidden))
        out, err, status = StringIO(), StringIO(), "0"
        try:
            call_command(*said, stdout=out, stderr=err)
        except CommandError as error:
            status = f"{error.returncode}, {error}"
        except SystemExit as ended:
            status = str(ended.code)
        for mark, text in (("| ", out), ("! ", err)):
            for line in text.getvalue().splitlines():
                self.say(f"  {mark}{line}")
        self.say(f"  exit: {status}")

    def _headers(self, headers: Mapping[str, str]) -> str:
        told = []
        for name in sorted({*headers, *self.usual}):
            if name == "Content-Length":
                continue
            if name not in headers:
                told.append(f"without {name}")
            elif self.usual.get(name) != headers[name]:
                told.append(f"{name}: {headers[name]}")
        if not self.usual:
            named = ("Content-Length", "X-DTVN-Sequence")
            self.usual = {name: value for name, value in headers.items() if name not in named}
        return "; ".join(told)

    def named(self, text: str) -> str:
        """A text without what differs from run to run."""
        for found, shown in self.hidden.items():
            text = text.replace(found, shown)
        for pattern, shown in self.masked.items():
            text = pattern.sub(shown, text)
        if self._exact:
            return DRAWN.sub(lambda found: f"{found[0][:6]}~{found[0][-6:]}", text)
        return DRAWN.sub(lambda found: self.drawn.setdefault(found[0], f"#{len(self.drawn) + 1}"), text)


class Teller:
    """Calls an API, or pages, and tells the answers to a story."""

    def __init__(self, story: Story, call: Callable[..., HttpResponseBase], who: str = "") -> None:
        self.story = story
        self._call = call
        self._who = f" ({who})" if who else ""

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        asked = f"{method} {path}{self._who}"
        if headers:
            asked += " " + " ".join(f"[{name.replace('_', '-')}: {value}]" for name, value in headers.items())
        if body is not None:
            shown = body.decode() if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False)
            asked += f" {shown if len(shown) < 600 else shown[:600] + f'... ({len(shown)} characters)'}"
        return self.story.answer(asked, self._call(method, path, body, **headers))


def laid_out(value: Any, indent: int) -> str:
    """JSON with the members in their order; short members share a line."""
    pad = " " * indent
    short = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list, tuple)) or not value or len(short) + indent <= WIDTH:
        return pad + short
    if isinstance(value, dict):
        ends = "{}"
        items = [
            f"{json.dumps(name, ensure_ascii=False)}: {laid_out(each, indent + 2).lstrip()}"
            for name, each in value.items()
        ]
    else:
        ends, items = "[]", [laid_out(each, indent + 2).lstrip() for each in value]
    return "\n".join([pad + ends[0], *_packed(items, pad + "  "), pad + ends[1]])


def _packed(items: list[str], pad: str) -> list[str]:
    """Lines of items; those of one line share it up to the width, objects keep theirs."""
    lines: list[str] = []
    open_line = False
    for item in items:
        alone = "\n" in item or item.startswith("{")
        if open_line and not alone and len(lines[-1]) + len(item) + 2 <= WIDTH:
            lines[-1] += f", {item}"
        else:
            lines.append(pad + item)
        open_line = not alone
    return lines


def beside(file: str, name: str) -> Path:
    """The golden file of a story that stands in the test module `file`."""
    return Path(file).parent / GOLDEN / f"{name}.txt"
