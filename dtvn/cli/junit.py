"""The result of a check as JUnit XML, for CI."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from dtvn.cli.report import Report
from dtvn.events.rules import Severity
from dtvn.wording import counted


def as_junit(report: Report, source: str) -> str:
    """A test suite with a case for the stream, and one for each error that is listed."""
    errors = [violation for violation in report.violations if violation.severity is Severity.ERROR]
    name = _attribute(source)
    failures = len(errors) + (report.code is not None)
    suite = f'<testsuite name={name} tests="{len(errors) + 1}" failures="{failures}">'
    first = "" if report.code is None else f"<failure message={_attribute(f'refused: {report.code}')}/>"
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', suite]
    lines.append(f'  <testcase classname={name} name="{counted(report.events, "event")}">{first}</testcase>')
    for violation in errors:
        case = _attribute(f"event {violation.index}: {violation.code}")
        said = _attribute(f"{violation.message} {violation.suggestion}")
        lines.append(f"  <testcase classname={name} name={case}><failure message={said}/></testcase>")
    return "\n".join([*lines, "</testsuite>"]) + "\n"


def _attribute(text: str) -> str:
    # XML has no form at all for most control characters.
    return quoteattr("".join(sign if sign.isprintable() else "?" for sign in text))
