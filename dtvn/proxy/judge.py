"""The interface of judges of a stream: this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dtvn.events.rules import Verdict, Violation

LOCAL_ONLY = "LOCAL_ONLY"
"""Scope of verdicts that no certificate covers."""


class NoVerdict(Exception):
    """The judge cannot be asked, or does not answer; the sentence says why."""

    verdicts: Sequence[Verdict] = ()
    """Those on the first of the events that it was asked about."""


class Judgement(Protocol):
    """The judging of one stream, whose events are handed over in order, each once."""

    scope: str
    """What the verdicts so far rest on: `LOCAL_ONLY`, or the name of a certificate."""
    waits_for: str
    """Why the verdicts that are asked for now are late, as a sentence without its end; "" if that is not
    known."""

    async def judge(self, events: Sequence[bytes]) -> Sequence[Verdict]:
        """The verdict on each event, given as its JSON text. Raises NoVerdict, after which nothing may be
        asked."""

    async def close(self) -> Violation | None:
        """End the judging of the stream, which may change `scope`. Returns a warning about the whole stream,
        None without one. Raises NoVerdict if the judge does not confirm it."""


class Judge(Protocol):
    """Judges many streams at once."""

    async def open(self) -> Judgement:
        """Begin to judge a stream. Raises NoVerdict."""
