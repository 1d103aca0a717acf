"""`manage.py scan FILE`: what each code would be answered; then gates use tickets up, and it is proved."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from argparse import ArgumentParser
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError
from rich.progress import TextColumn, TimeElapsedColumn

from dtvn.machine.fields import is_name
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.reasons import ALREADY_CONSUMED, BARCODE_NOT_FOUND, NOT_INSIDE, OK
from dtvn.waiting import SAID_AFTER, saying, saying_in_silence
from dtvn.wording import counted
from tickets.importing import FileRefused, ImportedTicket, ImportPlan, by_event
from tickets.importing.arguments import (
    add_file_arguments,
    at_least_one,
    check_writable,
    open_questions,
    plan_of,
    progress_bar,
    seconds,
)
from tickets.importing.platform import UNDECIDED, Platform, open_client
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.management.reaching import EXIT_NOTHING_DONE, reached_platform
from tickets.scanning import Asked, Foretold, Outcome, Plan, foretell, make_plan, play, prove
from tickets.scanning.foretelling import printed, windows_over
from tickets.scanning.issuing import issue_tickets
from tickets.scanning.rehearsal import expectation, make_tickets, measured_over
from tickets.scanning.steps import Played, Step, play_steps, read_steps, steps_lines, steps_object
from tickets.scanning.telling import (
    foretold_lines,
    foretold_object,
    record_line,
    result_lines,
    result_object,
)

EXIT_NOT_PROVED = 1
SAME_ANSWERS = (
    "Nothing is scanned before this is answered. Give the same answers as at the import, also those that "
    "were given on its page:"
)
COUNTED = TextColumn(
    "{task.fields[admitted]} admitted, {task.fields[refused]} refused, {task.fields[undecided]} undecided"
)
ANSWER_PATIENCE = 15.0
"""Seconds to wait for one answer: the platform answers within ten, or not at all."""
T = TypeVar("T")


class Command(BaseCommand):
    help = (
        "Scan the codes of a file that import_tickets reads, under the same answers. THIS USES THE TICKETS "
        "UP: their guests are refused afterwards, and nothing takes that back. --check scans nothing: it "
        "says what each code would be answered now. --rehearse N scans tickets of its own. Codes are "
        "scanned over REST, concurrently, some shown twice and at two gates at once, each scan repeated "
        "with its nonce until it is decided, and the record proves that each ticket was admitted exactly "
        "once, or refused as foretold. With --list or --exit nothing is foretold, and each guest must enter "
        "or leave exactly once. --steps FILE plays a day step by step: entries, exits, annulments and forced "
        "entries on lists. Exit codes: 0 proved (--check: the network answers as the file says, and not "
        "all windows are over), 1 not, 2 not run."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_file_arguments(parser, may_lack_file=True)
        parser.add_argument(
            "--rehearse",
            type=at_least_one,
            metavar="N",
            help="instead of a file: issue N tickets of the event rehearsal-DATE and scan these (needs a key "
            "that may issue); the tickets of the door stay unused",
        )
        parser.add_argument(
            "--steps",
            type=Path,
            metavar="FILE",
            help="instead of a file of tickets: play the steps of this CSV in the event of --event; columns "
            "act (entry, exit, annul, annul_supervised, force), code or ticket_id, list, gate, device, "
            "reason, expect (the code of the answer)",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="only say what each code would be answered now; nothing is scanned or used up",
        )
        parser.add_argument(
            "--yes", action="store_true", help="use the file's tickets up, without a question in a terminal"
        )
        parser.add_argument(
            "--list",
            default=MAIN_SLUG,
            metavar="SLUG",
            help="the list that is entered (default: %(default)s)",
        )
        parser.add_argument(
            "--exit", action="store_true", help="scan exits: the guests leave the list, each once"
        )
        parser.add_argument("--gates", type=int, default=8, help="number of gates (default: %(default)s)")
        parser.add_argument(
            "--duplicates",
            type=float,
            default=0.2,
            help="share of tickets shown twice (default: %(default)s)",
        )
        parser.add_argument("--limit", type=at_least_one, metavar="N", help="scan only the first N tickets")
        parser.add_argument(
            "--pace", type=seconds, default=0.0, help="seconds a gate waits between two scans"
        )
        parser.add_argument(
            "--patience",
            type=seconds,
            default=60.0,
            help="seconds for which a scan is repeated (default: %(default)s)",
        )
        parser.add_argument("--seed", type=int, default=None, help="seed of the plan, to repeat a run")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        parser.add_argument(
            "--record", type=Path, help="write every scan and its outcome to this file, one per line"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rehearsed = options["rehearse"] is not None
        _check_options(options)
        run = secrets.token_hex(6)
        if options["steps"] is not None:
            self._play_steps(run, options)
            return
        try:
            if rehearsed:
                read = ImportPlan(
                    tickets=make_tickets(options["rehearse"], run=run, today=datetime.now(UTC).date())
                )
            else:
                read = plan_of(options)
                if read.questions:
                    raise FileRefused(open_questions(read.questions, SAME_ANSWERS))
            check_writable(options["record"], "--record")
        except FileRefused as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        options["event"] = _event(read.tickets)
        platform = reached_platform(options)
        tickets = read.tickets[: options["limit"]]
        foretold: list[Foretold] = []
        if rehearsed:
            self._issue(platform, tickets, options["patience"])
        elif options["exit"] or options["list"] != MAIN_SLUG:
            self._ask_list(platform, len(tickets), options)
        else:
            foretold = self._foretell(platform, read, tickets, options)
            if not options["yes"]:
                self._ask(platform, options["event"], foretold)
        self._scan(platform, tickets, foretold, run, options)

    def _play_steps(self, run: str, options: dict[str, Any]) -> None:
        """Play the steps of --steps; ends with an exit code. Raises CommandError."""
        try:
            steps = read_steps(options["steps"])
        except FileRefused as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        platform = reached_platform(options)
        self._ask_steps(platform, steps, options)
        played: list[Played] = []

        async def play() -> None:
            async with open_client(
                platform, connections=options["gates"], patience=ANSWER_PATIENCE
            ) as client:
                await play_steps(
                    client,
                    steps,
                    event=options["event"],
                    gates=options["gates"],
                    patience=options["patience"],
                    run=run,
                    told=played.append,
                )

        with saying(f"{counted(len(steps), 'step')} of {options['event']} to be played"):
            _run(play())
        result = steps_object(played)
        self.stdout.write(json.dumps(result) if options["json"] else "\n".join(steps_lines(result)))
        if not result["as_expected"]:
            sys.exit(EXIT_NOT_PROVED)

    def _ask_steps(self, platform: Platform, steps: Sequence[Step], options: dict[str, Any]) -> None:
        """In a terminal, have the event's name typed before its tickets enter. Raises CommandError."""
        what = f"plays {counted(len(steps), 'step')}"
        self._ask_event(f"This {what} in the event {options['event']} on {platform.url}.", options)

    def _foretell(
        self, platform: Platform, read: ImportPlan, tickets: list[ImportedTicket], options: dict[str, Any]
    ) -> list[Foretold]:
        """Say what each code would be answered now; with --check, end with an exit code."""
        event, checks = options["event"], options["check"]

        async def ask() -> list[Foretold]:
            async with open_client(platform, connections=8, patience=ANSWER_PATIENCE) as client:
                with progress_bar() as progress:
                    task = progress.add_task("Asking", total=sum(len(printed(one)) for one in tickets))
                    return await foretell(
                        client,
                        event,
                        tickets,
                        read.products,
                        now=int(time.time()),
                        patience=options["patience"],
                        told=lambda: progress.advance(task),
                    )

        foretold = _run(ask())
        if checks and options["json"]:
            self.stdout.write(json.dumps(foretold_object(event, read, foretold)))
        else:
            out = self.stderr if options["json"] else self.stdout
            out.write("\n".join(foretold_lines(event, read, foretold)))
        if all(one.network == BARCODE_NOT_FOUND for one in foretold) and not checks:
            raise CommandError(
                f"No code of the file is in the event {event}: import the file first, with the same answers.",
                returncode=EXIT_NOTHING_DONE,
            )
        if checks:
            failed = any(one.fault for one in foretold) or windows_over(foretold)
            sys.exit(EXIT_NOT_PROVED if failed else 0)
        return foretold

    def _ask(self, platform: Platform, event: str, foretold: Sequence[Foretold]) -> None:
        """In a terminal, have the event's name typed before its tickets are used up; scripts go on. Raises
        CommandError."""
        used = len({one.ticket.ticket_id for one in foretold if one.network == OK})
        if not used or sys.stdin is None or not sys.stdin.isatty():
            return
        self.stderr.write(
            f"This uses up {counted(used, 'ticket')} of the event {event} on {platform.url}: their guests "
            f"are refused afterwards, and nothing takes that back.\nType the event's name to go on: ",
            ending="",
        )
        self.stderr.flush()
        if sys.stdin.readline().strip() != event:
            text = "Nothing was scanned. Without using tickets up: --check, or --rehearse N."
            raise CommandError(text, returncode=EXIT_NOTHING_DONE)

    def _ask_list(self, platform: Platform, tickets: int, options: dict[str, Any]) -> None:
        """The same for a list of which nothing is foretold, or for exits. Raises CommandError."""
        what = "exits" if options["exit"] else "entries"
        self._ask_event(
            f"This scans {what} of {counted(tickets, 'ticket')} on the list {options['list']} of the event "
            f"{options['event']} on {platform.url}.",
            options,
        )

    def _ask_event(self, sentence: str, options: dict[str, Any]) -> None:
        """In a terminal, have the event's name typed, unless --yes was given. Raises CommandError."""
        if options["yes"] or sys.stdin is None or not sys.stdin.isatty():
            return
        self.stderr.write(f"{sentence}\nType the event's name to go on: ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip() != options["event"]:
            raise CommandError("Nothing was scanned.", returncode=EXIT_NOTHING_DONE)

    def _scan(
        self,
        platform: Platform,
        tickets: Sequence[ImportedTicket],
        foretold: Sequence[Foretold],
        run: str,
        options: dict[str, Any],
    ) -> None:
        """Play the gates, and prove what happened."""
        codes, shut = _played(tickets, foretold)
        seed = secrets.randbelow(2**32) if options["seed"] is None else options["seed"]
        persons = _persons(tickets) if options["list"] == MAIN_SLUG and not options["exit"] else {}
        plan = make_plan(
            codes,
            gates=options["gates"],
            duplicates=options["duplicates"],
            seed=seed,
            run=run,
            persons=persons,
        )
        began = time.monotonic()
        record: list[Outcome] = []
        try:
            self._play(platform, plan, options, record)
        finally:
            elapsed = time.monotonic() - began
            self._write(options["record"], record)
        again = NOT_INSIDE if options["exit"] else ALREADY_CONSUMED
        verdict = prove(plan.scans, record, shut, again=again, persons=persons)
        result = result_object(verdict, record, elapsed) | {"gates": options["gates"], "seed": seed}
        done = "let out" if options["exit"] else "admitted"
        self.stdout.write(json.dumps(result) if options["json"] else "\n".join(result_lines(result, done)))
        if verdict.faults:
            sys.exit(EXIT_NOT_PROVED)

    def _issue(self, platform: Platform, tickets: Sequence[ImportedTicket], patience: float) -> None:
        """Have the tickets of a rehearsal issued."""

        async def run() -> None:
            async with open_client(platform, connections=1, patience=ANSWER_PATIENCE) as client:
                await issue_tickets(client, tickets, patience=patience)

        try:
            with saying(f"{counted(len(tickets), 'ticket')} of {tickets[0].event} to be issued"):
                asyncio.run(run())
        except (Refused, NetworkSilent) as error:
            raise CommandError(
                f"The tickets to rehearse with were not issued: {error}.", returncode=EXIT_NOTHING_DONE
            ) from error
        self.stderr.write(f"Issued {counted(len(tickets), 'ticket')} of the event {tickets[0].event}.")

    def _play(self, platform: Platform, plan: Plan, options: dict[str, Any], record: list[Outcome]) -> None:
        """Scan the plan; `record` gets each outcome as it comes. Raises CommandError."""
        silence = SAID_AFTER + options["pace"]
        with (
            progress_bar(COUNTED, TimeElapsedColumn()) as progress,
            saying_in_silence(UNDECIDED, after=silence, say=progress.console.print) as heard,
        ):
            counted: dict[str, Any] = {"admitted": 0, "refused": 0, "undecided": 0}
            task = progress.add_task("Scanning", total=len(plan.scans), **counted)
            gates, scans, began = len(plan.by_gate), len(plan.scans), time.monotonic()

            def told(outcome: Outcome) -> None:
                heard()
                record.append(outcome)
                ended = "admitted" if outcome.code == OK else "refused" if outcome.code else "undecided"
                counted[ended] += 1
                if len(record) == measured_over(scans, gates):
                    seconds = time.monotonic() - began
                    progress.console.print(expectation(scans, gates, seconds=seconds), highlight=False)
                progress.update(task, advance=1, **counted)

            async def run() -> None:
                async with open_client(platform, connections=gates, patience=ANSWER_PATIENCE) as client:
                    await play(
                        client,
                        plan,
                        event=options["event"],
                        patience=options["patience"],
                        pace=options["pace"],
                        told=told,
                        asked=Asked(options["list"], "exit" if options["exit"] else "entry"),
                    )

            _run(run())

    def _write(self, path: Path | None, record: list[Outcome]) -> None:
        """Prints the verdict even if the record cannot be written for lack of space."""
        try:
            if path is not None and record:
                path.write_bytes(b"".join(map(record_line, record)))
        except OSError as error:
            self.stderr.write(f"--record {path} was not written: {error.strerror}.")


def _check_options(options: dict[str, Any]) -> None:
    """Raise CommandError for options that contradict each other."""
    text = ""
    if options["gates"] < 1 or not 0 <= options["duplicates"] <= 1:
        text = "--gates must be at least 1, --duplicates from 0 to 1."
    elif sum(options[name] is not None for name in ("file", "rehearse", "steps")) != 1:
        text = "Give a file of tickets, --rehearse N or --steps FILE."
    elif options["steps"] is not None and not is_name(options["event"] or ""):
        text = "--steps needs --event."
    elif options["check"] and options["file"] is None:
        text = "--check needs a file of tickets."
    elif options["check"] and (options["exit"] or options["list"] != MAIN_SLUG):
        text = "--check foretells entries on main only."
    elif options["exit"] and options["rehearse"] is not None:
        text = "--exit needs a file: nobody of a rehearsal is inside."
    if text:
        raise CommandError(text, returncode=EXIT_NOTHING_DONE)


def _event(tickets: Sequence[ImportedTicket]) -> str:
    """The one event of the tickets; raises CommandError."""
    events = list(by_event(tickets))
    if not events:
        raise CommandError("The file contains no valid ticket.", returncode=EXIT_NOTHING_DONE)
    if len(events) > 1:
        text = (
            f"The file contains tickets of several events ({', '.join(events)}): leave the others out with "
        )
        raise CommandError(f'{text}--event-name "NAME=".', returncode=EXIT_NOTHING_DONE)
    return events[0]


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run what asks the platform; its refusal ends the command."""
    try:
        return asyncio.run(work)
    except (Refused, NetworkSilent) as error:
        raise CommandError(f"Stopped: {str(error).rstrip('.')}.", returncode=EXIT_NOTHING_DONE) from error


def _persons(tickets: Sequence[ImportedTicket]) -> dict[str, int]:
    """Ticket id -> how many persons it still admits, of those for more than one."""
    left = {
        one.ticket_id: one.entries - (one.entries_made if one.entered else 0)
        for one in tickets
        if one.entries > 1
    }
    return {name: max(1, count) for name, count in left.items()}


def _played(
    tickets: Sequence[ImportedTicket], foretold: Sequence[Foretold]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """(ticket id -> codes to scan, ticket id -> the reason foretold for all of them). Of a ticket that is
    admitted by some of its codes, these are scanned. If the network does not know a ticket, or has it as
    entered, though the file says otherwise, that is not foretold: the proof names it."""
    codes = {one.ticket_id: list(printed(one)) for one in tickets}
    shut: dict[str, str] = {}
    opening: dict[str, list[str]] = {}
    for one in foretold:
        if one.network == OK:
            opening.setdefault(one.ticket.ticket_id, []).append(one.code)
        elif one.network == one.file or one.network not in (ALREADY_CONSUMED, BARCODE_NOT_FOUND):
            shut.setdefault(one.ticket.ticket_id, one.network)
    return codes | opening, {name: reason for name, reason in shut.items() if name not in opening}
