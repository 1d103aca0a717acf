"""Files on the import page: uploaded, read here in place of a worker, and confirmed."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tickets import tasks
from tickets.importing.answers import Answers, answers_from
from tickets.models import TicketImport

URL = "/dashboard/tickets/files"
FILE = "ticket_id;Name;Schuhgröße;valid until\nT-1;Zoë;38;2026-08-01\n;Bob;38;\nT-3;Eve;38;soon\n"
ANSWERS = answers_from(code="ticket_id", timezone="UTC", new_event="as-it-is")


def upload(
    client: Client,
    content: bytes,
    name: str = "guests.csv",
    answers: Answers | bytes = ANSWERS,
    **fields: str,
) -> Any:
    sent = answers if isinstance(answers, bytes) else msgspec.json.encode(answers)
    return client.post(URL, {"file": SimpleUploadedFile(name, content), "answers": sent.decode(), **fields})


def previewed(
    client: Client, asked: list[tuple[int, str]], content: bytes = FILE.encode("cp1252"), **answers: Any
) -> int:
    given = msgspec.structs.replace(ANSWERS, **answers)
    assert upload(client, content, answers=given).status_code == 302
    import_id, token = asked[-1]
    assert tasks.run_import(import_id, token) == "done"
    return import_id


def confirmed(client: Client, asked: list[tuple[int, str]], import_id: int) -> TicketImport:
    assert client.post(f"{URL}/{import_id}/confirm").status_code == 302
    tasks.run_import(*asked[-1])
    return TicketImport.objects.get(pk=import_id)
