"""What is known of one stream that passed the proxy, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from dtvn.events.rules import Severity, Verdict, Violation, cause_of
from dtvn.events.runs import Run, started_run

KEPT = 100
"""Violations of one stream that are kept; more are counted."""


class Report(Struct, frozen=True):
    """A stream that has ended.

    `valid` is None if not all of it was judged: `not_validated` says why. `run` is the first that began.
    `code` is the rule of the first refusal. `omitted` counts violations that are not listed. `ended` says how
    it ended: `complete`, or why not. `marks_unsent` counts CUSTOM events with verdicts that were not sent,
    since there was no place inside a run.
    """

    method: str
    path: str
    run: Run | None
    events: int
    valid: bool | None
    code: str | None
    violations: tuple[Violation, ...]
    omitted: int
    scope: str
    not_validated: str | None
    ended: str
    marks_unsent: int = 0


Reporter = Callable[[Report], None]
"""Called with the report on each stream of events when it has ended."""


class Findings:
    """Collects what is found while a stream passes; of a cause, one warning."""

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path
        self.events = 0
        self.run: Run | None = None
        self.code: str | None = None
        self.scope = ""
        self.not_validated: str | None = None
        self.ended = "complete"
        self.marks_unsent = 0
        self._violations: list[Violation] = []
        self._warned: set[tuple[str, str, str | None, str]] = set()
        self._count = 0

    def take(self, texts: Sequence[bytes], verdicts: Sequence[Verdict]) -> None:
        """Add judged events."""
        self.events += len(texts)
        for text, verdict in zip(texts, verdicts, strict=True):
            if self.run is None:
                self.run = started_run(text)
            if not verdict.accepted and self.code is None:
                self.code = verdict.code
            self._keep(verdict.violations)

    def refuse(self, violation: Violation) -> None:
        """Find the stream not valid as a whole."""
        self.code = self.code or violation.code
        self._keep((violation,))

    def warn(self, violation: Violation) -> None:
        """Add a warning about the stream as a whole."""
        self._keep((violation,))

    def _keep(self, violations: Sequence[Violation]) -> None:
        self._count += len(violations)
        for violation in violations:
            cause = cause_of(violation)
            if cause in self._warned or len(self._violations) >= KEPT:
                continue
            self._violations.append(violation)
            if violation.severity is Severity.WARNING:
                self._warned.add(cause)

    def report(self) -> Report:
        """The report on the whole stream."""
        valid = None if self.not_validated and self.code is None else self.code is None
        return Report(
            method=self.method,
            path=self.path,
            run=self.run,
            events=self.events,
            valid=valid,
            code=self.code,
            violations=tuple(self._violations),
            omitted=self._count - len(self._violations),
            scope=self.scope,
            not_validated=self.not_validated,
            ended=self.ended,
            marks_unsent=self.marks_unsent,
        )
