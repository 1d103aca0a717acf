"""Offers its state to members that lag, and sends something else (P17)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.machine import Terms
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.network import kind_of_frame
from simulator.node import Node


def flipped(data: bytes) -> bytes:
    """The data with one bit in the middle flipped."""
    at = len(data) // 2
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :] if data else b"\0"


Items = tuple[tuple[bytes, ...], ...]


def _group(change: Callable[[Items], Items]) -> Callable[[m.Groups], m.Groups]:
    def lie(message: m.Groups) -> m.Groups:
        groups = tuple((number, change(items)) for number, items in message.groups)
        return msgspec.structs.replace(message, groups=groups)

    return lie


DEEP = b"\x91" * 5_000 + b"\x90"
"""Deeply nested arrays: a recursive decoder runs out of stack."""


def _other_terms(items: Items) -> Items:
    """Each ticket with codes is blocked and has another one."""
    return tuple(_with_other_terms(*item) if len(item) == 2 else item for item in items)


def _with_other_terms(state: bytes, issued: bytes) -> tuple[bytes, bytes]:
    terms = canonical.decode(Terms, issued)
    if terms.codes:
        terms = msgspec.structs.replace(terms, codes=(flipped(terms.codes[0]),), blocked=not terms.blocked)
    return state, canonical.encode_trimmed(terms)


GROUP_LIES: dict[str, Callable[[m.Groups], m.Groups]] = {
    "another ticket": _group(lambda items: (tuple(flipped(part) for part in items[0]), *items[1:])),
    "one left out": _group(lambda items: items[1:]),
    "one twice": _group(lambda items: (items[0], *items)),
    "nothing in it": _group(lambda _items: ()),
    "no leaves at all": _group(lambda _items: ((), (b"",), (b"", b"", b""))),
    "a bottomless key": _group(lambda _items: ((b"\x93\xa1x\x91" + DEEP + b"\xc0",),)),
    "a bottomless row": _group(lambda _items: ((b"\x93\xa1x\x90" + DEEP,),)),
    "a bottomless ticket": _group(lambda _items: ((b"\x95\xa1e\xa1t\x01\xa0" + DEEP, b""),)),
    "others than asked": lambda message: msgspec.structs.replace(
        message, groups=tuple((number + 1, items) for number, items in message.groups)
    ),
}
LATER_LIES = {"other terms": _group(_other_terms)}
"""Those that are told only where they are asked for, so that what a seed draws stays the same."""
OFFER_LIES: dict[str, Callable[[m.Snapshot], m.Snapshot]] = {
    "another manifest": lambda message: msgspec.structs.replace(message, manifest=flipped(message.manifest)),
    "an endless manifest": lambda message: msgspec.structs.replace(message, manifest=message.manifest * 2),
    "another log": lambda message: msgspec.structs.replace(
        message, peaks=tuple(flipped(peak) for peak in message.peaks)
    ),
    "another entry": lambda message: msgspec.structs.replace(
        message, entry=msgspec.structs.replace(message.entry, results_root=bytes(32))
    ),
    "a height nobody signed": lambda message: msgspec.structs.replace(
        message, entry=msgspec.structs.replace(message.entry, sequence=1 << 40)
    ),
    "too few signatures": lambda message: msgspec.structs.replace(message, checkpoint=message.checkpoint[1:]),
    "one signature twice": lambda message: msgspec.structs.replace(
        message, checkpoint=(message.checkpoint[0], *message.checkpoint[:-1])
    ),
}


class BadStateServer(Liar):
    """Behaves correctly until a member fetches its state. `lie`: one of the names above; drawn if empty."""

    def __init__(self, cluster: Cluster, node: Node, dice: Dice, lie: str = "") -> None:
        super().__init__(cluster, node, dice)
        self.lie = lie or dice.pick((*GROUP_LIES, *OFFER_LIES))
        self.told = 0
        """Number of lies sent so far."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See node.SendHook."""
        kind = kind_of_frame(frame)
        lie = (GROUP_LIES | LATER_LIES).get(self.lie) if kind is m.Groups else None
        if kind is m.Snapshot:
            lie = OFFER_LIES.get(self.lie)  # type: ignore[assignment]
        if lie is None or kind is None:
            return ((receiver, frame),)
        self.told += 1
        message = canonical.decode(kind, canonical.decode(Envelope, frame).body)
        return ((receiver, self.signer.link(lie(message))),)
