"""Kinds of bugs that random worlds must find, since no world is directed at them: absent fields, late
repeats, turns that are not durable, older certificates, even clusters."""

from __future__ import annotations

from typing import Any

from simulator.mutants.doors import instead
from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Effects,
    EntryRecord,
    Host,
    Ordering,
    TurnLost,
    order_of_reasons,
    quorum,
    reasons,
)


@mutant("late-repeat-elsewhere-admits", "R13 R41", seed=163)
def late_repeat_admits(plant: Plant) -> None:
    """A scan that is repeated from another device, once its nonce is forgotten, lets a second guest in."""
    right = order_of_reasons._late_retry

    def wrong(asked: Any) -> Any:
        found = right(asked)
        return None if found == reasons.NONCE_REUSED else found

    instead(plant, "_late_retry", wrong)


@mutant("nameless-device-annuls", "R41", seed=18)
def nameless_annuls(plant: Plant) -> None:
    """A device without a name takes back what any device made."""
    right = order_of_reasons._annullable

    def wrong(asked: Any) -> Any:
        made = asked.visits.newest(asked.slug)
        if made is not None and not asked.device:
            asked.device = made.device
        return right(asked)

    instead(plant, "_annullable", wrong)


@replaces(Host, "_finish", "answers-before-durable", "R6 R8")
def answers_first(finish: Any, self: Host, effects: Effects, now: Any) -> None:
    """Clients are answered before the journal has the turn."""
    for reply in effects.reply:
        self.transport.reply(reply)
    effects.reply = []
    finish(self, effects, now)


@replaces(Ordering, "enter_prepared", "older-certificate-used", "R33 P4")
def older_used(right: Any, self: Ordering, slot: Any, digest: bytes) -> None:
    """A VIEW-CHANGE carries the oldest prepared certificate of a sequence, though its sender holds a later
    one."""
    certificates = self.state.log.certificates
    before = certificates.get(slot.sequence)
    right(self, slot, digest)
    if before is not None:
        certificates[slot.sequence] = before


@replaces(Host, "_finish", "rows-ahead-of-the-log", "R9 P20")
def rows_ahead(finish: Any, self: Host, effects: Effects, now: Any) -> None:
    """Rows are written as of entries that the log does not have yet."""
    entries = [each.entry for each in effects.persist if isinstance(each, EntryRecord)]
    if entries:
        newest = entries[-1]
        try:
            self.journal.materialise(self.application.changes(), newest.sequence, newest.timestamp)
        except Exception as error:
            raise TurnLost("state rows could not be written") from error
    finish(self, effects, now)


@replaces(quorum, "quorum", "half-of-an-even-cluster-decides", "R44 P1", seed=17)
def half_decides(right: Any, members: Any, mode: Any) -> Any:
    """Half of the members of an even Raft cluster decide."""
    return (members + 1) // 2 if mode is quorum.Mode.RAFT else right(members, mode)
