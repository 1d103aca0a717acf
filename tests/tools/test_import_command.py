"""What the import command records and sums up."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.tools.test_commands import NAMED, Ran, export  # noqa: F401 - fixtures
from tickets.importing.platform import Platform
from tickets.importing.remote import FILES, RemoteImport
from tickets.importing.until_final import NetworkSilent
from tickets.models import EventTimeZone, TicketImport
from validators.ledger.models import Ticket
from validators.models import PlatformAction

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


def test_an_import_by_the_command_is_recorded(at: list[str], export: Path) -> None:  # noqa: F811
    Ran("import_tickets", str(export), *at)
    Ran("import_tickets", str(export), *at, "--api-key", "wrong")
    made = TicketImport.objects.get().pk
    rows = PlatformAction.objects.order_by("pk").values_list("action", "outcome")
    assert list(rows) == [(f"POST {FILES}", "ok"), (f"POST {FILES}/{made}/confirm", "ok")]
    (actor,) = set(PlatformAction.objects.values_list("actor", flat=True))
    assert actor.startswith("key:")


def test_many_events_are_summed_up_by_their_zone(at: list[str], tmp_path: Path) -> None:
    EventTimeZone.objects.create(event="E-7", zone="Europe/Berlin")
    path = tmp_path / "plain.csv"
    rows = "".join(f"T-{number},E-{number % 200}\n" for number in range(300))
    path.write_text(f"ticket_id,event\n{rows},E-1\n")
    names = [word for number in range(200) for word in ("--event-name", f"E-{number}=E-{number}")]
    ran = Ran("import_tickets", str(path), "--dry-run", *NAMED, *at, *names)
    assert ran.text.splitlines()[-5:] == [
        "1 event with 2 tickets: E-7; on the clocks of Europe/Berlin.",
        "199 events with 298 tickets: E-0, E-1, E-2, E-3, E-4 and 194 more; on the clocks of UTC.",
        "Scanned as T-0, T-1, T-2.",
        "1 row wrong:",
        "  row 302: column 'ticket_id': a code is empty",
    ]


@pytest.mark.parametrize("command", ["import_tickets", "scan"])
def test_an_open_question_ends_with_2_and_the_options_that_answer(
    at: list[str],
    tmp_path: Path,
    command: str,
) -> None:
    path = tmp_path / "guests.csv"
    path.write_text("barcode,status,product\nT-1,paid,Day\nT-2,,Day\n")
    ran = Ran(command, str(path), *at[:4])
    first, *asked = ran.error.splitlines()
    assert first.startswith(
        f"Nothing is {'scanned' if command == 'scan' else 'imported'} before this is answered"
    )
    assert ran.code == 2
    assert asked[0].startswith("Which products let their guests in?")
    assert asked[1:3] == ["    Day: 2", '  Answer with "--entrances=NAME,NAME" or "--no-entrance"']
    assert "    status  paid: 1  |  (empty): 1" in asked
    assert '            perhaps "--admits=status=VALUE,VALUE"' in asked
    assert any(line.strip().startswith('"--harmless=COLUMN"') for line in asked)
    assert not Ticket.objects.exists()
    assert not TicketImport.objects.exists(), "the file is not kept"


def test_the_zone_of_an_event_is_used_and_shown(at: list[str], tmp_path: Path) -> None:
    EventTimeZone.objects.create(event="fest", zone="Europe/Berlin")
    path = tmp_path / "plain.csv"
    path.write_bytes(b"ticket_id,event,valid until\nT-1,fest,2026-08-01\n")
    named = [*NAMED, *at, "--event-name", "fest=fest"]
    ran = Ran("import_tickets", str(path), "--dry-run", *named)
    assert "Event fest: 1 ticket, on the clocks of Europe/Berlin." in ran.text
    given = Ran("import_tickets", str(path), "--dry-run", "--timezone", "Asia/Tokyo", *named)
    assert "Event fest: 1 ticket, on the clocks of Asia/Tokyo." in given.text


class LostAnswers(BaseHTTPRequestHandler):
    """Takes each request, and breaks the connection in place of the first answer to each method."""

    asked: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.command)
        if self.asked.count(self.command) == 1:
            return
        body = b'{"id":1,"state":"done"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Discards the request log."""


def test_only_a_question_is_sent_again_where_its_answer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload would be kept twice, and a confirmation may have begun the import."""
    monkeypatch.setattr("tickets.importing.until_final.PAUSE_FIRST", 0.001)
    monkeypatch.setattr(LostAnswers, "asked", [])
    server = HTTPServer(("127.0.0.1", 0), LostAnswers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        platform = Platform(f"http://127.0.0.1:{server.server_port}", "key")
        with RemoteImport(platform, patience=9.0) as remote:
            with pytest.raises(NetworkSilent, match="the answer was lost"):
                remote.confirm([])
            assert remote.follow(lambda _state: None)["state"] == "done"
    finally:
        server.shutdown()
        server.server_close()
    assert LostAnswers.asked == ["POST", "GET", "GET", "GET"]


def test_a_file_without_the_column_that_decided_is_imported_with_its_answer_and_trusted_then(
    at: list[str],
    tmp_path: Path,
) -> None:
    """The import was refused when it was confirmed, and its answers counted nevertheless."""
    path = tmp_path / "guests.csv"
    path.write_text("Code,Name,Stato\nRRRR1AAA11,Ann,pagato\nRRRR2BBB22,Bob,annullato\n")
    options = [*at, "--code", "Code", "--admits", "Stato=pagato"]
    assert Ran("import_tickets", str(path), *options).code == 0
    path.write_text("Code,Name\nRRRR3CCC33,Cid\n")
    options = [*at, "--code", "Code"]
    assert Ran("import_tickets", str(path), *options).code == 2
    refused = Ran("import_tickets", str(path), "--apply", "--harmless", "Stato", *options)
    assert (refused.code, Ticket.objects.count()) == (2, 1)
    for _ in range(2):
        assert Ran("import_tickets", str(path), "--harmless", "Stato", *options).code == 0
    assert Ran("import_tickets", str(path), "--apply", *options).code == 0
    assert Ticket.objects.count() == 2


def test_what_decided_in_a_file_of_several_events_is_asked_in_each_of_them(
    at: list[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "guests.csv"
    path.write_text("Code,Name,Event,Stato\nAAA1,Ann,one,pagato\nBBB2,Bob,two,pagato\nCCC3,Cid,two,no\n")
    url = at[:4]
    names = [word for name in ("one", "two") for word in ("--event-name", f"{name}={name}")]
    answers = ["--code", "Code", "--admits", "Stato=pagato", "--new-event", "create"]
    assert Ran("import_tickets", str(path), *url, *names, *answers).code == 0
    path.write_text("Code,Name\nCCC3,Cid\n")
    ran = Ran("import_tickets", str(path), *url, "--event", "two", "--code", "Code")
    assert (ran.code, "'stato', which says who may come in" in ran.error) == (2, True)
