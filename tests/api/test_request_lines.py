"""The platform's request lines: a program's with nonce and sequence, its own pages' only at DEBUG."""

from __future__ import annotations

import json
import logging

import pytest

from dtvn.node.json_lines import JsonLines
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LOGGER = "dtvn.requests"


def test_a_programs_request_has_a_line_with_its_nonce_and_sequence(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    api.post("tickets/seed")
    by_header = api.post("tickets/validate", {"ticket_id": "TICKET-001"}, Idempotency_Key="scan-7")
    api.post("tickets/validate", {"ticket_id": "TICKET-001", "nonce": "scan-8"})
    api.get("tickets/TICKET-001?secret=1")
    api.client.get("/login/")
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == LOGGER]
    shown = [(line["method"], line["path"], line["status"], line.get("nonce")) for line in lines]
    assert shown == [
        ("POST", "/api/v1/tickets/seed", 200, None),
        ("POST", "/api/v1/tickets/validate", 200, "scan-7"),
        ("POST", "/api/v1/tickets/validate", 409, "scan-8"),
        ("GET", "/api/v1/tickets/TICKET-001", 200, None),
    ]
    assert lines[1]["sequence"] == int(by_header.headers["X-DTVN-Sequence"]) > 0
    assert {line["level"] for line in lines} == {"info"}
