"""The two commands whole: file in, sentences and exit code out, over real HTTP."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from tests.pages.learner import RealLearner
from tests.tools.test_columns import as_csv, pretix_row
from tickets.api import operations
from tickets.models import TicketHolder
from tickets.services import Decision, Refused, Request
from validators.gateway.collector import Result
from validators.ledger.models import Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


class Ran:
    """What a command said and how it ended."""

    def __init__(self, name: str, *arguments: str) -> None:
        out = io.StringIO()
        self.code = 0
        try:
            call_command(name, *arguments, stdout=out)
        except SystemExit as end:
            self.code = int(end.code or 0)
        except CommandError as error:
            self.code, self.error = error.returncode, str(error)
        self.text = out.getvalue()


@pytest.fixture
def at(learner: RealLearner, live_server: LiveServer, api_key: str) -> list[str]:
    """Options that lead the commands to the platform under test."""
    return ["--url", live_server.url, "--api-key", api_key]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    rows = [pretix_row(Order_code=f"ORD{number:02}") for number in range(30)]
    rows[4] = pretix_row(Order_code="ORD04", Status="canceled")
    rows[9] = pretix_row(Order_code="ORD 09")
    path = tmp_path / "fest_orders.csv"
    path.write_bytes(as_csv(*rows))
    return path


def test_an_import_tells_what_went_in_and_what_did_not(at: list[str], export: Path) -> None:
    ran = Ran("import_tickets", str(export), *at)
    assert ran.code == 1
    assert ran.text.splitlines() == [
        "30 rows read: 28 tickets in the network.",
        "1 row left out:",
        "  row 6: ORD04-1 is canceled",
        "1 row wrong:",
        "  row 11: ticket id 'ORD 09-1' is not 1 to 128 of A-Z a-z 0-9 . _ : - with a letter or digit first",
    ]
    assert Ticket.objects.count() == 28
    assert TicketHolder.objects.filter(name="Ada Lovelace").count() == 28


def test_persons_are_in_the_platforms_table_and_nowhere_in_the_log(
    at: list[str], export: Path, tmp_path: Path
) -> None:
    Ran("import_tickets", str(export), *at)
    ledger = b"".join(path.read_bytes() for path in (tmp_path / "learner").iterdir() if path.is_file())
    for secret in (b"Lovelace", b"buyer@example.org", b"z9x8y7"):
        assert secret not in ledger
    assert all(len(ticket.whole.commitment) == 32 for ticket in Ticket.objects.all())


def test_a_dry_run_changes_nothing(at: list[str], export: Path) -> None:
    ran = Ran("import_tickets", str(export), "--dry-run", *at)
    assert ran.text.startswith("30 rows read: 28 tickets would go in.")
    assert ran.code == 1
    assert not Ticket.objects.exists()
    assert not TicketHolder.objects.exists()


def test_running_it_again_is_safe_and_says_so(at: list[str], export: Path) -> None:
    Ran("import_tickets", str(export), *at)
    ran = Ran("import_tickets", str(export), *at)
    assert ran.text.startswith("30 rows read: 28 tickets in the network (28 had been there before).")


def test_a_report_lists_every_row_that_did_not_go_in(at: list[str], export: Path, tmp_path: Path) -> None:
    Ran("import_tickets", str(export), "--report", str(tmp_path / "report.txt"), *at)
    report = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert [line.split(":")[0] for line in report.splitlines()] == ["row 6", "row 11"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.csv"], "cannot be read"),
        (["FILE", "--column", "nonsense"], "is not FIELD=NAME"),
        (["FILE", "--timezone", "Mars/North"], "is not known"),
        (["FILE", "--event", "a b"], "is not 1 to 64"),
        (["FILE", "--url", "http://127.0.0.1:9"], "There is no"),
    ],
)
def test_what_cannot_begin_ends_with_2_and_a_sentence(
    learner: RealLearner, export: Path, arguments: list[str], sentence: str
) -> None:
    ran = Ran("import_tickets", *(str(export) if word == "FILE" else word for word in arguments))
    assert ran.code == 2
    assert sentence in ran.error


def test_a_wrong_key_ends_with_2(at: list[str], export: Path) -> None:
    ran = Ran("import_tickets", str(export), *at[:2], "--api-key", "dtvn_wrong")
    assert (ran.code, "API key was refused" in ran.error) == (2, True)


def test_a_silent_network_ends_with_3(at: list[str], export: Path, learner: RealLearner) -> None:
    learner.gateway.quorum = False
    ran = Ran("import_tickets", str(export), *at, "--patience", "0.2")
    assert ran.code == 3
    assert "Run the same command again" in ran.error


def test_the_credentials_file_is_found(
    at: list[str], export: Path, settings: Any, learner: RealLearner
) -> None:
    settings.DATA.mkdir(exist_ok=True)
    (settings.DATA / "credentials.json").write_text(json.dumps({"url": at[1], "api_key": at[3]}))
    assert "28 tickets in the network" in Ran("import_tickets", str(export)).text


# --- scan ------------------------------------------------------------------------------------------


def scanned(export: Path, at: list[str], *options: str) -> tuple[Ran, dict[str, Any]]:
    ran = Ran("scan", str(export), "--gates", "4", "--json", *options, *at)
    return ran, json.loads(ran.text)


def test_a_rehearsal_proves_that_each_ticket_was_admitted_once(
    at: list[str], export: Path, tmp_path: Path
) -> None:
    Ran("import_tickets", str(export), *at)
    ran, result = scanned(export, at, "--duplicates", "0.5", "--record", str(tmp_path / "record.jsonl"))
    assert ran.code == 0
    assert result["proved"]
    assert (result["tickets"], result["scans"]) == (28, 42)
    assert (result["admitted_once"], result["refused_again"]) == (28, 14)
    latency = result["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    lines = (tmp_path / "record.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 42
    assert {json.loads(line)["code"] for line in lines} == {"ok", "already_consumed"}


def test_a_second_rehearsal_is_not_proved(at: list[str], export: Path) -> None:
    Ran("import_tickets", str(export), *at)
    scanned(export, at)
    ran, result = scanned(export, at)
    assert ran.code == 1
    assert not result["proved"]
    assert "consumed before this run" in result["faults"][0]


def test_a_platform_that_admits_twice_is_found_out(
    at: list[str], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lying platform: every refusal of a scan is turned into a 200."""
    Ran("import_tickets", str(export), *at)
    honest = operations.decide_one

    def lying(request: Request, **options: Any) -> Decision:
        try:
            return honest(request, **options)
        except Refused as refused:
            return Decision(request, Result("ok", b"", refused.sequence))

    monkeypatch.setattr(operations, "decide_one", lying)
    ran, result = scanned(export, at, "--duplicates", "0.5")
    assert ran.code == 1
    assert len(result["faults"]) == 14
    assert all("admitted 2 times" in fault for fault in result["faults"])


def test_people_get_sentences(at: list[str], export: Path) -> None:
    Ran("import_tickets", str(export), *at)
    text = Ran("scan", str(export), *at).text
    assert "34 scans of 28 tickets at 8 gates" in text
    assert "p50" in text
    assert text.endswith("Proved: each ticket was admitted exactly once.\n")


@pytest.mark.parametrize("options", [["--gates", "0"], ["--duplicates", "2"]])
def test_nonsense_ends_with_2(at: list[str], export: Path, options: list[str]) -> None:
    assert Ran("scan", str(export), *options, *at).code == 2
