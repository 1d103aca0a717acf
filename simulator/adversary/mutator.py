"""Small-scope mutations of its own statements, freshly signed (ByzzFuzz, OOPSLA 2023)."""

from __future__ import annotations

from typing import Any

from simulator.adversary.base import Liar, OutgoingFrames

SHARE = 0.2
REMEMBERED = 32


class Mutator(Liar):
    """Changes one field of a statement: a number by a little, a hash to that of an earlier statement, a tuple
    by one item. Each receiver gets a mutation of its own."""

    def begin(self) -> None:
        """See Liar."""
        self._digests: list[bytes] = []

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if message is None:
            return ((receiver, frame),)
        for field in ("digest", "state_root", "entry_hash"):
            value = getattr(message, field, None)
            if value is not None and value not in self._digests:
                self._digests.append(value)
                del self._digests[:-REMEMBERED]
        if not self.dice.hit(SHARE):
            return ((receiver, frame),)
        fields = self._mutation(message)
        return ((receiver, self.changed(frame, message, **fields)),)

    def _mutation(self, message: Any) -> dict[str, Any]:
        field = self.dice.pick([f for f in message.__struct_fields__ if f not in ("epoch", "sender")])
        value = getattr(message, field)
        match value:
            case bool():
                return {field: not value}
            case int():
                return {field: max(0, value + self.dice.pick((-1, 1, 1, 10)))}
            case bytes() if self._digests:
                return {field: self.dice.pick(self._digests)}
            case tuple() if value:
                place = self.dice.below(len(value))
                return {field: value[:place] + value[place + 1 :]}
        return {}
