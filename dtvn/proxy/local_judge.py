"""The judge on this machine: the rules alone, without a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dtvn.events.rules import Limits, Phase, Reading, Stream, Verdict, Violation, quoted, warning
from dtvn.events.runs import Run, started_run
from dtvn.proxy.judge import LOCAL_ONLY, Judgement


class LocalJudge:
    """The rules of AG-UI 1.0 over each stream, read as by the official client. If another open stream writes
    the same run, RUN_STARTED gets a warning."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.writers: Counter[Run] = Counter()
        """How many open streams have begun a run and not ended it; runs without one are left out."""

    async def open(self) -> Judgement:
        """See Judge."""
        return _LocalJudgement(self)


class _LocalJudgement:
    scope = LOCAL_ONLY
    waits_for = ""

    def __init__(self, judge: LocalJudge) -> None:
        self._judge = judge
        self._stream = Stream(judge.limits, reading=Reading.CLIENT)
        self._run: Run | None = None

    async def judge(self, events: Sequence[bytes]) -> list[Verdict]:
        return [self._verdict(text) for text in events]

    async def close(self) -> Violation | None:
        self._release()
        return next(iter(self._stream.end()), None)

    def _verdict(self, text: bytes) -> Verdict:
        stream = self._stream
        if stream.state.phase is Phase.ACTIVE:
            verdict = stream.feed(text)
            if stream.state.phase is not Phase.ACTIVE:
                self._release()
            return verdict
        run = started_run(text)
        verdict = stream.feed(text)
        if run is None or not verdict.accepted:
            return verdict
        self._run = run
        self._judge.writers[run] += 1
        if self._judge.writers[run] > 1:
            said = f"Another stream writes run {quoted(run.run_id)} of thread {quoted(run.thread_id)} now."
            told = warning(stream.index - 1, "RUN_HAS_TWO_WRITERS", "runId", said)
            return Verdict(True, (*verdict.violations, told))
        return verdict

    def _release(self) -> None:
        if self._run is not None:
            self._judge.writers[self._run] -= 1
            if not self._judge.writers[self._run]:
                del self._judge.writers[self._run]
            self._run = None
