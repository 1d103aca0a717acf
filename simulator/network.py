"""The virtual network: when, how often and whether a frame arrives. It never alters a frame.

Endpoints are names. A frame's kind is read from its envelope, so rules can be written as
`network.when(kind=Checkpoint, sender="r0").drop(0.3)`. Links keep their order, as TCP does, except for the
share given by `reorder`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import KINDS
from dtvn.protocol.wire import Envelope
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice


def kind_of_frame(frame: bytes) -> type[Any] | None:
    """Message type of an encoded envelope (its second byte); None if that byte names no type."""
    return KINDS.get(frame[1]) if len(frame) > 1 else None


def field_of_frame(kind: type[Any] | None, frame: bytes, name: str) -> Any:
    """A field of a message; None for messages without it."""
    if kind is None:
        return None
    return getattr(canonical.decode(kind, canonical.decode(Envelope, frame).body), name, None)


BUFFERED = SECOND
"""Nanoseconds that a frame waits at a narrow link at most: what comes then finds its buffer full."""


class LinkQuality(msgspec.Struct, frozen=True):
    """Behaviour of all links. Times in nanoseconds, shares between 0 and 1."""

    latency_min: int = MILLISECOND // 5
    latency_max: int = MILLISECOND
    slow_share: float = 0.0
    """Share of the frames that take up to `slow_max` instead."""
    slow_max: int = 200 * MILLISECOND
    loss: float = 0.0
    duplication: float = 0.0
    reorder: float = 0.0


PERFECT = LinkQuality(latency_min=MILLISECOND, latency_max=MILLISECOND)
"""Every frame takes a millisecond: for golden scenarios."""


class Rule:
    """Treatment of frames that match; made by `Network.when`. The newest matching rule applies."""

    def __init__(
        self,
        kind: type[Any] | None,
        sender: str | None,
        receiver: str | None,
        view: int | None,
        filled: str = "",
    ) -> None:
        self.kind = kind
        self.view = view
        self.filled = filled
        self.sender = sender
        self.receiver = receiver
        self.times: int | None = None
        self.loss = 0.0
        self.extra_delay = 0
        self.copies = 0
        self.matched = 0

    def drop(self, share: float = 1.0, *, times: int | None = None) -> Rule:
        """Lose this share of matching frames, only of the first `times` (None: of all)."""
        self.loss, self.times = share, times
        return self

    def delay(self, nanoseconds: int, *, times: int | None = None) -> Rule:
        """Let matching frames take longer."""
        self.extra_delay, self.times = nanoseconds, times
        return self

    def duplicate(self, copies: int = 1, *, times: int | None = None) -> Rule:
        """Deliver matching frames again, `copies` times."""
        self.copies, self.times = copies, times
        return self

    def matches(self, sender: str, receiver: str, kind: type[Any] | None, frame: bytes) -> bool:
        """True if the rule applies to this frame (and has not run out)."""
        return (
            (self.times is None or self.matched < self.times)
            and (self.kind is None or self.kind is kind)
            and (self.sender is None or self.sender == sender)
            and (self.receiver is None or self.receiver == receiver)
            and (self.view is None or self.view == field_of_frame(kind, frame, "view"))
            and (not self.filled or bool(field_of_frame(kind, frame, self.filled)))
        )


class Network:
    """Decides for each frame, from a random stream of its own, whether and when it arrives."""

    def __init__(self, dice: Dice, quality: LinkQuality = PERFECT) -> None:
        self._dice = dice
        self.quality = quality
        self.rules: list[Rule] = []
        self.cuts: set[tuple[str, str]] = set()
        """Links (sender, receiver) that carry nothing now, each in one direction."""
        self.clogged: dict[tuple[str, str], int] = {}
        """Link -> world time until which its frames wait."""
        self.narrow: dict[tuple[str, str], int] = {}
        """Link -> bytes that it carries in a second."""
        self._free: dict[tuple[str, str], int] = {}
        """Narrow link -> when it has carried what it got so far."""
        self._last_arrival: dict[tuple[str, str], int] = {}
        self.lost = 0

    def when(
        self,
        *,
        kind: type[Any] | None = None,
        sender: str | None = None,
        receiver: str | None = None,
        view: int | None = None,
        filled: str = "",
    ) -> Rule:
        """A new rule for frames that match all given arguments; a method of the result sets its effect.
        `filled`: a field that is not empty."""
        rule = Rule(kind, sender, receiver, view, filled)
        self.rules.append(rule)
        return rule

    def forget(self, rule: Rule) -> None:
        """Remove the rule."""
        if rule in self.rules:
            self.rules.remove(rule)

    def cut(self, sender: str, receiver: str) -> None:
        """Cut one direction of a link."""
        self.cuts.add((sender, receiver))

    def part(self, *groups: list[str]) -> None:
        """Cut every link between different groups, both ways; links inside a group stay as they are."""
        for here in groups:
            for there in groups:
                if here is not there:
                    self.cuts.update((a, b) for a in here for b in there)

    def heal(self) -> None:
        """All links carry frames again, rules and faults are removed; latency stays."""
        self.cuts.clear()
        self.rules.clear()
        self.clogged.clear()
        self.narrow.clear()
        self._free.clear()
        self.quality = msgspec.structs.replace(
            self.quality, loss=0.0, duplication=0.0, reorder=0.0, slow_share=0.0
        )

    def carries(self, sender: str, receiver: str) -> bool:
        """Whether the link is up. Checked again on arrival: frames under way when a link is cut are lost."""
        return (sender, receiver) not in self.cuts

    def arrivals(self, sender: str, receiver: str, frame: bytes, departs: int) -> list[int]:
        """World times at which the frame arrives: an empty list if lost, several if duplicated."""
        link = (sender, receiver)
        if link in self.cuts:
            self.lost += 1
            return []
        dice, quality = self._dice, self.quality
        extra, copies = 0, 1
        if self.rules:
            kind = kind_of_frame(frame)
            for rule in reversed(self.rules):
                if rule.matches(sender, receiver, kind, frame):
                    rule.matched += 1
                    if rule.loss and dice.hit(rule.loss):
                        self.lost += 1
                        return []
                    extra += rule.extra_delay
                    copies += rule.copies
                    break
        if quality.loss and dice.hit(quality.loss):
            self.lost += 1
            return []
        if link in self.clogged:
            departs = max(departs, self.clogged[link])
        if link in self.narrow:
            waits = max(self._free.get(link, 0), departs) - departs
            if waits > BUFFERED:
                self.lost += 1
                return []
            extra += waits + len(frame) * SECOND // self.narrow[link]
            self._free[link] = departs + extra
        if quality.duplication and dice.hit(quality.duplication):
            copies += 1
        if copies == 1:
            return [self._arrival(link, departs + extra)]
        return [self._arrival(link, departs + extra) for _ in range(copies)]

    def _arrival(self, link: tuple[str, str], departs: int) -> int:
        dice, quality = self._dice, self.quality
        high = quality.latency_max
        if quality.slow_share and dice.hit(quality.slow_share):
            high = quality.slow_max
        low = quality.latency_min
        arrival = departs + dice.between(low, high if high > low else low)
        if quality.reorder and dice.hit(quality.reorder):
            return arrival
        last = self._last_arrival.get(link, 0)
        if last > arrival:
            return last
        self._last_arrival[link] = arrival
        return arrival
