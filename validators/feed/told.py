"""What is added to an event: from the state of an outcome, the fields of the forms that came with codes,
which an event of an earlier form has none of; and where it was asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from dtvn.api.outcome import told_fields
from dtvn.machine import ANSWERED_HEADS, NAMES, REASONS, AnsweredState, ListedState, read_state
from dtvn.machine.commands import read as read_command
from dtvn.machine.kinds import KINDS, NAMING
from dtvn.machine.movements import EXIT
from dtvn.machine.reasons import MALFORMED, OK, UNKNOWN_EVENT
from validators.ledger.event_zones import zone_of
from validators.ledger.models import OperationRecord
from validators.ledger.proofs import outcome_states
from validators.ledger.read import event_row, operations_at

GATED = frozenset(name for name, kind in KINDS.items() if "gate" in kind.command.__struct_fields__)
"""Kinds that say at which gate."""


def asked_at(using: str, records: Sequence[OperationRecord]) -> dict[int, dict[str, str]]:
    """Number of a record -> `gate` and `device` that asked for it, `list` and `kind` (exit), if set: the
    state of a refusal tells those of the entry before."""
    about = [record for record in records if record.operation in GATED and record.code != MALFORMED]
    operations = operations_at(using, (record.sequence for record in about))
    found: dict[int, dict[str, str]] = {}
    for record in about:
        if (operation := operations.get(record.pk)) is None:
            continue
        command = read_command(operation.kind, operation.payload)
        given = {name: getattr(command, name, "") for name in ("gate", "device", "list")}
        if getattr(command, "kind", "") == EXIT:
            given["kind"] = EXIT
        if asked := {name: value for name, value in given.items() if value}:
            found[record.pk] = asked
    return found


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
