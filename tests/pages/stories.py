"""Golden stories of pages and the API: each request with all that is answered.

The clock stands, and goes on only when the story says so; what would be drawn at random is counted. An
answer of a kind that was told before is told by its difference.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.golden import Compare, Differences, route_of
from tests.importing.telling import told
from tests.pages.page_text import FRAME, page_text
from tests.support.clock import SetClock

BEGIN = datetime(2026, 6, 5, 17, 30, tzinfo=UTC)
"""A Friday evening: doors of the stories' event open half an hour later."""
HEADERS_UNTOLD = frozenset(
    {
        *("Content-Length", "Content-Language", "Vary", "X-Frame-Options", "X-Content-Type-Options"),
        *("Referrer-Policy", "Cross-Origin-Opener-Policy", "Set-Cookie", "Content-Security-Policy"),
        *("Permissions-Policy", "Cross-Origin-Resource-Policy"),
    }
)


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
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock of a story, which stands; what is drawn is counted."""
    found, drawn = SetClock(wall=int(BEGIN.timestamp()) * 1_000_000_000), Drawn()
    monkeypatch.setattr(time, "time_ns", found.unix_ns)
    monkeypatch.setattr(time, "time", found.unix)
    monkeypatch.setattr(timezone, "now", found.moment)
    for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow"):
        monkeypatch.setattr(secrets, name, getattr(drawn, name))
    return found


class Story:
    """Writes down what is asked and answered."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """What was told so far."""
        self._differences = Differences()
        self.names: dict[str, str] = {}
        """What is called otherwise, since it differs from run to run -> its name."""

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
        self._answer(method, route_of(path), response)
        return response

    def sent(self, client: Client, path: str, form: dict[str, Any], **more: Any) -> Any:
        """A form with a file is sent, of which the story has told before."""
        response = client.post(path, form, **more)
        self._answer("post", route_of(path), response)
        return response

    def restart(self) -> None:
        """Leave out what was told so far."""
        self.lines, self._differences = [], Differences()

    def end(self, golden: Compare, path: Path) -> None:
        """Compare all of it."""
        text = "\n".join(self.lines)
        for given, name in self.names.items():
            text = text.replace(given, name)
        lines = text.splitlines()
        golden(path, "\n".join(line.rstrip() for line in lines).strip() + "\n")

    def _answer(self, method: str, name: str, response: Any) -> None:
        headers = [
            f"{header}: {value}"
            for header, value in response.headers.items()
            if header not in HEADERS_UNTOLD and (header, value) != PLAIN
        ]
        self.lines.append(f"-> {' '.join([str(response.status_code), *('; '.join(headers).split())])}")
        content = b"" if response.streaming else response.content
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        lines = self._content(kind, content)
        if kind == "application/json" and lines:
            found = self._differences.of_value(f"{method} {name}", json.loads(content), lines)
        else:
            found = self._differences.of(name if kind == "text/html" else f"{name} {method}", lines)
        if len(found) == 1:
            self.lines[-1] += f" {found[0]}"
        else:
            self.lines += [f"   {line}" for line in found]

    def _content(self, kind: str, content: bytes) -> list[str]:
        if kind == "text/html" and content:
            return [line for line in page_text(content.decode()).split("\n") if not line.endswith(FRAME)]
        if kind == "application/json":
            return told(json.loads(content)).split("\n") if content else []
        if kind.startswith("text/"):
            return content.decode().splitlines()
        return [f"{len(content)} bytes"] if content else []


PLAIN = ("Content-Type", "text/html; charset=utf-8")


def _shown_body(body: Any) -> str:
    return body if isinstance(body, str) else told(body)
