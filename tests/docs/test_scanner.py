"""The scanner of the documentation: what it asks, what it shows, and what it keeps of an open scan."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.docs.taught import blocks
from tests.waiting import PATIENCE

PAGE = b"<html>\n<body>Welcome to the hotel's network</body></html>"
ADMITTED = {
    "outcome": "admitted",
    "code": "ok",
    "whose": None,
    "product": "Day",
    "seat": "A 12",
    "holder": "Ada",
}
USED = {
    "outcome": "refused",
    "code": "already_consumed",
    "whose": "guest",
    "error": "The ticket is already consumed.",
    "product": "Day",
    "last_entry": {"at": "2026-11-27T20:14:09+01:00", "gate": "north", "device": "scanner-1"},
}
EARLY = {
    "outcome": "refused",
    "code": "not_yet_valid",
    "whose": "guest",
    "error": "The ticket is not valid yet.",
}
UNKNOWN = {
    "outcome": "unknown",
    "code": "outcome_unknown",
    "whose": "network",
    "error": "The outcome is unknown.",
}
FORBIDDEN = {
    "outcome": "error",
    "code": "not_permitted",
    "whose": "gate",
    "error": "This key lacks scope gate.",
}
NO_EVENT = {"outcome": "error", "code": "unknown_event", "whose": "gate", "error": "There is no such event."}
AGAIN = "RED already_consumed: Day; entered 2026-11-27 20:14 at north"
NO_KEY = {"error": "Invalid or missing API key"}


class Door:
    """A server with the answers it was told to give, in order, the last one for ever; and a scanner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[dict[str, Any]] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                door.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status, text = door.answers[0] if len(door.answers) == 1 else door.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *words: object) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, *answers: tuple[int, Any]) -> None:
        self.answers = [(status, json.dumps(answer).encode()) for status, answer in answers]

    def scanned(
        self, text: str | bytes, *, patience: float = 0.0, code: int = 0, event: str = "fest"
    ) -> list[str]:
        """The lines that one run of the scanner shows."""
        (program,) = blocks("use/scanner.md", "python")
        hasty = program.replace("PATIENCE = 30.0", f"PATIENCE = {patience}")
        assert hasty != program
        done = subprocess.run(
            [sys.executable, "-c", hasty],
            cwd=self.folder,
            env=os.environ | {"DTVN_URL": self.url, "DTVN_KEY": "key", "DTVN_EVENT": event},
            input=text if isinstance(text, bytes) else text.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return (done.stdout if code == 0 else done.stderr).decode().splitlines()

    @property
    def nonces(self) -> list[int]:
        """The number of each request's nonce, in the order in which they first came."""
        order = list(dict.fromkeys(body["nonce"] for body in self.asked))
        return [order.index(body["nonce"]) for body in self.asked]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    serving = Thread(target=made.server.serve_forever)
    serving.start()
    yield made
    made.server.shutdown()
    serving.join()
    made.server.server_close()


def test_each_answer_is_shown_with_what_the_gate_has_to_know(door: Door) -> None:
    door.answer((200, ADMITTED), (409, USED))
    assert door.scanned("SECRET-1234\nSECRET-1234\n") == [
        "...1234 GREEN: Day; A 12; Ada",
        f"...1234 {AGAIN}",
    ]
    place = {"event": "fest", "gate": "north", "device": "scanner-1"}
    assert [body | place for body in door.asked] == door.asked
    assert door.nonces == [0, 1]


@pytest.mark.parametrize(
    "code",
    [
        "https://ti.to/tickets/ti_t8?a=b#c",
        "two  words",
        '{"id": 7}',
        "007",
        "uuid/hmac+/=",
        "Łucja",
        "A\x1dB",
    ],
)
def test_a_code_is_sent_as_it_was_read(door: Door, code: str) -> None:
    door.answer((200, ADMITTED))
    door.scanned(f"\r\n  {code} \r\n")
    assert [body["barcode"] for body in door.asked] == [code]


def test_a_refusal_is_shown_with_its_reason_and_an_earlier_entry(door: Door) -> None:
    door.answer((409, USED | {"code": "blocked", "error": "The ticket is blocked: stolen."}))
    assert door.scanned("T-1\n") == [
        "...T-1 RED blocked: The ticket is blocked: stolen; Day; entered 2026-11-27 20:14 at north"
    ]


def test_a_code_is_not_shown_whole_and_moves_no_cursor(door: Door) -> None:
    door.answer((200, ADMITTED | {"seat": None, "holder": "\x1b[2J"}))
    assert door.scanned("SECRET-\x1b[2J\n") == ["...?[2J GREEN: Day; ?[2J"]


def test_what_is_no_utf_8_is_the_readers_fault(door: Door) -> None:
    assert door.scanned(b"SECRET-\xe4\n") == ["CALL THE OFFICE: the reader does not send UTF-8"]
    assert door.asked == []


@pytest.mark.parametrize("answer", [(401, NO_KEY), (403, FORBIDDEN), (404, NO_EVENT)])
def test_the_gates_fault_never_looks_like_a_refused_guest(door: Door, answer: tuple[int, Any]) -> None:
    door.answer(answer)
    assert door.scanned("T-1\n") == [f"...T-1 CALL THE OFFICE: {answer[1]['error']}"]


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_page_of_another_server_is_no_answer(door: Door, status: int) -> None:
    door.answers = [(status, PAGE)]
    (line,) = door.scanned("T-1\n")
    assert line.startswith("...T-1 WAIT: no answer of a platform (JSONDecodeError)")


@pytest.mark.parametrize("status", [200, 404])
def test_json_of_another_server_opens_nothing_and_refuses_nobody(door: Door, status: int) -> None:
    door.answer((status, {"hello": "world"}))
    assert door.scanned("T-1\n") == [f"...T-1 CALL THE OFFICE: status {status}"]


def test_an_unreachable_platform_makes_the_guest_wait(door: Door) -> None:
    door.url = "http://127.0.0.1:1"
    assert door.scanned("T-1\n") == [
        "...T-1 WAIT: no answer of a platform (ConnectionRefusedError); then scan this code again"
    ]


def test_a_scan_is_repeated_with_its_nonce_until_its_outcome_is_known(door: Door) -> None:
    door.answer((504, UNKNOWN), (503, UNKNOWN), (200, ADMITTED), (409, USED))
    shown = door.scanned("T-1\nT-1\n", patience=PATIENCE)
    assert [line.split()[1] for line in shown] == ["GREEN:", "RED"]
    assert door.nonces == [0, 0, 0, 1]


def test_a_scanner_without_an_event_names_none(door: Door) -> None:
    """Its key may be for one; else the platform says that it is required, and no guest is refused."""
    required = {"code": "bad_request", "outcome": "error", "whose": "gate", "error": "event is required"}
    door.answer((504, UNKNOWN), (200, ADMITTED), (400, required))
    shown = door.scanned("T-1\nT-1\nT-2\n", event="")
    assert shown[1:] == ["...T-1 GREEN: Day; A 12; Ada", "...T-2 CALL THE OFFICE: event is required"]
    assert [body["event"] for body in door.asked] == [None] * 3
    assert door.nonces == [0, 0, 1]


def test_the_next_scan_of_a_code_continues_an_open_one(door: Door) -> None:
    door.answer((504, UNKNOWN), (504, UNKNOWN), (200, ADMITTED), (409, USED))
    shown = door.scanned("T-1\nT-2\nT-1\nT-1\n")
    assert [line.split()[1] for line in shown] == ["WAIT:", "WAIT:", "GREEN:", "RED"]
    assert door.nonces == [0, 1, 0, 2]


def test_a_scanner_that_starts_again_asks_for_its_open_scans_first(door: Door) -> None:
    door.answer((504, UNKNOWN))
    door.scanned("T-1\n")
    door.answer((200, ADMITTED), (409, USED))
    assert door.scanned("T-1\n") == [
        "...T-1 (before the restart) GREEN: Day; A 12; Ada",
        f"...T-1 {AGAIN}",
    ]
    assert door.nonces == [0, 0, 1]
    assert door.scanned("") == [], "nothing is open"


def test_a_guest_who_has_long_gone_is_not_let_in_by_a_restart(door: Door) -> None:
    door.answer((504, UNKNOWN))
    door.scanned("T-1\n")
    with sqlite3.connect(door.folder / "open-scans.sqlite3") as disk:
        disk.execute("UPDATE scans SET at = at - 601")
    disk.close()
    assert door.scanned("") == []
    door.answer((200, ADMITTED))
    door.scanned("T-1\n")
    assert door.nonces == [0, 0], "the scan stays open until the guest is there"


def test_a_refusal_that_was_lost_may_be_old_and_is_asked_for_anew(door: Door) -> None:
    door.answer((504, UNKNOWN), (409, EARLY), (200, ADMITTED))
    shown = door.scanned("T-1\nT-1\n")
    assert [line.split()[1] for line in shown] == ["WAIT:", "GREEN:"]
    assert door.nonces == [0, 0, 1]


@pytest.mark.parametrize("answer", [(401, NO_KEY), (403, FORBIDDEN)])
def test_a_key_that_is_lost_between_two_attempts_closes_no_scan(door: Door, answer: tuple[int, Any]) -> None:
    door.answer((504, UNKNOWN), answer, (200, ADMITTED))
    shown = door.scanned("T-1\nT-1\n", patience=PATIENCE)
    assert [line.split()[1] for line in shown] == ["CALL", "GREEN:"]
    assert door.nonces == [0, 0, 0]


def test_a_mended_gate_is_not_held_to_its_earlier_fault(door: Door) -> None:
    door.answer((400, FORBIDDEN | {"code": "bad_request"}), (200, ADMITTED))
    door.scanned("T-1\nT-1\n")
    assert door.nonces == [0, 1]


def test_two_scanners_do_not_share_a_file(door: Door) -> None:
    door.answer((504, UNKNOWN))
    with sqlite3.connect(door.folder / "open-scans.sqlite3", isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE").execute("COMMIT")
        said = "The file of open scans is damaged, or another scanner uses it: database is locked"
        assert door.scanned("T-1\n", code=1) == [said]
    other.close()
    assert door.asked == []
