"""Golden stories of pages and the API: each request with all that is answered, then what it wrote.

The clock stands, and goes on only when the story says so; what would be drawn at random is counted. A page
that was told before is told by its difference.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from datetime import UTC, datetime
from difflib import unified_diff
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import models
from django.test import Client
from django.utils import timezone

from tests.golden import Compare
from tests.importing.telling import told
from tests.pages.page_text import json_scripts, page_text

BEGIN = datetime(2026, 6, 5, 17, 30, tzinfo=UTC)
"""A Friday evening: doors of the stories' event open half an hour later."""
HEADERS_UNTOLD = frozenset(
    {
        *("Content-Length", "Content-Language", "Vary", "X-Frame-Options", "X-Content-Type-Options"),
        *("Referrer-Policy", "Cross-Origin-Opener-Policy", "Set-Cookie", "Content-Security-Policy"),
    }
)
FRAME = (
    "it will catch up automatically, with nothing missed.",
    "{role='status' hidden data-at='said'}",
    "The [admin pages](/admin/) work without it.",
)
"""Ends of the lines that stand on every page."""
BYTES_SHOWN = 6
MOMENTS = frozenset({"timestamp", "at", "not_before", "not_after", "entered_at"})
LEAST_MOMENT = 10**15
FIELDS_UNTOLD = frozenset(
    {"checksum", "request", "digest", "TicketImport.preview", "TicketImport.report", "TicketImport.options"}
)
"""Told by what shows them, or of no meaning."""


class Clock:
    """The time of all, in microseconds since 1970."""

    def __init__(self) -> None:
        self.now = int(BEGIN.timestamp()) * 1_000_000

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1_000_000)

    def at(self) -> datetime:
        """The moment as a date."""
        return datetime.fromtimestamp(self.now / 1_000_000, UTC)


class Drawn:
    """What is random elsewhere, in an order that is always the same."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def token_bytes(self, size: int = 32) -> bytes:
        """See secrets."""
        return hashlib.shake_128(b"drawn %d" % next(self._numbers)).digest(size)

    def token_hex(self, size: int = 32) -> str:
        """See secrets."""
        return self.token_bytes(size).hex()

    def token_urlsafe(self, size: int = 32) -> str:
        """See secrets."""
        return self.token_hex(size)

    def randbelow(self, limit: int) -> int:
        """See secrets."""
        return int.from_bytes(self.token_bytes(8)) % limit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a story, which stands; what is drawn is counted."""
    found, drawn = Clock(), Drawn()
    monkeypatch.setattr(time, "time_ns", lambda: found.now * 1_000)
    monkeypatch.setattr(time, "time", lambda: found.now / 1_000_000)
    monkeypatch.setattr(timezone, "now", found.at)
    for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow"):
        monkeypatch.setattr(secrets, name, getattr(drawn, name))
    return found


class Story:
    """Writes down what is asked, answered and written."""

    def __init__(self, *tables: type[models.Model] | tuple[type[models.Model], str]) -> None:
        self.lines: list[str] = []
        """What was told so far."""
        self._pages: dict[str, list[str]] = {}
        self._tables = [(one, "default") if isinstance(one, type) else one for one in tables]
        self._rows: dict[tuple[str, Any], dict[str, str]] = {}
        self.names: dict[str, str] = {}
        """What is called otherwise, since it differs from run to run -> its name."""
        self.log: pytest.LogCaptureFixture | None = None

    def part(self, title: str) -> None:
        """A new part of the story."""
        self.lines += ["", f"# {title}", ""]

    def say(self, text: str) -> None:
        """A line of the story."""
        self.lines.append(text)

    def ask(self, client: Client, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request, and its answer."""
        sent = "" if body is None else f" {_shown_body(body)}"
        self.lines.append(f"{method.upper()} {path}{sent}")
        call = getattr(client, method)
        response = call(path, **more) if body is None else call(path, data=body, **more)
        self._answer(f"{path.partition('?')[0]}", response)
        self.written()
        return response

    def sent(self, client: Client, path: str, form: dict[str, Any], **more: Any) -> Any:
        """A form with a file is sent, of which the story has told before."""
        response = client.post(path, form, **more)
        self._answer(path, response)
        self.written()
        return response

    def written(self) -> None:
        """What is in the tables now and was not before, and what was logged."""
        now = {}
        for model, alias in self._tables:
            for row in model._default_manager.using(alias).order_by("pk"):
                now[model.__name__, row.pk] = _fields(row)
        for place, fields in now.items():
            before = self._rows.get(place)
            if before is None:
                self.lines.append(f"  + {_place(place)}: {_listed(fields)}")
            elif changed := {name: text for name, text in fields.items() if text != before[name]}:
                self.lines.append(f"  ~ {_place(place)}: {_listed(changed, left=True)}")
        self.lines += [f"  - {_place(place)}" for place in self._rows if place not in now]
        self._rows = now
        if self.log is not None:
            self.lines += [f"  log {one.levelname.lower()}: {one.getMessage()}" for one in self.log.records]
            self.log.clear()

    def forget(self) -> None:
        """Take what is in the tables for known."""
        kept = len(self.lines)
        self.written()
        del self.lines[kept:]

    def restart(self) -> None:
        """Leave out what was told so far."""
        self.forget()
        self.lines = []

    def end(self, golden: Compare, path: Path) -> None:
        """Compare all of it."""
        text = "\n".join(self.lines)
        for given, name in self.names.items():
            text = text.replace(given, name)
        lines = text.splitlines()
        golden(path, "\n".join(line.rstrip() for line in lines).strip() + "\n")

    def _answer(self, name: str, response: Any) -> None:
        headers = [
            f"{header}: {value}"
            for header, value in response.headers.items()
            if header not in HEADERS_UNTOLD and (header, value) != PLAIN
        ]
        self.lines.append(f"-> {' '.join([str(response.status_code), *('; '.join(headers).split())])}")
        content = b"" if response.streaming else response.content
        self.lines += [f"   {line}" for line in self._content(name, response, content)]

    def _content(self, name: str, response: Any, content: bytes) -> list[str]:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind == "text/html" and content:
            page = content.decode()
            lines = [line for line in page_text(page).split("\n") if not line.endswith(FRAME)]
            for given, value in json_scripts(page).items():
                lines += [f"data {given}:", *told(value, indent=2).split("\n")] if given != "words" else []
            return self._page(name, lines)
        if kind == "application/json":
            return told(json.loads(content)).split("\n") if content else []
        if kind.startswith("text/"):
            return content.decode().splitlines()
        return [f"{len(content)} bytes"] if content else []

    def _page(self, name: str, lines: list[str]) -> list[str]:
        before, self._pages[name] = self._pages.get(name), lines
        if before is None:
            return lines
        if before == lines:
            return ["(the page as before)"]
        changes = [
            line
            for line in unified_diff(before, lines, lineterm="", n=0)
            if not line.startswith(("---", "+++", "@@"))
        ]
        return changes if len(changes) < len(lines) else lines


PLAIN = ("Content-Type", "text/html; charset=utf-8")


def _shown_body(body: Any) -> str:
    return body if isinstance(body, str) else told(body)


def _place(place: tuple[str, Any]) -> str:
    name, key = place
    return f"{name} {key.hex()[: 2 * BYTES_SHOWN] if isinstance(key, bytes) else key}"


def _fields(row: models.Model) -> dict[str, str]:
    found = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        names = {field.name, f"{type(row).__name__}.{field.name}"}
        if field.primary_key or not names.isdisjoint(FIELDS_UNTOLD):
            continue
        if field.name == "row" and hasattr(row, "whole"):
            value = row.whole
        found[field.name] = _value(value, field.name) if value else ""
    return found


def _listed(fields: dict[str, str], *, left: bool = False) -> str:
    return ", ".join(
        f"{name} {text}" if text else f"no {name}" for name, text in fields.items() if text or left
    )


def _value(value: Any, name: str = "") -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").replace("+00:00", "")
    if isinstance(value, bytes | memoryview):
        found = bytes(value)
        more = "..." if len(found) > BYTES_SHOWN else ""
        return f"{found[:BYTES_SHOWN].hex()}{more} ({len(found)})"
    if isinstance(value, int) and name in MOMENTS and value > LEAST_MOMENT:
        moment = datetime.fromtimestamp(value // 1_000_000, UTC).isoformat(sep=" ").replace("+00:00", "")
        return f"{moment}.{value % 1_000_000:06}"
    return compact(value)


def compact(value: Any) -> str:
    """On one line, with bytes cut."""
    match value:
        case msgspec.Struct():
            fields = msgspec.structs.fields(value)
            pairs = [(field.name, getattr(value, field.name)) for field in fields]
            return "{" + ", ".join(f"{name}: {_value(part, name)}" for name, part in pairs if part) + "}"
        case dict():
            return "{" + ", ".join(f"{name}: {compact(part)}" for name, part in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(compact, value)) + "]"
        case bytes():
            return _value(value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)
