"""The forms of the results of `dtvn validate`: what it prints, and the files that it writes besides."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dtvn.cli.annotations import as_annotations, without_commands
from dtvn.cli.sources import SourceError
from dtvn.events.report import Report, as_json, as_text
from dtvn.wording import one_line


class Results(Struct):
    """The sources that were judged, and those that could not be read, with the reason."""

    read: list[tuple[str, Report]] = msgspec.field(default_factory=list)
    unread: list[tuple[str, str]] = msgspec.field(default_factory=list)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `printed` and `write_files` read."""
    parser.add_argument(
        "--output-format",
        choices=["text", "json", "github"],
        default="text",
        help="text for people (the default); json: one object a line for each source, in which `delivered` "
        "events came before the first refusal and `code` is its rule; github: the text, and annotations for "
        "GitHub Actions",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="output_format", help="as --output-format json"
    )
    for form, what in (("junit", "JUnit XML"), ("sarif", "SARIF 2.1.0, for code scanning")):
        help_text = f"write the results as {what} besides"
        parser.add_argument(f"--{form}", metavar="FILE", type=Path, help=help_text)


def printed(options: Mapping[str, Any], source: str, report: Report, before: Results) -> str:
    """The result of one source; `before`: what was printed."""
    if options["output_format"] == "json":
        return as_json(report, source)
    text = as_text(report, source)
    if before.read and before.read[-1][1].findings:
        text = "\n" + text
    if options["output_format"] == "github":
        return without_commands(text) + as_annotations(report, source)
    return text


def told(options: Mapping[str, Any], said: str) -> str:
    """The line for standard error that says why a source was not judged."""
    line = one_line(f"dtvn validate: {said}") + "\n"
    return without_commands(line) if options["output_format"] == "github" else line


def write_files(options: Mapping[str, Any], results: Results) -> None:
    """Write the files that are asked for. Raises SourceError if one cannot be written."""
    for form, made in _FILES.items():
        path = options[form]
        if path is None:
            continue
        try:
            path.write_text(made(results), encoding="utf-8")
        except OSError as error:
            raise SourceError(f"cannot write {path}: {error.strerror}") from None


def _junit(results: Results) -> str:
    from dtvn.cli.junit import as_junit

    return as_junit(results.read, results.unread)


def _sarif(results: Results) -> str:
    from dtvn.cli.sarif import as_sarif

    return as_sarif(results.read, results.unread)


_FILES: dict[str, Callable[[Results], str]] = {"junit": _junit, "sarif": _sarif}
"""Option -> what makes its file; only then it is imported."""
