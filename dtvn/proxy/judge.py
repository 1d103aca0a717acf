"""Who judges a stream that passes the proxy: this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dtvn.events.rules import Verdict


class NoVerdict(Exception):
    """The judge cannot be asked, or does not answer; the sentence says why."""


class Judgement(Protocol):
    """One stream before its judge. Its events are handed over in order, each once."""

    scope: str
    """What stands behind the verdicts so far: `LOCAL_ONLY`, or the name of a certificate."""

    async def judge(self, events: Sequence[bytes]) -> Sequence[Verdict]:
        """A verdict for the JSON text of each event. Raises NoVerdict; nothing is asked after that."""

    async def close(self) -> None:
        """The stream has ended or is not judged further. Raises NoVerdict."""


class Judge(Protocol):
    """Judges many streams at once."""

    async def open(self) -> Judgement:
        """Begin with a stream. Raises NoVerdict."""
