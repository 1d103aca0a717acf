"""The results of a check as JUnit XML, for CI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import quoteattr

from dtvn.events.report import Report
from dtvn.events.rules import Severity
from dtvn.wording import counted, one_line


def as_junit(read: Sequence[tuple[str, Report]], unread: Sequence[tuple[str, str]]) -> str:
    """A test suite for each stream, and for each source that could not be read, with the reason."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for source, report in read:
        lines += _suite(source, report)
    for source, reason in unread:
        name = _attribute(source)
        lines.append(f'<testsuite name={name} tests="1" failures="0" errors="1">')
        case = f'<testcase classname={name} name="read"><error message={_attribute(reason)}/></testcase>'
        lines += [f"  {case}", "</testsuite>"]
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _suite(source: str, report: Report) -> Iterator[str]:
    """A case for the stream, and one for each error that is listed."""
    errors = [each for each in report.findings if each.severity is Severity.ERROR]
    name = _attribute(source)
    failures = len(errors) + (report.code is not None)
    yield f'<testsuite name={name} tests="{len(errors) + 1}" failures="{failures}" errors="0">'
    first = "" if report.code is None else f"<failure message={_attribute(f'refused: {report.code}')}/>"
    yield f'  <testcase classname={name} name="{counted(report.events, "event")}">{first}</testcase>'
    for violation in errors:
        case = _attribute(f"event {violation.index}: {violation.code}")
        said = _attribute(f"{violation.message} {violation.suggestion}")
        yield f"  <testcase classname={name} name={case}><failure message={said}/></testcase>"
    yield "</testsuite>"


def _attribute(text: str) -> str:
    # XML has no form at all for most control characters.
    return quoteattr(one_line(text))
