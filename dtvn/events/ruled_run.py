"""A run under the rules of AG-UI, as votes see it: the `JudgedRun` of a validator. Pure."""

from __future__ import annotations

from dtvn.events.rules import Limits, Stream, decode_state, rules_digest


class RuledRun:
    """One run: its rules, and its state in at most a few KB."""

    def __init__(self, limits: Limits, state: bytes = b"", *, drop_unknown: bool = False) -> None:
        """`state`: what `state` of another validator's run returned; b"" before the first event. Raises
        StateError for other bytes."""
        known = decode_state(state, limits) if state else None
        self._stream = Stream(limits, known, drop_unknown=drop_unknown)
        self._rules = rules_digest(limits, drop_unknown=drop_unknown)

    @property
    def state(self) -> bytes:
        """Canonical bytes of the state now, for a validator that lacks it; `state_digest` proves them."""
        return self._stream.state.encoded()

    def rules_digest(self) -> bytes:
        """See JudgedRun."""
        return self._rules

    def state_digest(self) -> bytes:
        """See JudgedRun."""
        return self._stream.state.digest()

    def feed(self, text: bytes) -> str:
        """See JudgedRun."""
        return self._stream.feed(text).code or ""
