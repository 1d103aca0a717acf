"""`manage.py import_tickets FILE`: bring the tickets of a CSV, XLSX or JSON file into the network."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from rich.progress import TimeRemainingColumn

from dtvn.waiting import saying, saying_in_silence
from dtvn.wording import counted
from tickets.importing.answers import Question
from tickets.importing.arguments import (
    add_file_arguments,
    answers_of,
    check_writable,
    open_questions,
    progress_bar,
    seconds,
)
from tickets.importing.kinds import KINDS
from tickets.importing.platform import UNDECIDED
from tickets.importing.record import FileRefused
from tickets.importing.remote import RemoteImport
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.management.reaching import EXIT_NOTHING_DONE, named_platform

EXIT_SOME_WRONG = 1
EXIT_UNFINISHED = 3
REPORTED_MAX = 200
"""Wrong rows printed one by one; --report writes all of them."""
EVENTS_MAX = 10
"""Events that have a line each; of more, those with one time zone share one."""
NAMED_MAX = 5
"""Events that such a line names."""

STANDARD_INPUT = Path("-")


class Command(BaseCommand):
    help = (
        "Import the tickets of a CSV, XLSX or JSON file: of pretix, Eventbrite, Ticket Tailor, Weezevent, "
        "Hi.Events, Tito, alf.io, Indico, our own export, or any list with a header. What decides who comes "
        "in (the column that the scanner reads, the values that admit, the products that let guests in, the "
        "time zone, who has entered already) comes from the file, or is asked for: the command then ends "
        "with 2 and names the option that answers. --dry-run shows all answers. The file is uploaded to the "
        "platform, as on its page; the command follows the import. "
        "Names and addresses stay in the platform's database, outside the log that all members keep. "
        "Running it again is safe. A FILE of - is standard input. Exit codes: 0 all imported, 1 all but some "
        "wrong rows imported, 2 nothing imported, 3 it stopped half way (run it again to finish)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_file_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="check the file without importing")
        parser.add_argument(
            "--patience",
            type=seconds,
            default=120.0,
            help="seconds to wait for a platform that does not answer (default: %(default)s)",
        )
        parser.add_argument(
            "--changes",
            default="",
            metavar="KIND,KIND",
            help="change what the file says otherwise of tickets that are here already, for these kinds: "
            f"{', '.join(KINDS)} (default: none)",
        )
        parser.add_argument(
            "--apply",
            action="store_true",
            help="change all that the file says otherwise, except that tickets are gone from it, without a "
            "person: for a source of which a file was imported before",
        )
        parser.add_argument(
            "--report",
            type=Path,
            help="write all rows that were not imported to this file; with --dry-run all differences, too",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answers, changes = answers_of(options), _kinds(options["changes"])
            check_writable(options["report"], "--report")
            content = _content(options["file"])
            name = Path("standard input") if options["file"] == STANDARD_INPUT else options["file"]
        except FileRefused as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        platform = named_platform(options)
        try:
            with RemoteImport(platform, options["patience"]) as remote:
                with saying(f"an answer from {platform.url}"):
                    remote.upload(name, content, event=options["event"] or "", answers=answers)
                found = self._follow(remote, "Reading the file", "a worker to read the file")
                codes = found["preview"].get("codes", [])
                self._tell(found["report"])
                self._refuse(remote, found, zone=answers.timezone)
                if options["dry_run"]:
                    differences = self._differences(remote, found["report"])
                    remote.discard()
                else:
                    differences = {}
                    self._confirm(remote, changes, unseen=options["apply"])
                    found = self._follow(remote, "Issuing tickets", UNDECIDED)
                    self._check_ended(remote, found, zone=answers.timezone)
        except (Refused, NetworkSilent) as error:
            silent = isinstance(error, NetworkSilent)
            again = " Run the same command again to finish." if silent else ""
            code = EXIT_UNFINISHED if silent else EXIT_NOTHING_DONE
            where = f" from {platform.url}" if silent else ""
            raise CommandError(
                f"Stopped: {str(error).rstrip('.')}{where}.{again}", returncode=code
            ) from error
        self._summarise(found, codes, options["report"], differences, done=not options["dry_run"])

    def _confirm(self, remote: RemoteImport, changes: list[str], *, unseen: bool) -> None:
        try:
            remote.confirm(changes, unseen=unseen)
        except Refused:
            remote.discard()
            raise

    def _differences(self, remote: RemoteImport, report: dict[str, Any]) -> dict[str, list[str]]:
        """Kind -> its differences from the network, a line each."""
        kinds = [kind["kind"] for kind in report["kinds"]]
        return {kind: [f"{_row(one)}{one['words']}" for one in remote.changes(kind)] for kind in kinds}

    def _follow(self, remote: RemoteImport, what: str, waits_for: str) -> dict[str, Any]:
        """The import once no worker has it any more."""
        with progress_bar(TimeRemainingColumn()) as progress:
            task = progress.add_task(what, total=None)
            with saying_in_silence(waits_for, say=progress.console.print) as heard:
                done = -1

                def told(state: dict[str, Any]) -> None:
                    nonlocal done
                    if state["done"] != done:
                        heard()
                    done = state["done"]
                    progress.update(task, completed=done, total=state["total"] or None)

                return remote.follow(told)

    def _refuse(self, remote: RemoteImport, found: dict[str, Any], *, zone: str) -> None:
        """End with 2 unless the file can be imported, or has been, as far as it went."""
        asked = [one for one in found["preview"].get("asked", ()) if one["open"]]
        if found["state"] in ("preview", "done") or "present" in found["report"]:
            return
        remote.discard()
        if asked and found["state"] == "asking":
            raise CommandError(
                open_questions(msgspec.convert(asked, list[Question]), zone=zone),
                returncode=EXIT_NOTHING_DONE,
            )
        self._rows("left out", found["report"].get("left_out", []))
        self._rows("wrong", found["report"].get("wrong", []))
        raise CommandError(found["error"] or "The file was not read.", returncode=EXIT_NOTHING_DONE)

    def _check_ended(self, remote: RemoteImport, found: dict[str, Any], *, zone: str) -> None:
        """End with 2 if the file was refused as it was read again, with 3 if it is unknown how far it got."""
        if found["state"] == "stopped" and "present" not in found["report"]:
            text = f"{found['error']} Run the same command again to finish."
            raise CommandError(text, returncode=EXIT_UNFINISHED)
        self._refuse(remote, found, zone=zone)

    def _summarise(
        self,
        found: dict[str, Any],
        codes: list[str],
        report: Path | None,
        differences: dict[str, list[str]],
        *,
        done: bool,
    ) -> None:
        known = found["report"]
        rows = f"{counted(known['rows'], 'row')} read:"
        if done:
            before = f" ({known['existed']:,} had already been imported)" if known["existed"] else ""
            self.stdout.write(f"{rows} {counted(known['present'], 'ticket')} in the network{before}.")
        else:
            stored = f"{known['identical']:,} as in the file, {known['differing']:,} different"
            new = counted(known["new"], "new ticket")
            self.stdout.write(f"{rows} {new} would be imported; in the network: {stored}.")
        for kind, shown in differences.items():
            self._kind(kind, shown)
        self._describe(known, codes)
        for kind, words in (("left_out", "left out"), ("wrong", "wrong")):
            self._rows(words, known[kind], known[f"{kind}_count"])
        if report is not None:
            listed = [f"{_row(one)}{one['reason']}\n" for one in known["left_out"] + known["wrong"]]
            lines = [f"{KINDS[kind]}: {line}\n" for kind, shown in differences.items() for line in shown]
            report.write_text("".join([*lines, *listed]), encoding="utf-8")
        if found["state"] == "stopped":
            raise CommandError(
                f"{found['error']} {known['present']:,} of {counted(known['tickets'], 'ticket')} in the "
                "network. Run the same command again to finish.",
                returncode=EXIT_UNFINISHED,
            )
        if known["wrong"]:
            sys.exit(EXIT_SOME_WRONG)

    def _tell(self, report: dict[str, Any]) -> None:
        """How the file was understood: its answers, where each came from, and what is worth saying."""
        if not report:
            return
        self.stdout.write(f"Read as {report['form']}.")
        for told in report["told"]:
            self.stdout.write(f"  {told['id']}: {told['words']} [{told['origin']}]")
        for sentence in report["said"]:
            self.stdout.write(sentence)

    def _describe(self, report: dict[str, Any], codes: list[str]) -> None:
        """Events and their tickets, what is scanned, and the columns that are not read."""
        for sentence in report.get("not_ordered", ()):
            self.stdout.write(sentence)
        for kind in report.get("ordered", ()):
            self.stdout.write(f"{counted(kind['count'], 'ticket')} of the network: {kind['words']}, done.")
        for sentence in [*report["stays"][:REPORTED_MAX], *report["events_said"]]:
            self.stdout.write(sentence)
        events = report["events"]
        for one in events if len(events) <= EVENTS_MAX else ():
            zone = f"on the clocks of {one['zone']}"
            self.stdout.write(f"Event {one['event']}: {counted(one['tickets'], 'ticket')}, {zone}.")
        for zone in sorted({one["zone"] for one in events}) if len(events) > EVENTS_MAX else ():
            here = [one for one in events if one["zone"] == zone]
            tickets = counted(sum(one["tickets"] for one in here), "ticket")
            names = ", ".join(one["event"] for one in here[:NAMED_MAX])
            more = f" and {len(here) - NAMED_MAX:,} more" if len(here) > NAMED_MAX else ""
            said = f"{names}{more}; on the clocks of {zone}"
            self.stdout.write(f"{counted(len(here), 'event')} with {tickets}: {said}.")
        for field, words in (("entered", "guest{} entered already"), ("blocked", "ticket{} blocked")):
            if count := report[field]:
                self.stdout.write(f"{count:,} {words.format('' if count == 1 else 's')}.")
        if shut := report["shut"]:
            verb = "opens" if shut == 1 else "open"
            why = "blocked, or of a product that lets nobody in"
            self.stdout.write(f"{counted(shut, 'ticket')} {verb} no door: {why}.")
        if codes:
            self.stdout.write(f"Scanned as {', '.join(codes)}.")
        if report["unread"]:
            self.stdout.write(f"Columns not used: {', '.join(report['unread'])}.")

    def _kind(self, kind: str, shown: list[str]) -> None:
        said = f"{counted(len(shown), 'ticket')} of the network: {KINDS[kind]}"
        self.stdout.write(f"{said} (--changes {kind}).")
        for line in shown[:REPORTED_MAX]:
            self.stdout.write(f"  {line}")
        if len(shown) > REPORTED_MAX:
            self.stdout.write(f"  and {len(shown) - REPORTED_MAX:,} more (--report FILE writes all)")

    def _rows(self, words: str, rows: list[dict[str, Any]], count: int = 0) -> None:
        count = count or len(rows)
        if not rows:
            return
        self.stdout.write(f"{counted(count, 'row')} {words}:")
        for one in rows[:REPORTED_MAX]:
            self.stdout.write(f"  {_row(one)}{one['reason']}")
        if count > REPORTED_MAX:
            self.stdout.write(f"  and {count - REPORTED_MAX:,} more (--report FILE writes all)")


def _kinds(text: str) -> list[str]:
    """The kinds of differences in --changes; raises FileRefused."""
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise FileRefused(f"--changes {wrong[0]!r} is none of {', '.join(KINDS)}.")
    return kinds


def _row(one: dict[str, Any]) -> str:
    """The row of the file, as the beginning of a line; tickets that are gone from it have none."""
    return f"row {one['row']}: " if one["row"] else ""


def _content(file: Path) -> bytes:
    """What the platform recognises the format from; raises FileRefused."""
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
    except OSError as error:
        raise FileRefused(f"{file} cannot be read: {error.strerror}.") from error
