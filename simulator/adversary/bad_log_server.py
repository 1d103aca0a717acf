"""Answers members that fetch the log with altered pages: missing COMMITs, other bodies, invented entries
under true COMMITs, gaps, stale proofs (P17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

SHARE = 0.7


class BadLogServer(Liar):
    """Serves learners and members that lag; most of its pages contain an error. `forger`: it alters only what
    COMMITs do not cover, the results (COMMITs bind the batch alone)."""

    forger = False

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        kind = kind_of_frame(frame)
        doctor = self._doctors().get(kind) if kind is not None else None
        if doctor is None or not self.dice.hit(SHARE):
            return ((receiver, frame),)
        message = canonical.decode(m.KINDS[frame[1]], canonical.decode(Envelope, frame).body)
        return ((receiver, link_frame(doctor(message))),)

    def _doctors(self) -> dict[type[Any], Callable[[Any], Any]]:
        return {m.Entries: self._entries, m.SupplyBatch: self._batch, m.SupplyFrames: self._frames}

    def _entries(self, message: m.Entries) -> m.Entries:
        dice = self.dice
        pages = list(message.entries)
        if not pages:
            return message
        place = dice.below(len(pages))
        entry, body, commits = pages[place]
        match 2 if self.forger else dice.below(11):
            case 7 | 8:
                return m.Entries(entries=tuple(pages[:1]), checkpoint=())
            case 0:
                pages[place] = (entry, body, commits[:-1])
            case 1:
                pages[place] = (entry, body, commits[:1] * len(commits))
            case 2:
                pages[place] = (msgspec.structs.replace(entry, results_root=dice.bytes(32)), body, commits)
            case 3:
                pages[place] = (msgspec.structs.replace(entry, timestamp=entry.timestamp + 1), body, commits)
            case 4:
                del pages[place]
            case 9 | 10:
                pages[place] = self._invented(entry, commits)
            case 5:
                pages[place] = (entry, pages[dice.below(len(pages))][1], commits)
            case _:
                return m.Entries(entries=tuple(pages), checkpoint=message.checkpoint[:-1])
        return m.Entries(entries=tuple(pages), checkpoint=message.checkpoint)

    def _invented(
        self, entry: m.Entry, commits: tuple[bytes, ...]
    ) -> tuple[m.Entry, bytes, tuple[bytes, ...]]:
        """Another batch, or none, with its own digest, under the COMMITs of the true one."""
        if self.dice.hit(0.5):
            return msgspec.structs.replace(entry, batch_digest=m.NULL_BATCH_DIGEST), b"", commits
        batch = m.Batch(origin_view=0, proposed=entry.timestamp, requests=())
        digest = m.batch_digest(batch.origin_view, batch.proposed, ())
        return msgspec.structs.replace(entry, batch_digest=digest), canonical.encode(batch), commits

    def _batch(self, message: m.SupplyBatch) -> m.SupplyBatch:
        batch = canonical.decode(m.Batch, message.body)
        if self.dice.hit(0.5):
            other = msgspec.structs.replace(batch, proposed=batch.proposed + 1)
        else:
            other = msgspec.structs.replace(batch, requests=batch.requests * 2)
        return m.SupplyBatch(body=canonical.encode(other))

    def _frames(self, message: m.SupplyFrames) -> m.SupplyFrames:
        frames = self.dice.sample(message.frames, self.dice.below(len(message.frames) + 1))
        return m.SupplyFrames(frames=tuple(frames))
