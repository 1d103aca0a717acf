"""What the state of an outcome adds to its event: the fields of the forms that came with codes.

An event of an earlier form has none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from dtvn.api.outcome import told_fields
from dtvn.machine import ANSWERED_HEADS, NAMES, REASONS, AnsweredState, ListedState, read_state
from dtvn.machine.kinds import NAMING
from dtvn.machine.reasons import OK, UNKNOWN_EVENT
from validators.ledger.event_zones import zone_of
from validators.ledger.models import OperationRecord
from validators.ledger.proofs import outcome_states
from validators.ledger.read import event_row


def told(
    using: str, records: Sequence[OperationRecord], first: Collection[int] = ()
) -> dict[int, dict[str, Any]]:
    """Number of a record -> these fields of its event; without those that have none. A refusal says whose
    matter it is: of these forms, and of an admission by code (no other operation on a ticket names none).
    `first`: records that admitted their ticket for the first time; others whose state says that they changed
    it are no repetitions, but the ticket moves `again`."""
    about = [record for record in records if record.operation in NAMING]
    states = outcome_states(using, {record.sequence for record in about})
    answers = {
        record.pk: read
        for record in about
        if (state := states.get(record.pk, b"")).startswith(ANSWERED_HEADS)
        and isinstance(read := read_state(state), AnsweredState)
    }
    zones = {event: zone_of(event_row(using, event)) for event in {one.event for one in answers.values()}}
    found: dict[int, dict[str, Any]] = {}
    for record in about:
        answer = answers.get(record.pk)
        fields = {} if answer is None else msgspec.to_builtins(told_fields(answer, zones[answer.event]))
        if record.code == OK:
            fields |= {} if answer is None else {"state": NAMES[answer.state]}
            if answer is not None and record.pk not in first and _moved(record, answer):
                fields |= {"repeated": False, "again": True}
        elif answer is not None or not record.ticket_id or record.code == UNKNOWN_EVENT:
            fields["whose"] = REASONS[record.code].whose
        if fields:
            found[record.pk] = fields
    return found


def _moved(record: OperationRecord, answer: AnsweredState) -> bool:
    """Whether this operation is one more entry or exit of a ticket, not the repetition of one."""
    place = answer.sequence, answer.index
    return isinstance(answer, ListedState) and place == (record.sequence, record.batch_index)
