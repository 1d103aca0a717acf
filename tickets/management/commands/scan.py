"""`manage.py scan FILE`: gates scan the tickets of a file, and the command proves what happened."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.progress import TextColumn, TimeElapsedColumn

from dtvn.waiting import SAID_AFTER, saying, saying_in_silence
from dtvn.wording import counted
from tickets.importing import FileRefused, ImportedTicket, by_event
from tickets.importing.arguments import (
    add_file_arguments,
    at_least_one,
    check_writable,
    open_questions,
    plan_of,
    progress_bar,
    seconds,
)
from tickets.importing.platform import Platform, PlatformUnknown, Refused, open_client, platform_of
from tickets.importing.sending import (
    IN_FLIGHT,
    UNDECIDED,
    Delivery,
    NetworkSilent,
    check_may_issue,
    send_tickets,
)
from tickets.scanning import Outcome, Plan, Verdict, make_plan, play, prove
from tickets.scanning.proof import percentile
from tickets.scanning.rehearsal import expectation, make_tickets, measured_over

EXIT_NOT_PROVED = 1
EXIT_NOTHING_DONE = 2
FAULTS_SHOWN_MAX = 20
COUNTED = TextColumn(
    "{task.fields[admitted]} admitted, {task.fields[refused]} refused, {task.fields[undecided]} undecided"
)
ANSWER_PATIENCE = 15.0
"""Seconds to wait for one answer: the platform answers within ten, or not at all."""


class Command(BaseCommand):
    help = (
        "Rehearse the gates of an event: scan every ticket of a file that import_tickets reads, "
        "concurrently, with tickets shown twice and at two gates at once, over REST, repeating each scan "
        "with its nonce until it is decided. Then prove from the record that each ticket was admitted "
        "exactly once. Exit codes: 0 proved, 1 not proved, 2 not run."
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
        if options["gates"] < 1 or not 0 <= options["duplicates"] <= 1:
            raise CommandError(
                "--gates must be at least 1, --duplicates from 0 to 1.", returncode=EXIT_NOTHING_DONE
            )
        if (options["file"] is None) == (options["rehearse"] is None):
            raise CommandError("Give a file of tickets or --rehearse N.", returncode=EXIT_NOTHING_DONE)
        run = secrets.token_hex(6)
        try:
            if options["rehearse"] is None:
                found = plan_of(options)
                if found.questions:
                    raise FileRefused(open_questions(found))
                tickets = [one for one in found.tickets if not (one.entered or one.blocked)]
            else:
                tickets = make_tickets(options["rehearse"], run=run, today=datetime.now(UTC).date())
            platform = platform_of(settings.DATA, url=options["url"], api_key=options["api_key"])
            check_writable(options["record"], "--record")
        except (FileRefused, PlatformUnknown) as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        events = list(by_event(tickets))
        if len(events) > 1:
            text = (
                f"The file contains tickets of several events ({', '.join(events)}): choose one with --event."
            )
            raise CommandError(text, returncode=EXIT_NOTHING_DONE)
        options["event"] = "".join(events)
        ids = [ticket.ticket_id for ticket in tickets][: options["limit"]]
        if not ids:
            raise CommandError("The file contains no valid ticket.", returncode=EXIT_NOTHING_DONE)
        seed = secrets.randbelow(2**32) if options["seed"] is None else options["seed"]
        plan = make_plan(ids, gates=options["gates"], duplicates=options["duplicates"], seed=seed, run=run)
        if options["rehearse"] is not None:
            self._issue(platform, tickets, options["patience"])
        began = time.monotonic()
        record: list[Outcome] = []
        try:
            self._play(platform, plan, options, record)
        finally:
            elapsed = time.monotonic() - began
            self._write(options["record"], record)
        self._tell(prove(plan.scans, record), record, elapsed, seed, options)

    def _issue(self, platform: Platform, tickets: Sequence[ImportedTicket], patience: float) -> None:
        """Have the tickets of a rehearsal issued."""
        delivery = Delivery()

        async def run() -> None:
            async with open_client(platform, connections=IN_FLIGHT, patience=ANSWER_PATIENCE) as client:
                await check_may_issue(client, patience=patience)
                await send_tickets(client, tickets, {}, delivery, patience=patience, told=lambda _: None)

        try:
            with saying(f"{counted(len(tickets), 'ticket')} of {tickets[0].event} to be issued"):
                asyncio.run(run())
        except (Refused, NetworkSilent) as error:
            raise CommandError(
                f"The tickets to rehearse with were not issued: {error}.", returncode=EXIT_NOTHING_DONE
            ) from error
        if delivery.wrong:
            raise CommandError(delivery.wrong[0].reason, returncode=EXIT_NOTHING_DONE)
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
                ended = "admitted" if outcome.code == "ok" else "refused" if outcome.code else "undecided"
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
                    )

            try:
                asyncio.run(run())
            except Refused as error:
                raise CommandError(f"Stopped: {error}.", returncode=EXIT_NOTHING_DONE) from error

    def _write(self, path: Path | None, record: list[Outcome]) -> None:
        """Prints the verdict even if the record cannot be written for lack of space."""
        try:
            if path is not None and record:
                path.write_text("".join(map(_line, record)), encoding="utf-8")
        except OSError as error:
            self.stderr.write(f"--record {path} was not written: {error.strerror}.")

    def _tell(
        self, verdict: Verdict, record: list[Outcome], elapsed: float, seed: int, options: dict[str, Any]
    ) -> None:
        latencies = [outcome.latency * 1_000 for outcome in record]
        result = {
            "proved": not verdict.faults,
            "tickets": verdict.tickets,
            "scans": verdict.scans,
            "admitted_once": verdict.admitted,
            "refused_again": verdict.refused,
            "sent_again": sum(outcome.attempts - 1 for outcome in record),
            "seconds": round(elapsed, 3),
            "scans_per_second": round(len(record) / elapsed, 1),
            "latency_ms": {f"p{p}": round(percentile(latencies, p / 100), 1) for p in (50, 95, 99)}
            | {"max": round(max(latencies, default=0.0), 1)},
            "gates": options["gates"],
            "seed": seed,
            "faults": list(verdict.faults),
        }
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self._tell_people(result)
        if verdict.faults:
            sys.exit(EXIT_NOT_PROVED)

    def _tell_people(self, result: dict[str, Any]) -> None:
        latency = result["latency_ms"]
        self.stdout.write(
            f"{counted(result['scans'], 'scan')} of {counted(result['tickets'], 'ticket')} "
            f"at {counted(result['gates'], 'gate')} in "
            f"{result['seconds']:.1f} s: {result['scans_per_second']:,.0f} per second.\n"
            f"Scan to answer: p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms, "
            f"p99 {latency['p99']:.0f} ms, slowest {latency['max']:.0f} ms.\n"
            f"{result['admitted_once']:,} admitted once, {result['refused_again']:,} refused when shown "
            f"again; {counted(result['sent_again'], 'scan')} repeated after errors (seed {result['seed']})."
        )
        faults = result["faults"]
        if not faults:
            self.stdout.write("Proved: each ticket was admitted exactly once.")
            return
        self.stdout.write(f"NOT proved for {counted(len(faults), 'ticket')}:")
        for fault in faults[:FAULTS_SHOWN_MAX]:
            self.stdout.write(f"  {fault}")
        if len(faults) > FAULTS_SHOWN_MAX:
            self.stdout.write(f"  and {len(faults) - FAULTS_SHOWN_MAX:,} more (--json shows all)")


def _line(outcome: Outcome) -> str:
    scan = outcome.scan
    line = {
        "ticket_id": scan.ticket_id,
        "gate": scan.gate,
        "nonce": scan.nonce,
        "code": outcome.code,
        "sequence": outcome.sequence,
        "attempts": outcome.attempts,
        "latency_ms": round(outcome.latency * 1_000, 2),
        "remark": outcome.remark,
    }
    return json.dumps(line) + "\n"
