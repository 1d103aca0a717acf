"""The judge on this machine: the rules alone, without a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dtvn.events.rules import Limits, Phase, Stream, Verdict, quoted, warning
from dtvn.events.runs import Run, started_run
from dtvn.proxy.judge import LOCAL_ONLY, Judgement


class LocalJudge:
    """The rules of AG-UI 1.0 over each stream. If another open stream writes the same run, RUN_STARTED gets a
    warning."""

    def __init__(
        self, limits: Limits | None = None, *, drop_unknown: bool = False, accept_0x: bool = False
    ) -> None:
        """`drop_unknown`: events of unknown type pass with a warning; `accept_0x`: events of protocol 0.x
        that the official client 1.0 converts are judged as what it makes of them."""
        self.limits = limits or Limits()
        self.drop_unknown = drop_unknown
        self.accept_0x = accept_0x
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
        self._stream = Stream(judge.limits, drop_unknown=judge.drop_unknown, accept_0x=judge.accept_0x)
        self._run: Run | None = None

    async def judge(self, events: Sequence[bytes]) -> list[Verdict]:
        return [self._verdict(text) for text in events]

    async def close(self) -> None:
        self._release()

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
