"""What the runs of a stream owe one another and their client: threads, interrupts and their answers, counts
of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from dtvn.events.advice.said import Said
from dtvn.events.rules import listed, quoted
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s

INTERRUPTS = 256
"""Of how many interrupts of a run it is remembered that they wait for an answer."""


class Runs:
    """The run of a stream, and what the one before it left open."""

    def __init__(self) -> None:
        self._thread: str | None = None
        self._waiting: tuple[str, ...] = ()
        """Ids of the interrupts with which the run before ended."""

    def start(self, event: s.RunStarted) -> Said:
        if self._thread is not None and event.thread_id != self._thread:
            said = f"A run of thread {quoted(event.thread_id)} in a stream of thread {quoted(self._thread)}."
            yield "THREAD_ID_MISMATCH", "threadId", said
        self._thread = event.thread_id
        waiting, self._waiting = self._waiting, ()
        resume = event.input.resume if event.input is not None else None
        if resume is not None:
            left = [each for each in waiting if each not in {entry.interrupt_id for entry in resume}]
            if left:
                said = f"It answers some interrupts of the run before, and leaves open {listed(left)}."
                yield "RESUME_LEAVES_OPEN", "input.resume", said

    def finish(self, event: s.RunFinished) -> Said:
        if event.thread_id != self._thread and self._thread is not None:
            said = f"RUN_FINISHED names thread {quoted(event.thread_id)}; {quoted(self._thread)} was started."
            yield "THREAD_ID_MISMATCH", "threadId", said
        if isinstance(event.outcome, m.Interrupted):
            names = [each.id for each in event.outcome.interrupts]
            self._waiting = tuple(names[:INTERRUPTS])
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                said = (
                    f"Several interrupts have one id, and only one of them can be answered: {listed(twice)}."
                )
                yield "INTERRUPT_ID_REUSED", "outcome.interrupts", said
        elif isinstance(event.outcome, m.Cancelled) and event.result is not None:
            yield "CANCELLED_WITH_RESULT", "result", "The run is cancelled, and has a result all the same."
        yield from usage(event.usage or ())


def usage(entries: Sequence[m.TokenUsage]) -> Said:
    """Counts of tokens that contradict each other: two are totals, the others are parts of these."""
    for number, each in enumerate(entries):
        for said in _contradictions(each):
            yield "USAGE_DOES_NOT_ADD_UP", f"usage[{number}]", said
    named = Counter((each.provider, each.model) for each in entries)
    if any(count > 1 for count in named.values()):
        said = "Two entries are of one provider and model: add them up."
        yield "USAGE_DOES_NOT_ADD_UP", "usage", said


def _contradictions(each: m.TokenUsage) -> Iterator[str]:
    given, made, total = each.input_tokens, each.output_tokens, each.total_tokens
    if None not in (given, made, total) and total != (given or 0) + (made or 0):
        yield "totalTokens is not inputTokens and outputTokens together."
    cached = (each.cached_input_tokens or 0) + (each.cache_write_input_tokens or 0)
    if given is not None and cached > given:
        yield "cachedInputTokens and cacheWriteInputTokens are parts of inputTokens, and more than these."
    if made is not None and (each.reasoning_tokens or 0) > made:
        yield "reasoningTokens are a part of outputTokens, and more than these."
