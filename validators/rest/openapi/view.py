"""GET /api/v1/openapi.json."""

from __future__ import annotations

from functools import cache

import msgspec

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from validators.rest.openapi.document import document


@cache
def text() -> bytes:
    """The document with the same bytes as docs/openapi.json."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def show_document(call: Call) -> Answer:
    """This document."""
    return Answer(text())
