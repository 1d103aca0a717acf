"""`scan` on an event that was created: what is foretold of printed codes, and what the rehearsal proves."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.pages.learner import RealLearner
from tests.ports import free_ports
from tests.tools.test_commands import Ran
from validators.ledger.models import OperationRecord, Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

HEADER = "Order code,Position ID,Status,Product,Attendee name,Ticket secret,Valid from,Valid until"
ROWS = [
    "A7B3C,1,paid,Weekend,Ada,nvrpdkx3wwbm,,",
    "A7B3C,2,paid,Weekend,Alan,emz7zb34ha8x,,",
    "D8E4F,1,paid,T-shirt,Ada,4rf6u93k8nat,,",
    "G9H5J,1,canceled,Weekend,Kurt,hcktdv2r38qy,,",
    "K2L6M,1,paid,Weekend,Grace,mvj386urakm7,2100-08-01 12:00,2100-08-02 03:00",
]


class Platform:
    """The platform of the commands under test, with the event of the file."""

    def __init__(self, at: list[str]) -> None:
        self.client = httpx.Client(base_url=at[1], headers={"X-API-Key": at[3]}, trust_env=False)
        products = [{"name": "Weekend", "admits": True}, {"name": "T-shirt", "admits": False}]
        event = {"name": "Fest", "zone": "Europe/Berlin", "products": products}
        self.client.put("/api/v1/events/fest", json=event).raise_for_status()

    def order(self, kind: str, ticket: str, **fields: Any) -> None:
        body = {"event": "fest", "ticket_id": ticket, **fields}
        self.client.post(f"/api/v1/tickets/{kind}", json=body).raise_for_status()


@pytest.fixture
def at(at: list[str]) -> list[str]:
    """Options that lead the commands to the platform under test, without answers."""
    return at[:4]


@pytest.fixture
def platform(at: list[str]) -> Iterator[Platform]:
    made = Platform(at)
    yield made
    made.client.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (path := tmp_path / "shop.csv").write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="utf-8")
    return path


ANSWERS = ["--event", "fest", "--entrances", "Weekend", "--timezone", "Europe/Berlin"]


@pytest.fixture
def imported(file: Path, platform: Platform, at: list[str]) -> list[str]:
    """The file, the answers of its import, and the platform: after the import."""
    words = [str(file), *ANSWERS, *at]
    assert Ran("import_tickets", *words).code == 0
    return words


def checked(words: list[str]) -> tuple[int, dict[str, Any]]:
    ran = Ran("scan", *words, "--check", "--json")
    return ran.code, json.loads(ran.text)


def test_the_foretold_answers_are_those_of_the_gates(imported: list[str], platform: Platform) -> None:
    """Rule 13 of the cases: the same answers before the doors open."""
    platform.order("block", "A7B3C-2", reason="stolen")
    said = checked(imported)[1]
    ran = Ran("scan", *imported, "--json", "--duplicates", "1")
    result = json.loads(ran.text)
    assert (ran.code, result["proved"], result["scans"]) == (0, True, 8)
    assert (result["admitted_once"], result["refused_as_foretold"]) == (1, 3)
    gates = OperationRecord.objects.filter(operation="admit")
    told = dict(gates.order_by("id").values_list("ticket_id", "code"))
    assert told == {
        "A7B3C-1": "already_consumed",
        "A7B3C-2": "blocked",
        "D8E4F-1": "wrong_product",
        "K2L6M-1": "not_yet_valid",
    }
    assert said["answers"] == {"ok": 1, "blocked": 1, "wrong_product": 1, "not_yet_valid": 1}


def test_what_was_ordered_since_the_import_is_said_and_is_no_fault(
    imported: list[str], platform: Platform
) -> None:
    platform.order("block", "A7B3C-2", reason="stolen")
    platform.order("replace", "A7B3C-1", barcodes=["WRISTBAND-1"])
    code, said = checked(imported)
    assert (code, said["faults"]) == (0, 0)
    found = [(one["row"], one["ticket_id"], one["network"], one["more"]) for one in said["differing"]]
    assert found == [(2, "A7B3C-1", "revoked", ""), (3, "A7B3C-2", "blocked", "stolen")]
    assert "row 3, ticket A7B3C-2: blocked (stolen), not ok" in Ran("scan", *imported, "--check").text


def test_a_file_that_was_imported_by_another_column_is_found_out(
    file: Path, platform: Platform, at: list[str]
) -> None:
    """The rehearsal once played ids, and "Proved" was printed of an event in which no printed code opened."""
    words = [str(file), *ANSWERS, *at]
    assert Ran("import_tickets", *words, "--code", "Order code", "--column", "order=").code == 1
    code, said = checked(words)
    assert (code, said["answers"]) == (1, {"barcode_not_found": 4})
    ran = Ran("scan", *words)
    assert (ran.code, "No code of the file is in the event fest" in ran.error) == (2, True)


def test_a_dead_address_or_a_wrong_key_ends_a_scan_at_once_in_words(file: Path, at: list[str]) -> None:
    words = [str(file), *ANSWERS, *at]
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    for options, says in (
        (["--url", dead], f"No platform answers at {dead} ("),
        (["--api-key", "dtvn_wrong"], "refused the API key; see the credentials file"),
        (["--api-key", "dtvn_copied\n"], "The API key holds characters that cannot be sent"),
        (["--url", f"{at[1]}/static"], "is no platform of tickets: is --url right?"),
    ):
        for mode in ([], ["--check"]):
            ran = Ran("scan", *words, *mode, *options)
            assert (ran.code, says in ran.error) == (2, True), ran.error
    ran = Ran("scan", "--rehearse", "1", *at, "--url", dead)
    assert (ran.code, dead in ran.error) == (2, True)
    ran = Ran("import_tickets", *words, "--api-key", "dtvn_copied\n")
    assert (ran.code, "cannot be sent" in ran.error) == (2, True)


def test_the_gates_of_a_group_ticket_open_once_for_each_person(
    tmp_path: Path, platform: Platform, at: list[str]
) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("Barcode,Admits\nG-1,3\nG-2,1\n", encoding="utf-8")
    words = [str(path), "--event", "fest", "--quantity", "entries", *at]
    assert Ran("import_tickets", *words).code == 0
    ran = Ran("scan", *words, "--duplicates", "1", "--json", "--yes")
    found = json.loads(ran.text)
    assert (ran.code, found["proved"], found["scans"]) == (0, True, 6)
    assert {ticket.state for ticket in Ticket.objects.all()} == {"CONSUMED"}


def test_a_check_of_an_event_that_does_not_exist_says_so(file: Path, at: list[str]) -> None:
    ran = Ran("scan", str(file), *ANSWERS, "--check", *at)
    assert (ran.code, "the network has no event fest" in ran.error) == (2, True)


def test_an_open_question_ends_the_rehearsal_as_it_ends_the_import(
    file: Path, platform: Platform, at: list[str]
) -> None:
    file.write_text(
        "\n".join([HEADER, *ROWS, "Z9Z9Z,1,paid,VIP,Zoe,zzz2krxgmezm,,"]) + "\n", encoding="utf-8"
    )
    words = [str(file), "--event", "fest", *at]
    ran = Ran("scan", *words)
    asked, imported = ran.error.split("\n", 1), Ran("import_tickets", *words).error.split("\n", 1)
    assert (ran.code, asked[1]) == (2, imported[1])
    assert "Give the same answers as at the import" in asked[0]
    assert "Which products let their guests in?" in asked[1]


def test_codes_stand_in_no_record_of_scans(imported: list[str], tmp_path: Path, learner: RealLearner) -> None:
    record = tmp_path / "record.jsonl"
    assert Ran("scan", *imported, "--record", str(record)).code == 0
    text = record.read_text(encoding="utf-8")
    assert "A7B3C-1" in text
    assert not any(code in text for code in ("nvrpdkx3wwbm", "emz7zb34ha8x", "4rf6u93k8nat"))


class Terminal(io.StringIO):
    """A terminal in which this was typed."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_asks_for_the_event_before_tickets_are_used_up(
    imported: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An organiser forgot --check, and every guest of the night was refused."""
    for typed in ("", "y\n"):
        monkeypatch.setattr(sys, "stdin", Terminal(typed))
        ran = Ran("scan", *imported)
        assert (ran.code, "Nothing was scanned" in ran.error) == (2, True)
        url = imported[imported.index("--url") + 1]
        assert f"This uses up 2 tickets of the event fest on {url}: " in capsys.readouterr().err
    assert set(Ticket.objects.values_list("state", flat=True)) == {"ISSUED"}
    monkeypatch.setattr(sys, "stdin", Terminal("fest\n"))
    assert Ran("scan", *imported, "--limit", "1").code == 0
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert Ran("scan", *imported, "--limit", "2", "--yes").code == 1  # the first one has entered
    assert Ticket.objects.filter(state="CONSUMED").count() == 2


def test_a_check_fails_if_all_windows_are_over(file: Path, platform: Platform, at: list[str]) -> None:
    """Nobody had changed the year in the shop, and the check before the doors said that all was well."""
    over = [row + "2020-08-02 03:00" for row in ROWS[:4]]
    file.write_text("\n".join([HEADER, *over]) + "\n", encoding="utf-8")
    words = [str(file), *ANSWERS, *at]
    assert Ran("import_tickets", *words).code == 0
    code, said = checked(words)
    assert (code, said["faults"], said["windows_over"]) == (1, 0, 3)
    told = Ran("scan", *words, "--check").text
    assert "NOBODY of the file would be admitted: the windows are over (3 codes)." in told


def test_entries_and_exits_on_a_list_are_played_and_proved(imported: list[str], platform: Platform) -> None:
    """Of two tickets, each shown twice: their guests enter once and leave once."""
    lists = [{"list": "zone", "products": ["Weekend", "T-shirt"]}]
    platform.client.put("/api/v1/events/fest", json={"lists": lists}).raise_for_status()
    words = [*imported, "--limit", "2", "--duplicates", "1", "--json", "--list", "zone"]
    for more in ((), ("--exit",)):
        ran = Ran("scan", *words, *more)
        result = json.loads(ran.text)
        assert (ran.code, result["admitted_once"], result["refused_again"]) == (0, 2, 2), result["faults"]
    again = Ran("scan", *words, "--exit")
    assert (
        again.code,
        json.loads(again.text)["faults"][0].endswith("nobody was inside before this run"),
    ) == (
        1,
        True,
    )
    told = OperationRecord.objects.filter(operation="admit").values_list("code", flat=True)
    assert sorted({*told}) == ["already_consumed", "not_inside", "ok"]
    assert Ran("scan", *words, "--check").code == 2
    assert "no such list" in Ran("scan", *imported, "--list", "bar").error
