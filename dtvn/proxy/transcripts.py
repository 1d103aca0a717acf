"""Transcripts of the streams that a platform's cluster judges.

While a stream passes, its events and salts are kept in a file, a line each, for neither memory nor the
platform keeps them: `run-7.events`, by the platform's number of the run. When the stream has ended, the
platform makes the transcript of them: `run-7.json`. Where that fails, the first file stays.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from dtvn.proxy.judge import NoVerdict

SALT_BYTES = 16
logger = logging.getLogger("dtvn.proxy")


class SaltedEvents(Struct, frozen=True):
    """Events with their salts in base64: the body of a request."""

    texts: list[str]
    salts: list[str]


class _Line(Struct, frozen=True):
    text: str
    salt: str


_line = msgspec.json.Decoder(_Line)


class TranscriptFile:
    """The transcript of one stream. An error of the disk or of the agent costs the transcript, never a
    verdict."""

    def __init__(self, folder: Path, number: int) -> None:
        self._kept = folder / f"run-{number}.events"
        self._made = folder / f"run-{number}.json"
        self._number = number
        self._mode = "xb"
        self._broken = False

    def add(self, texts: Sequence[bytes]) -> SaltedEvents | None:
        """Write the next events to the file, with newly drawn salts, and return both for the request; None if
        there will be no transcript."""
        if self._broken:
            return None
        try:
            salts = [b64encode(secrets.token_bytes(SALT_BYTES)).decode() for _ in texts]
            salted = SaltedEvents([text.decode() for text in texts], salts)
            lines = [msgspec.json.encode(_Line(*each)) for each in zip(salted.texts, salts, strict=True)]
            with open(self._kept, self._mode, opener=_private) as file:
                file.writelines(line + b"\n" for line in lines)
            self._mode = "ab"
        except UnicodeDecodeError:
            self.give_up("an event is not UTF-8")
        except OSError as error:
            self.give_up(str(error))
        else:
            return salted
        return None

    def give_up(self, reason: str) -> None:
        """Stop keeping events, and log that there will be no transcript, for this reason."""
        self._broken = True
        left = f" Its events are in {self._kept}." if self._mode == "ab" else ""
        logger.warning("Run %s gets no transcript: %s.%s", self._number, reason.rstrip("."), left)

    async def make(self, covered: int, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Write the transcript of the first `covered` events. `ask` sends the body of a request to the
        platform and returns the transcript."""
        if self._broken or not covered:
            return
        try:
            content = await ask(await asyncio.to_thread(self._body, covered))
            await asyncio.to_thread(self._write, content)
        except (NoVerdict, OSError, msgspec.MsgspecError) as error:
            self.give_up(str(error))
        except asyncio.CancelledError:
            self.give_up("the platform did not make it in time")
            raise

    def _body(self, covered: int) -> bytes:
        lines = self._kept.read_bytes().splitlines()[:covered]
        kept = [_line.decode(line) for line in lines]
        return msgspec.json.encode(SaltedEvents([each.text for each in kept], [each.salt for each in kept]))

    def _write(self, content: bytes) -> None:
        with open(self._made, "xb", opener=_private) as file:
            file.write(content)
        self._kept.unlink()


def _private(path: str, flags: int) -> int:
    """Opener that makes a file which only its owner may read: events may be personal."""
    return os.open(path, flags, 0o600)
