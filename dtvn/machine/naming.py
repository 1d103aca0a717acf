"""Which ticket an outcome is about: an admission by code names none, the state of its outcome does."""

from __future__ import annotations

import msgspec

from dtvn.machine.kinds import KIND_OF
from dtvn.machine.kinds.admit import Admit
from dtvn.machine.ticket import ANSWERED_HEAD, read_head
from dtvn.protocol.consensus.messages import Operation

_read_admit = msgspec.msgpack.Decoder(Admit).decode


def ticket_of(operation: Operation, state: bytes) -> str:
    """The id of the ticket that an outcome is about; `state`: its `Outcome.state`, b"" if it is not known.

    "" for an admission by code without a state: what such an operation may name as its ticket is the text
    that was scanned.
    """
    if state.startswith(ANSWERED_HEAD):
        return read_head(state).ticket
    if operation.ticket and operation.kind == KIND_OF[Admit] and _is_by_code(operation.payload):
        return ""
    return operation.ticket


def _is_by_code(payload: bytes) -> bool:
    try:
        return bool(_read_admit(payload).code)
    except msgspec.MsgspecError:  # it was refused as malformed
        return False
