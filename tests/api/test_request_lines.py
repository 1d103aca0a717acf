"""The platform's request lines: a program's with nonce and sequence, its own pages' only at DEBUG."""

from __future__ import annotations

import json
import logging
from typing import Any

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


def test_requests_of_the_platforms_own_pages_are_debug(
    api: Api, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    status = api.client.get("/login/").status_code
    api.client.cookies[settings.SESSION_COOKIE_NAME] = "a page's"
    api.client.get("/api/v1/nodes")
    api.get("nodes")
    page, call, program = [record for record in caplog.records if record.name == LOGGER]
    assert {page.levelno, call.levelno} == {logging.DEBUG}
    assert program.levelno == logging.INFO, "a key makes it a program's, whatever cookie it sends"
    assert f"path=/login/ status={status}" in page.getMessage()


def test_a_page_of_the_open_platform_needs_no_session_to_be_its_own(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    api.client.get("/api/v1/nodes", headers={"Sec-Fetch-Site": "same-origin"})
    api.client.get("/api/v1/nodes", headers={"Sec-Fetch-Site": "cross-site"})
    api.get("nodes", Sec_Fetch_Site="same-origin")
    levels = [record.levelno for record in caplog.records if record.name == LOGGER]
    assert levels == [logging.DEBUG, logging.INFO, logging.INFO]
