"""Followers that get the log from relays: who is linked to whom, and relays that lie (R45).

A relay is a learner that serves its log, and so is every follower here; what makes one a relay is that others
are linked to it. Relays are linked to the members, or, if they loop, to each other only; followers to two
relays and one member; when the faults end, all to all members, as the overlay does for a follower that sees
that its relays show old logs. A lying relay is an honest learner inside, like every liar; what it sends to
followers differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope, link_frame
from simulator.clock import SECOND
from simulator.dice import Dice
from simulator.names import RELAY_LIES
from simulator.network import kind_of_frame

RELAY = "relay"
FOLLOWER = "follower"
STALE_AFTER = 2 * SECOND
"""World time from which a stale relay shows its log as it was."""
OLD_AFTER = 4 * STALE_AFTER
"""The same of one that passes on old heads: by then its followers have the log, however few entries there
are."""


class Linked(Protocol):
    """The settings that say who is linked to whom (world.Settings)."""

    @property
    def members(self) -> int: ...
    @property
    def relays(self) -> int: ...
    @property
    def followers(self) -> int: ...
    @property
    def relay_lies(self) -> str: ...


class Sender(Protocol):
    """A node, as its hook needs it."""

    name: str


def names(settings: Linked) -> list[str]:
    """All relays and followers."""
    relays = [f"{RELAY}-{number}" for number in range(settings.relays)]
    return relays + [f"{FOLLOWER}-{number}" for number in range(settings.followers)]


def links_of(name: str, settings: Linked) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(indexes of the members, names of the relays) to which a relay or follower is linked."""
    kind, _, number = name.rpartition("-")
    place, relays = int(number), settings.relays
    if kind == RELAY:
        if settings.relay_lies == "loop" and place < 2:
            return (), (f"{RELAY}-{1 - place}",)
        return tuple(range(settings.members)), ()
    upward = tuple(f"{RELAY}-{(place + step) % relays}" for step in range(min(2, relays)))
    if settings.relay_lies in ("one head", "old heads", "heads only"):
        return (), upward[:1]
    return (place % settings.members,), upward


def lies(name: str, settings: Linked) -> bool:
    """Whether a node is a relay that lies. Relays in a loop are honest."""
    return settings.relay_lies in RELAY_LIES and settings.relay_lies != "loop" and name == f"{RELAY}-0"


class LyingRelay:
    """A hook (node.SendHook) of a relay that lies in one way to its followers."""

    def __init__(self, way: str, members: Iterable[str], dice: Dice, clock: Any) -> None:
        self._way = way
        self._members = frozenset(members)
        self._dice = dice
        self._clock = clock
        self._kept: bytes = b""
        self._shown = 0
        """How far the log reaches that its followers got."""

    def on_send(self, node: Sender, receiver: str, frame: bytes) -> Iterable[tuple[str, bytes]]:
        """See node.SendHook."""
        kind = kind_of_frame(frame)
        if receiver in self._members or kind not in (m.Entries, m.Announce, m.Snapshot, m.Groups):
            return ((receiver, frame),)
        lie = getattr(self, f"_{self._way.replace(' ', '_')}")
        found: Iterable[tuple[str, bytes]] = lie(receiver, kind, frame)
        return found

    def _stale(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It shows its log as it was: no entry, no head since, but the announcement of then again."""
        if self._clock.time < STALE_AFTER:
            if kind is m.Announce:
                self._kept = frame
            return ((receiver, frame),)
        return ((receiver, self._kept),) if kind is m.Announce and self._kept else ()

    def _withhold(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It announces more than there is, and brings one entry in a while to seem alive."""
        if kind is m.Announce:
            said = _message(frame)
            return ((receiver, link_frame(msgspec.structs.replace(said, executed=said.executed + 50))),)
        if kind is m.Entries and self._dice.hit(0.1):
            said = _message(frame)
            return ((receiver, link_frame(m.Entries(said.entries[:1], ()))),)
        return ()

    def _lie(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It shows other batches without COMMITs, forged certificates, and states that nobody signed."""
        said = _message(frame)
        if kind is m.Entries:
            said = self._other_entries(said)
        elif kind is m.Announce:
            said = m.Announce(said.epoch, 1 << 40, said.heads)
        elif kind is m.Snapshot:
            said = msgspec.structs.replace(said, checkpoint=said.checkpoint[:1])
        return ((receiver, link_frame(said)),)

    def _false_states(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It shows the manifest of a proved state, and groups that lack an item."""
        said = _message(frame)
        if kind is m.Groups and said.groups:
            number, items = said.groups[0]
            said = m.Groups(said.sequence, ((number, items[:-1]), *said.groups[1:]))
            return ((receiver, link_frame(said)),)
        return ((receiver, frame),)

    def _other_entries(self, said: m.Entries) -> m.Entries:
        pages = []
        for entry, _body, _commits in said.entries:
            batch = m.Batch(0, entry.timestamp, ())
            digest = m.batch_digest(0, entry.timestamp, ())
            other = msgspec.structs.replace(entry, batch_digest=digest)
            pages.append((other, canonical.encode(batch), ()))
        return m.Entries(tuple(pages), said.checkpoint[:1])

    def _one_head(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It brings no entry any more, and of the heads only those of one member, a liar."""
        if self._clock.time < STALE_AFTER:
            return ((receiver, frame),)
        if kind is not m.Announce:
            return ()
        said = _message(frame)
        heads = tuple(head for head in said.heads if _message(head).sender == 0)
        return ((receiver, link_frame(m.Announce(said.epoch, 1, heads))),)

    def _old_heads(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It brings no entry any more, and of the heads only those that name entries which it brought."""
        if kind is not m.Announce:
            return ((receiver, frame),) if self._clock.time < OLD_AFTER else ()
        said = _message(frame)
        if self._clock.time < OLD_AFTER:
            self._shown = max(self._shown, said.executed)
            return ((receiver, frame),)
        heads = tuple(head for head in said.heads if _message(head).sequence <= self._shown)
        return ((receiver, link_frame(m.Announce(said.epoch, 1, heads))),)

    def _heads_only(self, receiver: str, kind: type[Any], frame: bytes) -> Iterable[tuple[str, bytes]]:
        """It brings no entry any more, but all heads."""
        return () if self._clock.time >= STALE_AFTER and kind is not m.Announce else ((receiver, frame),)


def _message(frame: bytes) -> Any:
    return canonical.decode(m.KINDS[frame[1]], canonical.decode(Envelope, frame).body)
