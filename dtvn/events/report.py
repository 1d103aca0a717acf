"""The findings about a stream, in bounded memory; as text for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from dtvn.events.advice import Told
from dtvn.events.rules import Severity, Verdict, Violation
from dtvn.wording import counted, one_line

SCOPE = "LOCAL_ONLY"
KEPT = 1_000
"""Violations of one rule that are kept; more are counted."""
SHOWN = 10
"""Of these, how many are shown with their events."""
NEIGHBOURS = 2
_MISSING = {"NO_RUN": "no run", "STREAM_NOT_TERMINATED": "unfinished run"}
"""What a stream lacks to be complete -> how the verdict says it."""
TEXT_CHARACTERS = 160
TEXT_BYTES = TEXT_CHARACTERS * 4
_SPACE = str.maketrans("\t\n\r", "   ")
"""White space between the parts of a JSON text, which has no other line ends."""


class Result(Struct, frozen=True, omit_defaults=True):
    """The verdict on a stream, and all that was found."""

    valid: bool
    """Whether no event was refused and, if that was asked for, the stream is complete."""
    complete: bool | None = msgspec.field()
    """Whether the stream holds a run and its last run has ended; None if that is not known: the rules of
    order were left out, or the stream was not read to its end."""
    runs: int = msgspec.field()
    """How many runs began."""
    events: int = msgspec.field()
    delivered: int = msgspec.field()
    """Events before the first refusal."""
    code: str | None = msgspec.field()
    """The rule because of which the stream is not valid."""
    findings: tuple[Violation, ...] = msgspec.field(name="violations")
    """Errors and warnings, in the order in which they were found. `index` counts the events from 0;
    `suggestion` says what to do."""
    scope: str = msgspec.field()
    """LOCAL_ONLY, or the name of the certificate that the verdict rests on."""
    omitted: dict[str, int] = {}
    """By rule, how many findings are not listed: those that repeat a listed one or follow from it, and those
    beyond KEPT of a rule."""
    marks: int | None = None
    """The verdicts of a proxy that were left out, None if none are to be."""

    @property
    def errors(self) -> tuple[Violation, ...]:
        """The findings because of which the stream is not valid."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Violation, ...]:
        """Advice."""
        return tuple(each for each in self.findings if each.severity is Severity.WARNING)


class Shown(Struct):
    """A violation with the events around it."""

    violation: Violation
    line: int
    before: list[tuple[int, str]]
    text: str
    after: tuple[int, str] | None = None


class Report:
    """Collects the verdicts on a stream, event by event."""

    def __init__(self, *, marked: bool = False) -> None:
        """`marked`: the verdicts of a proxy are left out."""
        self.events = 0
        self.marks: Counter[str] | None = Counter() if marked else None
        """How many verdicts were left out, by their `by`."""
        self.delivered = 0
        self.code: str | None = None
        self.scope = SCOPE
        """LOCAL_ONLY, or the name of the certificate that the verdict rests on."""
        self.runs = 0
        self.complete: bool | None = None
        """See Result; None until the end."""
        self.missing: str | None = None
        """Code of what the stream lacks to be complete, if no refusal told it."""
        self.findings: list[Violation] = []
        self.lines: list[int] = []
        """The line of each finding; for a finding at the end, the line of the last event. 0: no line."""
        self.shown: list[Shown] = []
        self.counts: Counter[str] = Counter()
        """All violations, by rule."""
        self.severities: Counter[Severity] = Counter()
        """How many findings there are: each cause counts once."""
        self._listed: Counter[str] = Counter()
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=NEIGHBOURS)
        """The beginnings of the last events: only next to a violation they become lines."""
        self._waiting: list[Shown] = []
        self._last_line = 0

    def take(self, line: int, data: bytes, verdict: Verdict, told: Told, known: bool) -> None:
        """Add an event: its line (0 if it has none), its text, its verdict, and what is told of it; `known`
        if it is of a known type."""
        self._show_after(data)
        self._last_line = line
        index, self.events = self.events, self.events + 1
        if not verdict.accepted and self.code is None:
            self.code = verdict.code
        if self.code is None and known:
            self.delivered += 1
        begun = data[:TEXT_BYTES]
        if told.new or told.repeated:
            self._told(told, line, _beginning(begun))
        self._recent.append((index, begun))

    def pass_over(self, events: Sequence[tuple[int, bytes]]) -> None:
        """Add events, each its line and its text, of known types and of which there is nothing to say."""
        if not events:
            return
        self._show_after(events[0][1])
        self._last_line = events[-1][0]
        first, self.events = self.events, self.events + len(events)
        if self.code is None:
            self.delivered += len(events)
        for place in range(max(len(events) - NEIGHBOURS, 0), len(events)):
            self._recent.append((first + place, events[place][1][:TEXT_BYTES]))

    def _show_after(self, data: bytes) -> None:
        """The next event is `data`: show it behind the violations before."""
        for shown in self._waiting:
            shown.after = (self.events, _beginning(data[:TEXT_BYTES]))
        self._waiting = []

    def end(self, told: Told, complete: bool | None, missing: str | None) -> None:
        """Add what only the end of the stream shows. `missing`: the code of what it lacks to be complete."""
        self._told(told, self._last_line, "")
        self.complete, self.missing = complete, missing
        if self.code is None:
            self.code = next((each.code for each in told.new if each.severity is Severity.ERROR), None)

    def result(self) -> Result:
        """The verdict so far."""
        listed = Counter(each.code for each in self.findings)
        omitted = dict(self.counts - listed)
        return Result(
            self.code is None,
            self.complete,
            self.runs,
            self.events,
            self.delivered,
            self.code,
            tuple(self.findings),
            self.scope,
            omitted,
            None if self.marks is None else self.marks.total(),
        )

    def _told(self, told: Told, line: int, text: str) -> None:
        for violation in told.new:
            self._add(violation, line, text)
        for violation in told.repeated:
            self.counts[violation.code] += 1

    def _add(self, violation: Violation, line: int, text: str) -> None:
        self.counts[violation.code] += 1
        self.severities[violation.severity] += 1
        self._listed[violation.code] += 1
        if self._listed[violation.code] > KEPT:
            return
        self.findings.append(violation)
        self.lines.append(line)
        if self._listed[violation.code] <= SHOWN:
            before = [(index, _beginning(begun)) for index, begun in self._recent] if text else []
            shown = Shown(violation, line, before, text)
            self.shown.append(shown)
            self._waiting += [shown] if text else []


def _beginning(begun: bytes) -> str:
    return one_line(begun.decode(errors="replace").translate(_SPACE), TEXT_CHARACTERS)


def as_json(report: Report, source: str) -> str:
    """One JSON object on one line, in ASCII, which any encoding of the output holds."""
    found = {"source": source} | msgspec.to_builtins(report.result())
    return json.dumps(found, separators=(",", ":")) + "\n"


def as_text(report: Report, source: str) -> str:
    """For people: the verdict, then each violation with its event and the neighbours."""
    return "".join(f"{one_line(line)}\n" for line in _lines(report, source))


def _lines(report: Report, source: str) -> Iterator[str]:
    errors, warnings = (report.severities[severity] for severity in (Severity.ERROR, Severity.WARNING))
    verdict = "valid" if report.code is None else "NOT VALID"
    if report.missing is not None:
        verdict += f", {_MISSING[report.missing]}"
    counts = ", ".join(
        counted(count, noun)
        for count, noun in ((report.events, "event"), (errors, "error"), (warnings, "warning"))
    )
    yield f"{source}: {verdict}. {counts}. AG-UI 1.0, {report.scope}."
    if report.marks is not None:
        yield f"{counted(report.marks.total(), 'mark')} of a proxy left out."
    signs = report.counts["PROTOCOL_0X"]
    if signs:
        yield f"{counted(signs, 'sign')} of AG-UI protocol 0.x."
    for shown in sorted(report.shown, key=lambda shown: shown.violation.severity):
        violation = shown.violation
        place = f" at event {violation.index}" if shown.text else " at the end"
        place += f" (line {shown.line})" if shown.text and shown.line else ""
        # A field that the protocol does not know is named by the stream.
        field = f", {one_line(violation.field, TEXT_CHARACTERS)}" if violation.field else ""
        yield ""
        yield f"{violation.severity} {violation.code}{place}{field}: {violation.message}"
        yield f"  {violation.suggestion}"
        for index, text in shown.before:
            yield f"    {index:>5}  {text}"
        if shown.text:
            yield f"  > {violation.index:>5}  {shown.text}"
        if shown.after is not None:
            yield f"    {shown.after[0]:>5}  {shown.after[1]}"
    told = Counter(shown.violation.code for shown in report.shown)
    for code, count in (report.counts - told).items():
        yield ""
        yield f"... and {count} more {code}"
