"""Every field of every event with other values: what the official client 1.0 ends is not valid, what it drops
or converts is a warning, and what it takes as it is, is valid.

`official_variants.json` has of each event and path a letter for each value of `variants`: E, the client ended
the run; W, it warned; Q, neither.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.events import validate
from tests.events.rules.samples import FULL
from tests.events.rules.variants import VALUES, sse, stream, variants
from tests.proxy.client import played
from tests.support.table import table

RECORDED: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "official_variants.json").read_bytes()
)
ROLE = ("REASONING_MESSAGE_START", ("role",), VALUES[0])
"""The one that is a warning here: the contract's cases of order (7.6) leave this role out."""


def recorded(kind: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(letter of the client, what was changed, event) each."""
    for path, number, event in variants(kind):
        letter = RECORDED[kind][".".join(map(str, path))][number]
        value = VALUES[number] if number < len(VALUES) else "a field beside it"
        yield letter, (kind, path, value), event


@table("kind", FULL, count=31)
def test_each_value_is_taken_as_by_the_client(kind: str) -> None:
    otherwise = []
    for letter, change, event in recorded(kind):
        found = validate(sse(stream(kind, event)))
        is_told = found.valid != (letter == "E") or change == ROLE
        if not is_told or (letter != "Q" and not found.findings):
            otherwise.append((letter, change, found.code))
    assert otherwise == []


@pytest.mark.exhaustive
def test_the_official_client_takes_each_value_so() -> None:
    given = [
        (letter, change, stream(kind, event)) for kind in FULL for letter, change, event in recorded(kind)
    ]
    bodies = [base64.b64encode(sse(events)).decode() for _, _, events in given]
    letters = asyncio.run(played(bodies))
    assert [
        (now, letter, change)
        for now, (letter, change, _) in zip(letters, given, strict=True)
        if now != letter
    ] == []
