"""Findings as workflow commands of GitHub Actions, which shows them beside the file."""

from __future__ import annotations

import re

from dtvn.events.report import Report
from dtvn.wording import one_line

_AT_THE_BEGINNING = re.compile("^( *)::", re.MULTILINE)


def as_annotations(report: Report, source: str) -> str:
    """One command a line for each finding; files are named as they were given."""
    return "".join(
        f"::{each.severity} file={_property(source)},line={max(line, 1)},title={_property(each.code)}"
        f"::{_text(f'{each.message} {each.suggestion}')}\n"
        for each, line in zip(report.findings, report.lines, strict=True)
    )


def without_commands(text: str) -> str:
    """Lines in which a space parts what the runner takes for commands: `##[` anywhere, `::` at the start."""
    return _AT_THE_BEGINNING.sub(r"\1: :", text.replace("##[", "# #["))


def _text(text: str) -> str:
    return one_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
