"""A member that speaks the messages of the commit before this issue (f14797b8): those that got a later field
since then go out without it, and those that carry one are refused at its door, as the old codec did.

Its decoder knew a shorter array and forbade further fields (`consensus.fields.Wire`); its encoder had nothing
to put there. Such messages came over links and are not signed, so nothing else changes. All else that the
member does is today's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.probes import probe
from dtvn.protocol.wire import link_frame
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.world import World

LATER_FIELDS: dict[type[Any], dict[str, Any]] = {
    m.Busy: {"timestamp": 0},
    m.FetchEntries: {"alone": False},
    m.Follow: {"lazy": False},
    m.Pong: {"remembers": True},
}
"""Later fields of messages, with the values with which they are left out."""


def make_old(world: World, node: Node) -> None:
    """Let an honest member speak the old messages."""
    speaker = OldSpeaker(world)
    node.send_hook, node.receive_filter = speaker, speaker.hears


class OldSpeaker:
    """A SendHook, and the filter of what its node receives."""

    def __init__(self, world: World) -> None:
        self._world = world

    def on_send(self, node: Node, receiver: str, frame: bytes) -> Iterable[tuple[str, bytes]]:
        """See SendHook."""
        message = self._with_later_fields(frame)
        if message is not None:
            probe("old_speaker.left_out_a_field")
            frame = link_frame(msgspec.structs.replace(message, **LATER_FIELDS[type(message)]))
        return ((receiver, frame),)

    def hears(self, inbound: Inbound) -> bool:
        """Whether its decoder takes a frame."""
        if self._with_later_fields(inbound.frame) is None:
            return True
        probe("old_speaker.refused_a_field")
        return False

    def _with_later_fields(self, frame: bytes) -> Any:
        """The message in a frame if it carries a field that the old code did not know, else None."""
        if kind_of_frame(frame) not in LATER_FIELDS:
            return None
        try:
            message = self._world.frame_cache.read(frame)[1]
        except canonical.CanonicalError:
            return None  # a byte corrupter's
        old = msgspec.structs.replace(message, **LATER_FIELDS[type(message)])
        return None if message == old else message
