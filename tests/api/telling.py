"""Stories of the platform as text: calls with their whole answers, rows of tables, under a stopped clock."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import models
from django.http.response import HttpResponseBase
from django.utils import timezone

from validators.models import PlatformAction

NOW = 1_790_000_000_000_000
"""Microseconds: 2026-09-21 14:13:20 UTC."""
LONG = 32
"""Bytes; of more than these the digest is told."""
GOLDEN = "golden"
WIDTH = 140
DRAWN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32,}\b|12D3KooW\w{44}"
    r"|(?<![\w/+.-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Z])[\w/+-]{40,}={0,2}"
)
"""Digests, keys, signatures and tokens: each is told as its place in the order of appearance."""


LEFT_OUT = re.compile(r" \(\d+ more like (it|them) were left out\)$")
"""What a log says of records of the minute before, as of another test."""


class Clock:
    """The one clock of a story; it moves when told to."""

    def __init__(self) -> None:
        self.now = NOW

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)

    def seconds(self) -> float:
        return self.now / 1_000_000

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now / 1_000_000, UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Wall time stands still, for everything that reads it by module `time` or by Django."""
    stopped = Clock()
    monkeypatch.setattr(time, "time_ns", lambda: stopped.now * 1_000)
    monkeypatch.setattr(time, "time", stopped.seconds)
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
        self._actions = 0

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"

    def heading(self, text: str) -> None:
        self.lines += ["", f"== {text}"] if self.lines else [f"== {text}"]

    def say(self, text: str) -> None:
        self.lines += [line.rstrip() for line in self._named(text).splitlines()]

    def value(self, value: Any, indent: int = 2) -> None:
        """A value as JSON, its members in their order, objects on one line where they fit."""
        self.say(laid_out(value, indent))

    def answer(self, asked: str, response: HttpResponseBase) -> Any:
        """Tells a call and its whole answer; returns the decoded body."""
        self.say(f"{asked}")
        self.say(f"  {response.status_code} {self._headers(dict(response.headers))}".rstrip())
        raw = getattr(response, "content", b"")
        text = raw.decode()
        if not text:
            return None
        try:
            body = json.loads(text)
        except ValueError:
            self.say("    " + text.replace("\n", "\n    "))
            return text
        self.value(body, 4)
        return body

    def rows(self, model: type[models.Model], *names: str, using: str = "default") -> None:
        """All rows of a table, by key: the named columns, or all."""
        self.say(f"rows of {model.__name__}")
        for row in model.objects.using(using).order_by("pk").values(*names):  # type: ignore[attr-defined]
            self.say("  " + ", ".join(f"{name}={_plain(value)}" for name, value in row.items()))

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

    def audit(self) -> None:
        """Platform actions written since the last call."""
        for row in PlatformAction.objects.filter(pk__gt=self._actions).order_by("pk"):
            self._actions = row.pk
            self.say(
                f"  audit: {row.actor or '-'} | {row.action} | {row.target} | {row.outcome} | {row.address}"
            )

    def logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """What was logged since the last call."""
        for record in caplog.records:
            said = LEFT_OUT.sub("", record.getMessage())
            self.say(f"  log: {record.levelname} {record.name}: {said}")
        caplog.clear()

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

    def _named(self, text: str) -> str:
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
        found = self.story.answer(asked, self._call(method, path, body, **headers))
        self.story.audit()
        return found


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


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (bytes, memoryview)):
        content = bytes(value)
        shown = (
            content.hex() if len(content) <= LONG else f"{len(content)} bytes, {sha256(content).hexdigest()}"
        )
        return shown or "-"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
