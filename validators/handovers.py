"""What proves the ends of epochs, as members show it to gateways and to nodes that lag (R16, R35). Pure.

A host remembers what its ledger holds of them and answers the question `handovers`, whose argument is the
first epoch wanted. Nothing in an answer is believed: whoever asked verifies it (tickets.proof.handover).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import msgspec

from validators import canonical
from validators.consensus import handover
from validators.consensus.effects import Record, StateRecord
from validators.consensus.messages import Answer, Query

__all__ = ["ANSWER_LENGTH_MAX", "HANDOVERS", "HandOvers", "read_answer"]

HANDOVERS = "handovers"
"""The question."""
PAGE = 64
"""Ends of epochs in one answer ..."""
PAGE_BYTES = 512 * 1024
"""... as long as they fit this; at least one, which has about 12 KB in the largest cluster."""
ANSWER_LENGTH_MAX = 1024 * 1024
"""Characters of an answer that is read."""
PREFIX = handover.record_name(0)[:-1]


class HandOvers:
    """The ends of epochs in one ledger, as encoded `HandOver`s."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def note(self, records: Iterable[Record]) -> None:
        """Records that are durable. What q members have not sealed yet proves nothing to anybody."""
        for record in records:
            if type(record) is StateRecord and record.name.startswith(PREFIX) and _sealed(record):
                self._kept[record.name] = record.value

    def find(self, epoch: int) -> bytes:
        """What proves the end of an epoch; b"" where this ledger does not hold it."""
        return self._kept.get(handover.record_name(epoch), b"")

    def answer(self, query: Query) -> Answer:
        """One page from the epoch that is asked for; epochs that this ledger does not hold end it."""
        first = query.arguments[0] if len(query.arguments) == 1 else ""
        if not (first.isascii() and first.isdigit() and len(first) <= 9):
            return Answer(query.number, "bad_arguments", "")
        page: list[str] = []
        room = PAGE_BYTES
        for epoch in range(int(first), int(first) + PAGE):
            value = self._kept.get(handover.record_name(epoch))
            if value is None or (page and len(value) > room):
                break
            room -= len(value)
            page.append(base64.b64encode(value).decode("ascii"))
        return Answer(query.number, "", msgspec.json.encode(page).decode())


def _sealed(record: StateRecord) -> bool:
    return bool(canonical.decode(handover.HandOver, record.value).checkpoint)


def read_answer(text: str) -> list[bytes]:
    """The encoded `HandOver`s in an answer; raise ValueError when it is none."""
    if len(text) > ANSWER_LENGTH_MAX:
        raise ValueError(f"an answer of {len(text)} characters")
    try:
        told = msgspec.json.decode(text, type=list[str])
        return [base64.b64decode(each, validate=True) for each in told[:PAGE]]
    except (msgspec.MsgspecError, binascii.Error, RecursionError) as error:
        raise ValueError(str(error)) from error
