"""A run under the rules of AG-UI, as votes see it: the `JudgedRun` of a validator. Pure."""

from __future__ import annotations

from dtvn.events.rules import (
    RULES_VERSION,
    Limits,
    Reading,
    Stream,
    Violation,
    decode_state,
    rules_digest,
    state_digest,
)


class RuledRun:
    """One run: its rules, and its state in at most a few KB."""

    def __init__(
        self,
        limits: Limits,
        state: bytes = b"",
        *,
        drop_unknown: bool = False,
        version: int = RULES_VERSION,
    ) -> None:
        """`state`: what `state` of another validator's run returned; b"" before the first event.
        `drop_unknown`: events are read as by the official client, which drops what it does not know; by
        `version` 2 of the rules only events of unknown types are dropped. Raises StateError for other
        bytes."""
        known = decode_state(state, limits) if state else None
        self._limits, self._drop, self._version = limits, drop_unknown, version
        reading = Reading.CLIENT if drop_unknown and version > 2 else Reading.MODELS
        self._stream = Stream(limits, known, reading=reading, drop_unknown=drop_unknown)
        self._rules = rules_digest(limits, drop_unknown=drop_unknown, version=version)
        self._state = state
        """The cached digest, which a chunk needs before and after; b"" if it must be computed."""
        self._digest = b""

    def copy(self) -> RuledRun:
        """Another run in the same state."""
        return RuledRun(self._limits, self.state, drop_unknown=self._drop, version=self._version)

    @property
    def state(self) -> bytes:
        """Canonical bytes of the state now, for a validator that lacks it; `state_digest` proves them."""
        if not self._state:
            self._state = self._stream.state.encoded()
        return self._state

    def rules_digest(self) -> bytes:
        """See JudgedRun."""
        return self._rules

    def state_digest(self) -> bytes:
        """See JudgedRun."""
        if not self._digest:
            self._digest = state_digest(self.state)
        return self._digest

    def feed(self, text: bytes) -> str:
        """See JudgedRun."""
        self._state = self._digest = b""
        return self._stream.feed(text).code or ""

    def judge(self, text: bytes, index: int) -> tuple[Violation, ...]:
        """As `feed`: all violations of the next event, which is the one at `index` of the run."""
        self._state = self._digest = b""
        self._stream.index = index
        return self._stream.feed(text).violations
