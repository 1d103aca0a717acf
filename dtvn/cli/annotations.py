"""Findings as workflow commands of GitHub Actions, which shows them beside the file."""

from __future__ import annotations

from dtvn.events.report import Report


def as_annotations(report: Report, source: str) -> str:
    """One command a line for each finding; files are named as they were given."""
    return "".join(
        f"::{each.severity} file={_property(source)},line={max(line, 1)},title={_property(each.code)}"
        f"::{_text(f'{each.message} {each.suggestion}')}\n"
        for each, line in zip(report.findings, report.lines, strict=True)
    )


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
