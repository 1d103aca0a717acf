"""Validate a stream of events on this machine: the loop behind `dtvn validate`, and one function for tests
and programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dtvn.events.advice import NOTHING, PLAIN, Profile, codes_of
from dtvn.events.event_texts import input_of, stream_text, texts_of
from dtvn.events.report import Report, Result
from dtvn.events.rules import Alike, EventReader, RunInput, Verdict
from dtvn.events.validation_config import ValidationConfig, rules_of

PIECE = 64 * 1024


class Checker:
    """Judges one stream, batch by batch, and reports what is found."""

    def __init__(
        self, config: ValidationConfig, given: RunInput | None = None, report: Report | None = None
    ) -> None:
        """`given`: the input that the stream was asked with."""
        self.stream, self._adviser = rules_of(config, given)
        self.report = report or Report()

    def take(
        self,
        events: Sequence[tuple[int, bytes]],
        now_ms: int | None,
        judged: Sequence[Verdict] | None = None,
        *,
        first: bool = False,
    ) -> bool:
        """Judge the next events, each its line and its JSON text. `judged`: the verdicts that count, of a
        cluster; the advice is by the rules here. Returns false if one was refused and `first` ends the check
        there."""
        stream, adviser, report = self.stream, self._adviser, self.report
        feed, advise = stream.feed, adviser.take
        alike = Alike(events, now_ms)
        place = plain = 0
        count = len(events)
        while place < count:
            line, data = events[place]
            own = feed(data)
            verdict = own if judged is None else judged[place]
            told = advise(data, verdict, own, now_ms)
            event = stream.event
            if event is not None and told is PLAIN and judged is None:
                last = alike.last(place, timed=event.timestamp is not None)
                if last > place:
                    stream.pass_over(last - place, events[last][1])
                    adviser.pass_over()
                    place = last
            elif event is None or not (told is NOTHING or told is PLAIN):
                report.pass_over(events[plain:place])
                plain = place + 1
                report.take(line, data, verdict, told, event is not None)
                if first and not verdict.accepted:
                    break
            place += 1
        report.pass_over(events[plain:place])
        report.runs = adviser.runs
        return not first or report.code is None

    def end(self, reader: EventReader | None = None, *, complete: bool = False) -> None:
        """Judge the end of the stream. `reader`: found its events, and knows their form; `complete`: a stream
        that holds no run, or whose run has not ended, is not valid."""
        missing = self._adviser.missing()
        told = self._adviser.end(reader, complete=complete)
        self.report.end(told, self._adviser.complete, None if missing is None else missing.code)


def validate(
    events: Iterable[object] | str | bytes,
    *,
    complete: bool = False,
    profile: Profile | str = Profile.DEFAULT,
    off: str | Iterable[str] = (),
    only: str | Iterable[str] = (),
    accept_0x: bool = False,
    run_input: object = None,
    now_ms: int | None = None,
) -> Result:
    """Validate AG-UI events as `dtvn validate` does, in one pass and bounded memory.

    `events`: dicts, JSON texts, server-sent events as an encoder writes them, and objects of `ag_ui.core`,
    one for each event; or a whole stream as text or bytes, which alone shows how its lines end (LINE_ENDS).
    `complete`: no run, or a run that has not ended,
    makes it not valid. `profile`, `off`, `only` and `accept_0x` are those of the command. `run_input`: the
    RunAgentInput that the agent was asked with, for its state and tools. `now_ms`: milliseconds since 1970
    that timestamps are compared with; None compares them with one another alone.

    Raises TypeError that names an item which is no event, FramingError for text in which no events can be
    found, and ValueError for options that do not exist.
    """
    config = configured(profile, off, only, accept_0x=accept_0x)
    return report_of(events, config, run_input, complete=complete, now_ms=now_ms).result()


def configured(
    profile: Profile | str, off: str | Iterable[str], only: str | Iterable[str], *, accept_0x: bool
) -> ValidationConfig:
    """What is checked, as `validate` takes it. Raises ValueError for an unknown profile or code."""
    chosen: Any = profile
    return ValidationConfig(
        profile=chosen,
        advice_off=_codes("off", off),
        advice_only=_codes("only", only),
        accept_protocol_0x=accept_0x,
    )


def report_of(
    events: Iterable[object] | str | bytes,
    config: ValidationConfig,
    run_input: object = None,
    *,
    complete: bool = False,
    now_ms: int | None = None,
) -> Report:
    """As `validate`: what is found, with the events around it."""
    checker = Checker(config, None if run_input is None else input_of(run_input))
    reader = EventReader(checker.stream.limits.event_bytes)
    whole = stream_text(events)
    if whole is None:
        for place, item in enumerate(events):
            checker.take([(0, text) for text in texts_of(item, place)], now_ms)
    else:
        for at in range(0, len(whole), PIECE):
            checker.take(reader.feed(whole[at : at + PIECE]), now_ms)
        checker.take(reader.end(), now_ms)
    checker.end(reader, complete=complete)
    return checker.report


def _codes(option: str, given: str | Iterable[str]) -> tuple[str, ...]:
    try:
        return codes_of(given)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
