"""Commands in pipes and jobs: `-` as a file, and no progress bar where there is no terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.importing.exports import as_csv, pretix_row
from tests.pages.learner import RealLearner
from tests.tools.test_commands import Ran
from validators.ledger.models import Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

JSON = json.dumps([{"ticket_id": "J-1"}, {"ticket_id": "J-2"}]).encode()


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("content", "form", "answers"),
    [(as_csv(pretix_row()), "CSV, UTF-8", []), (JSON, "JSON, UTF-8", ["--code", "ticket_id"])],
)
def test_a_file_may_come_from_standard_input(
    at: list[str], monkeypatch: pytest.MonkeyPatch, content: bytes, form: str, answers: list[str]
) -> None:
    feed(monkeypatch, content)
    ran = Ran("import_tickets", "-", *answers, *at)
    assert (ran.code, f"Read as {form}" in ran.text) == (0, True), ran.text


@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
def test_an_export_to_standard_output_can_be_piped_into_an_import(
    at: list[str],
    learner: RealLearner,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    form: str,
) -> None:
    feed(monkeypatch, JSON)
    assert Ran("import_tickets", "-", "--code", "ticket_id", *at).code == 0
    capsysbinary.readouterr()
    ran = Ran("export_tickets", "tickets", "-", "--format", form)
    written = capsysbinary.readouterr()
    assert (ran.code, ran.text) == (0, ""), "sentences would be a part of the file"
    assert b"Standard output: tickets as of sequence" in written.err
    feed(monkeypatch, written.out)
    ran = Ran("import_tickets", "-", *at)
    assert "2 rows read: 2 tickets in the network (2 had already been imported)." in ran.text
    assert Ticket.objects.count() == 2


def test_a_log_file_gets_neither_bars_nor_control_characters(
    at: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    (file := tmp_path / "fest.json").write_bytes(JSON)
    assert Ran("import_tickets", str(file), "--code", "ticket_id", *at).code == 0
    assert Ran("scan", str(file), "--code", "ticket_id", *at).code == 0
    written = capsys.readouterr().err
    assert "\x1b" not in written
    told = [line for line in written.splitlines() if "dtvn.requests" not in line]
    assert [line for line in told if not line.startswith("2 scans at 8 gates: ")] == []
