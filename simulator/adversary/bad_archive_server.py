"""Answers members that fetch the log below their state with false entries, fewer, or none (R23)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, decode_envelope, link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.network import kind_of_frame
from simulator.node import Node

Page = tuple[m.Entry, bytes, tuple[bytes, ...]]
Requests = Callable[[Envelope], Envelope]


def _other_time(page: Page) -> Page:
    entry, body, commits = page
    return msgspec.structs.replace(entry, timestamp=entry.timestamp + 1), body, commits


def _other_batch(page: Page) -> Page:
    entry, _body, commits = page
    return entry, canonical.encode(m.Batch(0, entry.timestamp, ())), commits


def _no_batch(page: Page) -> Page:
    return page[0], b"", page[2]


def _requests(change: Requests) -> Callable[[Page], Page]:
    """Alters what the digest of a batch does not cover."""

    def lie(page: Page) -> Page:
        entry, body, commits = page
        if not body:
            return page
        batch = canonical.decode(m.Batch, body)
        frames = tuple(canonical.encode(change(decode_envelope(frame)[0])) for frame in batch.requests)
        return entry, canonical.encode(msgspec.structs.replace(batch, requests=frames)), commits

    return lie


PAGE_LIES: dict[str, Callable[[Page], Page]] = {
    "another time": _other_time,
    "another batch": _other_batch,
    "no batch": _no_batch,
    "no signature": _requests(lambda request: msgspec.structs.replace(request, signature=b"")),
    "an attachment": _requests(lambda request: msgspec.structs.replace(request, attachment=bytes(100))),
}
"""What it alters in one entry of a range."""
HARMLESS = {"other signatures": _requests(lambda each: msgspec.structs.replace(each, signature=bytes(64)))}
"""What is taken, since nothing reads it (decision 0290)."""
ARCHIVE_LIES = (*PAGE_LIES, *HARMLESS, "a hole", "nothing")


class BadArchiveServer(Liar):
    """`lie`: one of ARCHIVE_LIES, another one in each answer if empty."""

    def __init__(self, cluster: Cluster, node: Node, dice: Dice, lie: str = "") -> None:
        super().__init__(cluster, node, dice)
        self.lie = lie
        self.told = 0
        """Number of lies so far."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See node.SendHook."""
        if kind_of_frame(frame) is not m.Entries or receiver not in self.others():
            return ((receiver, frame),)
        message = canonical.decode(m.Entries, canonical.decode(Envelope, frame).body)
        if message.checkpoint or any(commits for _entry, _body, commits in message.entries):
            return ((receiver, frame),)  # no answer to an archive
        self.told += 1
        lie = self.lie or self.dice.pick(ARCHIVE_LIES)
        if lie == "nothing":
            return ()
        pages = list(message.entries)
        place = self.dice.below(len(pages))
        if lie == "a hole":
            del pages[place]
        else:
            pages[place] = (PAGE_LIES | HARMLESS)[lie](pages[place])
        return ((receiver, link_frame(m.Entries(tuple(pages), ()))),)
