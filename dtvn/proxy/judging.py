"""Asks the judge about one stream, within time limits, and collects the findings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dtvn.events.rules import Verdict
from dtvn.events.runs import begins_stream
from dtvn.proxy.findings import Findings
from dtvn.proxy.judge import Judge, Judgement, NoVerdict

UNFINISHED = "STREAM_NOT_TERMINATED"
"""The rule of a stream that ends within a run."""


class Judging:
    """One stream and its judge, who is asked nothing more after the first missing verdict."""

    def __init__(
        self,
        judge: Judge,
        findings: Findings,
        seconds: float | None,
        *,
        closing_seconds: float,
        resumed: str,
        to_first: bool,
    ) -> None:
        """`seconds`: limit for a verdict, None for no limit; `closing_seconds`: for the end of the stream.
        `resumed`: the Last-Event-ID of a client that continues an earlier stream, or "". `to_first`: findings
        end with the first refused event, since the client gets none of the later ones."""
        self._judge = judge
        self._seconds = seconds
        self._closing_seconds = closing_seconds
        self._resumed = resumed
        self._to_first = to_first
        self._judgement: Judgement | None = None
        self.findings = findings

    @property
    def judged(self) -> bool:
        """Whether every event so far has got a verdict."""
        return self.findings.not_validated is None

    async def verdicts(self, texts: Sequence[bytes]) -> Sequence[Verdict]:
        """The verdict on each of the next events; once one is missing, no more for the rest of the stream."""
        if not self.judged or not texts:
            return ()
        if self._judgement is None and self._resumed and not begins_stream(texts[0]):
            self.give_up(f"resumed after event {self._resumed!r}, whose stream was not judged here")
            return ()
        verdicts: Sequence[Verdict] = ()
        try:
            async with asyncio.timeout(self._seconds):
                if self._judgement is None:
                    self._judgement = await self._judge.open()
                given = await self._judgement.judge(texts)
                if len(given) != len(texts):
                    raise NoVerdict(f"{len(given)} verdicts on {len(texts)} events")
            verdicts = given
        except TimeoutError:
            limit = "" if self._seconds is None else f" within {self._seconds:g} s"
            awaited = "" if self._judgement is None else self._judgement.waits_for
            self.give_up(f"no verdict{limit}" + (f": {awaited}" if awaited else ""))
        except NoVerdict as error:
            verdicts = error.verdicts
            self.give_up(str(error))
        if verdicts and self._judgement is not None:
            self.findings.scope = self._judgement.scope
            self._take(texts, verdicts)
        return verdicts

    def _take(self, texts: Sequence[bytes], verdicts: Sequence[Verdict]) -> None:
        count = len(verdicts)
        if self._to_first:
            refusals = (number for number, verdict in enumerate(verdicts, 1) if not verdict.accepted)
            count = next(refusals, count)
        self.findings.take(texts[:count], verdicts[:count])

    def give_up(self, reason: str) -> None:
        """Judge nothing further, for this reason."""
        if self.judged:
            self.findings.not_validated = reason

    async def close(self) -> None:
        """End the judging, because the stream has ended."""
        judgement, self._judgement = self._judgement, None
        if judgement is None:
            return
        try:
            async with asyncio.timeout(self._closing_seconds):
                warning = await judgement.close()
        except (NoVerdict, TimeoutError):
            self.give_up("the judge did not confirm the end of the stream")
            return
        if self.findings.events:
            self.findings.scope = judgement.scope
        # Of a stream that broke off, or was refused, it is known why its run has no end.
        if warning is not None and (warning.code != UNFINISHED or self.findings.ended == "complete"):
            self.findings.warn(warning)
