"""The results of a check as SARIF 2.1.0, which code scanning shows beside the files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dtvn import __version__
from dtvn.cli.sources import is_address
from dtvn.events.report import Report
from dtvn.events.rules import SUGGESTIONS, Violation
from dtvn.wording import one_line

_OF_ADDRESSES = ":/?#[]@!$&'()*+,;=%"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(read: Sequence[tuple[str, Report]], unread: Sequence[tuple[str, str]]) -> str:
    """One run with a result for each finding that is listed; a source that could not be read is a
    notification of the tool."""
    codes = sorted({each.code for _, report in read for each in report.findings})
    results = [found for source, report in read for found in _results(source, report, codes)]
    told = [
        {
            "level": "error",
            "message": {"text": one_line(reason)},
            "locations": [{"physicalLocation": _file(source)}],
        }
        for source, reason in unread
    ]
    run = {
        "tool": {"driver": _driver(codes)},
        "invocations": [{"executionSuccessful": not unread, "toolExecutionNotifications": told}],
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver(codes: Sequence[str]) -> dict[str, Any]:
    rules = [_rule(code) for code in codes]
    about = {"name": "dtvn", "fullName": "dtvn validate: AG-UI event streams", "version": __version__}
    return about | {"rules": rules}


def _rule(code: str) -> dict[str, Any]:
    """A rule, with the texts that GitHub's code scanning requires."""
    name = code.replace("_", " ").capitalize()
    # A cluster of a later release may have rules that this one does not know.
    what_to_do = SUGGESTIONS.get(code, name)
    return {
        "id": code,
        "shortDescription": {"text": name},
        "fullDescription": {"text": f"{name}. {what_to_do}"},
        "help": {"text": what_to_do},
    }


def _results(source: str, report: Report, codes: Sequence[str]) -> Iterator[dict[str, Any]]:
    for each, line in zip(report.findings, report.lines, strict=True):
        # Readers show no result without a line; one that only the end shows may have none.
        place = _file(source) | {"region": {"startLine": max(line, 1)}}
        yield {
            "ruleId": each.code,
            "ruleIndex": codes.index(each.code),
            "level": str(each.severity),
            "message": {"text": f"{each.message} {each.suggestion}".strip()},
            "locations": [{"physicalLocation": place, "logicalLocations": [_member(each)]}],
        }


def _member(violation: Violation) -> dict[str, str]:
    """The event, or the field of it, as a path from the list of events."""
    name = f"events[{violation.index}]" + (f".{one_line(violation.field)}" if violation.field else "")
    return {"fullyQualifiedName": name, "kind": "member" if violation.field else "object"}


def _file(source: str) -> dict[str, Any]:
    if source == "-":
        return {"artifactLocation": {"uri": "stdin"}}
    if is_address(source):
        return {"artifactLocation": {"uri": quote(os.fsencode(source), safe=_OF_ADDRESSES)}}
    path, here = Path(source), Path.cwd()
    if path.is_absolute() and not path.is_relative_to(here):
        return {"artifactLocation": {"uri": path.as_uri()}}
    # From the folder of the repository, as code scanning wants it.
    below = path.relative_to(here) if path.is_absolute() else path
    return {"artifactLocation": {"uri": quote(os.fsencode(below.as_posix()))}}
