"""Where a person overruled a list: forced entries, and entries and exits that were taken back (D11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec
from django.db.models import QuerySet

from dtvn.machine import Annul, Force, read_state
from dtvn.machine.commands import read as read_command
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.movements import ENTRY, EXIT
from dtvn.machine.reasons import OK
from dtvn.protocol.consensus.messages import Operation
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.ledger.proofs import outcome_states

KINDS = ("force", "annul")
MOVING = ("admit", "consume", "import_entry", *KINDS)
"""Kinds that make an entry or an exit, or take one back."""
AT_ONCE = 500


class Intervention(msgspec.Struct, frozen=True):
    """One forced entry or annulment, as it was ordered."""

    record: OperationRecord
    """Ticket, event, kind, time, principal and actor."""
    list: str
    gate: str
    """Where it was forced; of an annulment where the movement was made, or, if the copy does not hold it,
    where it was taken back."""
    device: str
    """That of the movement."""
    reason: str
    """ "" for an annulment within 15 minutes by who made the movement."""
    supervised: bool
    """Whether it needed the scope `supervise`."""
    taken: str
    """What an annulment took back: entry or exit; "" for a forced entry, or if the copy does not hold it."""


def newest(event: str, limit: int) -> tuple[list[Intervention], bool]:
    """At most `limit` of an event, the newest first, and whether there are older ones."""
    found: list[Intervention] = []
    records = _records(event).order_by("-id")
    last: int | None = None
    while len(found) <= limit:
        page = list((records if last is None else records.filter(id__lt=last))[:AT_ONCE])
        found += _read(page)
        if len(page) < AT_ONCE:
            break
        last = page[-1].pk
    return found[:limit], len(found) > limit


def pages(event: str | None) -> Iterator[list[Intervention]]:
    """All of one event, or of all (None), in the order of the log."""
    last = -1
    while True:
        page = list(_records(event).filter(id__gt=last).order_by("id")[:AT_ONCE])
        if page:
            yield _read(page)
        if len(page) < AT_ONCE:
            return
        last = page[-1].pk


def _records(event: str | None) -> QuerySet[OperationRecord]:
    records = OperationRecord.objects.using(LEARNER_ALIAS).filter(operation__in=KINDS, code=OK)
    return records if event is None else records.filter(event=event)


def _read(records: Sequence[OperationRecord]) -> list[Intervention]:
    """Those of the records that did something: a repetition under its nonce may be ordered again (R13)."""
    done = _done(records)
    taken = _taken_by([record for record, _ in done if record.operation == "annul"])
    found = []
    for record, operation in done:
        command = read_command(operation.kind, operation.payload)
        if isinstance(command, Force | Annul):
            what, gate = taken.get(record.pk, ("", command.gate))
            found.append(
                Intervention(
                    record,
                    command.list or MAIN_SLUG,
                    gate,
                    command.device,
                    command.reason,
                    isinstance(command, Force) or command.supervised,
                    what,
                )
            )
    return found


def _done(records: Sequence[OperationRecord]) -> list[tuple[OperationRecord, Operation]]:
    """The records that changed their ticket, each with what was signed."""
    sequences = [record.sequence for record in records]
    states = outcome_states(LEARNER_ALIAS, sequences)
    operations = read.operations_at(LEARNER_ALIAS, sequences)
    found = []
    for record in records:
        state = read_state(states.get(record.pk, b""))
        operation = operations.get(record.pk)
        here = (record.sequence, record.batch_index)
        if operation is not None and state is not None and (state.sequence, state.index) == here:
            found.append((record, operation))
    return found


def _taken_by(annulments: Sequence[OperationRecord]) -> dict[int, tuple[str, str]]:
    """Number of an annulment -> what it took back, and the gate where that was made: the newest movement of
    the ticket on the list that stood (R41), from all that the log has of these tickets."""
    tickets = defaultdict(set)
    for record in annulments:
        tickets[record.event].add(record.ticket_id)
    found: dict[int, tuple[str, str]] = {}
    for event, ids in tickets.items():
        moves = OperationRecord.objects.using(LEARNER_ALIAS).filter(
            event=event, ticket_id__in=ids, operation__in=MOVING, code=OK
        )
        standing: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for record, operation in _done(list(moves.order_by("id"))):
            command = read_command(operation.kind, operation.payload)
            stands = standing[record.ticket_id, getattr(command, "list", "") or MAIN_SLUG]
            if not isinstance(command, Annul):
                kind = EXIT if getattr(command, "kind", "") == EXIT else ENTRY
                stands.append((kind, getattr(command, "gate", "")))
            elif stands:
                found[record.pk] = stands.pop()
    return found
