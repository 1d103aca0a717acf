"""Log lines as JSON: of a node, of a request with its nonce and sequence, of a node in a worker's slot."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dtvn.node.api_channel import Answered
from dtvn.node.json_lines import JsonLines
from dtvn.node.request_log import RequestLog, nonce_text
from validators.processes import node_task

LOGGER = logging.getLogger("test.json_lines")


class Kept(logging.Handler):
    """Keeps the formatted lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    handler.setFormatter(JsonLines())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield handler
    LOGGER.removeHandler(handler)


def test_a_requests_line_has_its_nonce_and_sequence_as_members(kept: Kept) -> None:
    told = Answered("POST", "/x", 200, 0.01234, "/x", nonce=nonce_text(b"a\xff\nb"), sequence=7)
    RequestLog(LOGGER).answered([told, Answered("GET", "/y", 200, 0.5, "/y")])
    first, second = kept.lines
    assert (first["nonce"], first["sequence"], first["status"]) == ("a\\xff\nb", 7, 200)
    assert first["message"] == (
        'request method=POST path=/x status=200 ms=12.3 nonce="a\\\\xff\\nb" sequence=7'
    )
    assert not {"nonce", "sequence"} & second.keys()


def test_fields_of_a_record_replace_no_member_of_its_line(kept: Kept) -> None:
    LOGGER.warning("said", extra={"fields": {"level": "none", "count": 2}})
    [line] = kept.lines
    assert (line["level"], line["message"], line["count"]) == ("warning", "said", 2)
    assert line["time"].endswith("Z")


def test_an_exception_is_one_line_with_its_traceback(kept: Kept) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        LOGGER.error("failed", exc_info=sys.exc_info())
    assert "ValueError: broken" in kept.lines[0]["traceback"]


@pytest.mark.parametrize("as_json", [False, True])
def test_lines_of_a_worker_slot_name_their_node(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(message)s"))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    node_task.name_log_lines("node0")
    text = handler.format(logging.LogRecord("a", logging.INFO, "", 0, "said", None, None))
    assert (json.loads(text)["node"] if as_json else text) == ("node0" if as_json else "node0: INFO a: said")
