"""The history of one ticket: what was asked, on which list, at which gate, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.machine import Annul, Force
from dtvn.machine.commands import read as read_command
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.movements import ANNUL, CONSUME, ENTRY, EXIT, FORCE, Movement
from dtvn.machine.reasons import OK
from dtvn.machine.rows import TicketRow
from dtvn.protocol.consensus.messages import Operation
from tickets.pages.ticket_facts import event_time
from tickets.services import list_counts, lists
from validators.dashboard.context import WORDS, callers
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed.told import asked_at
from validators.ledger import read
from validators.ledger.models import OperationRecord

VERBS = WORDS["verbs"]
LEFT = "left"
MOVES = {"admit": ENTRY, "consume": CONSUME, "force": FORCE, "annul": ANNUL}
"""Kind of an operation on a list -> kind of its movement, an exit apart."""


def history(row: TicketRow, records: Sequence[OperationRecord]) -> list[dict[str, Any]]:
    """These operations on a ticket, which stands so now, as its page shows them."""
    event = read.event_row(LEARNER_ALIAS, row.event)
    known = list_counts.lists_of(event)
    verdicts = read.verdicts(LEARNER_ALIAS, records)
    asked = asked_at(LEARNER_ALIAS, records)
    operations = read.operations_at(LEARNER_ALIAS, (record.sequence for record in records))
    taken_back = {_mark(one) for one in row.movements if not one.stands and one.kind != ANNUL}
    named = callers()
    found = []
    for record in records:
        place, operation = asked.get(record.pk, {}), operations.get(record.pk)
        slug = place.get("list", "")
        moves = record.operation in MOVES
        kind = EXIT if place.get("kind") == EXIT else MOVES.get(record.operation, "")
        nonce = operation.nonce if operation is not None else b""
        mark = (slug or MAIN_SLUG, kind, record.timestamp, nonce, record.principal, record.actor)
        found.append(
            {
                "at": f"{record.sequence}.{record.batch_index}",
                "time": event_time(event, record.timestamp),
                "operation": verdicts.get(record.pk, "") or record.operation,
                "word": _word(record, place, verdicts.get(record.pk, "")),
                "code": record.shown_code,
                "entry": record.entry,
                "actor": named.get(record.actor) or record.actor.removeprefix("user:"),
                "list": (slug or MAIN_SLUG) if moves else "",
                "list_name": lists.name_of(known.get(slug or MAIN_SLUG), slug or MAIN_SLUG) if moves else "",
                "gate": place.get("gate", ""),
                "device": place.get("device", ""),
                "reason": _reason(operation),
                "annulled": record.code == OK and mark in taken_back,
            }
        )
    return found


def _mark(movement: Movement) -> tuple[str, str, int, bytes, str, str]:
    """By which an operation is recognised as the one that made it."""
    made = movement.nonce, movement.principal, movement.actor
    return (movement.list, movement.kind, movement.at, *made)


def _word(record: OperationRecord, place: dict[str, str], verdict: str) -> str:
    """What was done; of a refusal, what was asked."""
    exits = place.get("kind") == EXIT
    if record.code != OK:
        return EXIT if exits else record.operation.replace("_", " ")
    return LEFT if exits else VERBS.get(verdict or record.operation) or record.operation.replace("_", " ")


def _reason(operation: Operation | None) -> str:
    """That a person gave for a forced entry or an annulment."""
    if operation is None or operation.kind not in ("force", "annul"):
        return ""
    command = read_command(operation.kind, operation.payload)
    return command.reason if isinstance(command, Force | Annul) else ""
