"""Which ticket an outcome is about: an admission by code names none, the state of its outcome does."""

from __future__ import annotations

import msgspec

from dtvn.machine.commands import code_of
from dtvn.machine.kinds import CODED, KINDS
from dtvn.machine.ticket import ANSWERED_HEADS, read_head
from dtvn.protocol.consensus.messages import Operation


def ticket_of(operation: Operation, state: bytes) -> str:
    """The id of the ticket that an outcome is about; `state`: its `Outcome.state`, b"" if it is not known.

    "" for an admission by code without a state: what such an operation may name as its ticket is the text
    that was scanned.
    """
    if state.startswith(ANSWERED_HEADS):
        return read_head(state).ticket
    if operation.ticket and operation.kind in CODED and _is_by_code(operation):
        return ""
    return operation.ticket


def _is_by_code(operation: Operation) -> bool:
    try:
        return bool(code_of(_decoders[operation.kind].decode(operation.payload)))
    except msgspec.MsgspecError:  # it was refused as malformed
        return False


_decoders = {kind: msgspec.msgpack.Decoder(KINDS[kind].command) for kind in CODED}
