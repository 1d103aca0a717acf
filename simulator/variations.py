"""What callers leave out, say otherwise, or say again: each field of an operation, the absent value too.

Reasons, gates and devices may be "", nonces none, short or long, or taken again late at another device (R13).
The share is 0 in the directed worlds, which then draw nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.machine import Command, CommandError, build
from dtvn.machine.commands import check
from dtvn.machine.fields import NONCE_BYTES_MAX
from dtvn.protocol.consensus.messages import Operation
from simulator.dice import Dice
from simulator.gateway import Gateway, Request

DEVICES = ("", "", "", "scanner-0", "scanner-1", "d" * 64)
SAID: dict[str, tuple[Any, ...]] = {
    "gate": ("", "", "south", "g" * 64),
    "device": DEVICES,
    "reason": ("", "", "wrong scan", "r" * 256),
    "list": ("", "", "day", "zone", "roof"),
    "kind": ("entry", "exit"),
    "supervised": (False, True),
    "movement": (b"", b"", b"\0", b"m" * NONCE_BYTES_MAX),
    "blocked": (False, True),
    "product": ("", "Parking", "Standing", "p" * 128),
    "data": (b"", b"x"),
    "seat": ("", "A1"),
    "entries": (1, 2, 3),
    "at": (0, 1_000_000),
}
"""Field of a command -> values that it may have instead."""
ACTORS = ("", "a", "gate-0", "door-0", "door-1", "Zoë", "x" * 128)
SCANS = frozenset({"admit", "consume", "annul", "force", "import_entry"})
KEPT = 200
"""Scans that may be asked again."""


Asked = tuple[Gateway, Request, int]
"""One operation of a call."""


class Variations:
    """Draws the fields of operations. It is asked with the random stream of the present call."""

    def __init__(self, share: float) -> None:
        """`share`: of the fields that differ from what is usual."""
        self._share = share
        self._late: list[Asked] = []

    def command(self, dice: Dice, command: Command) -> Command:
        """The command, with some of its fields left out or said otherwise: half of those that differ do so in
        one field, since two slips hide each other."""
        names = [name for name in command.__struct_fields__ if name in SAID]
        if not self._share or not names:
            return command
        if dice.hit(0.5):
            slips = [dice.pick(names)] if dice.hit(min(1.0, len(names) * self._share)) else []
        else:
            slips = [name for name in names if dice.hit(self._share)]
        return msgspec.structs.replace(command, **{name: dice.pick(SAID[name]) for name in slips})

    def actor(self, dice: Dice, usual: str) -> str:
        """Who asks."""
        return dice.pick(ACTORS) if dice.hit(self._share) else usual

    def nonce(self, dice: Dice, usual: bytes) -> bytes:
        """None, short or long; short ones come again."""
        if not usual or not dice.hit(self._share):
            return usual
        return dice.pick((b"", bytes((dice.below(4),)), usual.ljust(NONCE_BYTES_MAX, b"\0")))

    def ask(self, gateway: Gateway, operations: Sequence[Operation]) -> None:
        """Submit these as one call; they may be asked again late."""
        request = gateway.ask(operations)
        if self._share and request is not None:
            asked = enumerate(operations)
            self._late += [
                (gateway, request, place) for place, each in asked if each.nonce and each.kind in SCANS
            ]
            while len(self._late) > KEPT:
                del self._late[::2]

    def again(self, dice: Dice) -> tuple[Gateway, Operation] | None:
        """An operation that is asked again, however long ago it was: as it was, or from another device; None:
        not now. Mostly one that succeeded, and that a repetition might do twice."""
        if not self._late or not dice.hit(self._share):
            return None
        succeeded = [asked for asked in self._late if _succeeded(asked)] if dice.hit(0.7) else []
        gateway, request, place = dice.pick(succeeded or self._late)
        operation = request.operations[place]
        return gateway, self.elsewhere(dice, operation) if dice.hit(0.7) else operation

    def elsewhere(self, dice: Dice, operation: Operation) -> Operation:
        """The same under the same nonce from another device."""
        command: Any = check(operation)
        if "device" not in command.__struct_fields__:
            return operation
        others = [device for device in DEVICES if device != command.device]
        said = msgspec.structs.replace(command, device=dice.pick(others))
        other = build(said, ticket=operation.ticket, event=operation.event, actor=operation.actor, entry="-")
        return msgspec.structs.replace(operation, payload=other.payload)

    def build(self, dice: Dice, command: Command, **fields: Any) -> Operation:
        """See commands.build; the usual command if what was drawn is malformed."""
        fields["actor"] = self.actor(dice, fields["actor"])
        fields["nonce"] = self.nonce(dice, fields["nonce"])
        try:
            return build(self.command(dice, command), **fields)
        except CommandError:
            return build(command, **fields)


def _succeeded(asked: Asked) -> bool:
    _gateway, request, place = asked
    return request.results is not None and request.results[place].code == "ok"
