"""Filling the log below an installed state: R23, P17."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import ArchiveRepair, Door, EntryRecord, archive, canonical, m


@replaces(ArchiveRepair, "_checked", "fills-without-the-chain", "R23 P17", world="poisoned-archives")
def without_the_chain(_right: Any, self: ArchiveRepair, message: m.Entries, gap: Any) -> list[EntryRecord]:
    """The entries below a state are written as they come."""
    return [EntryRecord(entry, m.entry_hash(entry), body, ()) for entry, body, _ in message.entries]


@replaces(Door, "digest_of", "fills-any-form-of-a-request", "R23 P17", world="misshapen-archives", seed=1)
def any_form(_right: Any, self: Door, body: bytes) -> bytes:
    """A request in a fetched batch may have a form that others refuse: no signature, an attachment."""
    batch = canonical.decode(m.Batch, body)
    digests = tuple(m.bundle_digest(self._decode(frame)[0].body) for frame in batch.requests)
    return m.batch_digest(batch.origin_view, batch.proposed, digests)


@replaces(ArchiveRepair, "begin", "log-below-a-state-stays-missing", "R23", world="bad-archive-server")
def never(*_arguments: Any) -> None:
    """Who took a state never fetches the log below it."""


@replaces(ArchiveRepair, "_write", "fills-one-hole", "R23", world="bad-archive-server")
def one_hole(right: Any, self: ArchiveRepair, now: int) -> None:
    """Once one hole is filled, none is looked for below it."""
    right(self, now)
    if self._gap is None:
        self._below = 0


@replaces(ArchiveRepair, "_failed", "waits-for-one-archive", "R23 P17", world="archives-of-newcomers")
def waits_for_one(_right: Any, self: ArchiveRepair, now: int) -> None:
    """A member that does not answer is asked again, and no other."""
    self._asked, self._at = None, now + archive.EVERY
