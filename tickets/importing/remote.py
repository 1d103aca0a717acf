"""An import by the page's own API: a file is uploaded, read, confirmed, and followed to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tickets.importing.answers import Answers
from tickets.importing.platform import Platform, answer_of
from tickets.importing.until_final import Answer, NetworkSilent, Refused, pause_before, until_final

FILES = "/dashboard/tickets/files"
ANSWER_PATIENCE = 60.0
"""Seconds for one answer: a file of 16 MB is sent with the first."""
WORKING = ("reading", "issuing")


class RemoteImport:
    """One import on a platform. `patience`: seconds for which a platform that does not answer is asked again.
    A context manager, which closes its connections. All methods raise Refused and NetworkSilent."""

    def __init__(self, platform: Platform, patience: float) -> None:
        self._client = httpx.Client(
            base_url=platform.url,
            headers={"X-API-Key": platform.api_key},
            timeout=httpx.Timeout(ANSWER_PATIENCE, connect=5.0),
            trust_env=False,
        )
        self._patience = patience
        self._path = FILES

    def __enter__(self) -> RemoteImport:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def upload(self, file: Path, content: bytes, *, event: str, answers: Answers) -> None:
        """Have the file read; nothing is imported yet."""
        sent = {"event": event, "answers": msgspec.json.encode(answers).decode()}
        made = self._ask("POST", FILES, data=sent, files={"file": (file.name, content)})
        self._path = f"{FILES}/{made['id']}"

    def changes(self, kind: str) -> Iterator[dict[str, Any]]:
        """The differences of one kind, as they are shown."""
        for page in count(1):
            found = self._ask("GET", f"{self._path}/changes", params={"kind": kind, "page": page})["changes"]
            yield from found
            if not found:
                return

    def confirm(self, changes: Sequence[str], *, unseen: bool = False) -> None:
        """Have imported what was understood, and these kinds of differences ordered; `unseen`: all that need
        no person, if the source is trusted."""
        data = {"change": list(changes)} | ({"apply": "yes"} if unseen else {})
        self._ask("POST", f"{self._path}/confirm", data=data)

    def discard(self) -> None:
        """Delete the import and its file."""
        self._ask("POST", f"{self._path}/discard")

    def follow(self, told: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until no worker has the import; returns all of it. `told`: each state on the way."""
        attempt = 1
        while True:
            state = self._ask("GET", f"{self._path}/state")
            told(state)
            if state["state"] not in WORKING:
                return self._ask("GET", self._path)
            attempt += 1
            time.sleep(pause_before(min(attempt, 4)))

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        def ask(_: list[str]) -> list[Answer]:
            try:
                return [answer_of(self._client.request(method, path, **content))]
            except httpx.ConnectError:  # nothing was sent
                return []
            except httpx.TransportError as error:
                if method != "GET":
                    raise NetworkSilent(f"the answer was lost ({type(error).__name__})") from error
                return []

        ((_, answer),) = until_final(ask, [path], patience=self._patience)
        return _content(answer.content)


def _content(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise Refused("the API key was refused; see the credentials file, or give --api-key")
    try:
        found: dict[str, Any] = response.json()
    except ValueError as error:
        text = response.text[:200]
        raise Refused(f"the platform answered {response.status_code}: {text}") from error
    if response.is_error:
        raise Refused(str(found.get("error", response.status_code)))
    return found
