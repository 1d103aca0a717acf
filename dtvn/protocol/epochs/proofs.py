"""Proofs of the ends of epochs, as members send them to gateways and lagging nodes (R16, R35). Pure.

A host remembers the proofs in its ledger and answers the query `handovers`, whose argument is the first epoch
wanted. The answer is not trusted: the receiver verifies it (dtvn.proof.epoch_chain).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.effects import Record, StateRecord
from dtvn.protocol.consensus.messages import Answer, Query

EPOCH_CHANGES = "handovers"
"""Name of the query."""
PAGE = 64
"""Most EpochChangeProofs in one answer."""
PAGE_BYTES = 512 * 1024
"""Most bytes of EpochChangeProofs in one answer, which holds at least one: about 12 KB in the largest
cluster."""
ANSWER_LENGTH_MAX = 1024 * 1024
"""Most characters of an answer; a longer one is refused."""
PREFIX = epoch_change_proof.record_name(0)[:-1]


class EpochChangeProofs:
    """The ends of epochs in one ledger, as encoded `EpochChangeProof`s."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def note(self, records: Iterable[Record]) -> None:
        """Remember the epoch change proofs among durable records. Those that q members have not sealed yet
        are left out: they prove nothing."""
        for record in records:
            if type(record) is StateRecord and record.name.startswith(PREFIX) and _sealed(record):
                self._kept[record.name] = record.value

    def find(self, epoch: int) -> bytes:
        """The proof of the end of an epoch; b"" if this ledger does not hold it."""
        return self._kept.get(epoch_change_proof.record_name(epoch), b"")

    def answer(self, query: Query) -> Answer:
        """One page of proofs from the requested epoch on, up to the first that this ledger does not hold."""
        first = query.arguments[0] if len(query.arguments) == 1 else ""
        if not (first.isascii() and first.isdigit() and len(first) <= 9):
            return Answer(query.number, "bad_arguments", "")
        page: list[str] = []
        room = PAGE_BYTES
        for epoch in range(int(first), int(first) + PAGE):
            value = self._kept.get(epoch_change_proof.record_name(epoch))
            if value is None or (page and len(value) > room):
                break
            room -= len(value)
            page.append(base64.b64encode(value).decode("ascii"))
        return Answer(query.number, "", msgspec.json.encode(page).decode())


def _sealed(record: StateRecord) -> bool:
    return bool(canonical.decode(epoch_change_proof.EpochChangeProof, record.value).checkpoint)


def read_answer(text: str) -> list[bytes]:
    """The encoded `EpochChangeProof`s in an answer; raise ValueError if it does not decode."""
    if len(text) > ANSWER_LENGTH_MAX:
        raise ValueError(f"an answer of {len(text)} characters")
    try:
        told = msgspec.json.decode(text, type=list[str])
        return [base64.b64decode(each, validate=True) for each in told[:PAGE]]
    except (msgspec.MsgspecError, binascii.Error, RecursionError) as error:
        raise ValueError(str(error)) from error
