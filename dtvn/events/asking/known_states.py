"""The rule states that a validator has at hand, by their digests: a bounded cache, which may forget any."""

from __future__ import annotations

from dtvn.events.judging import Abstains, Abstention, Question
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import RULES_VERSION, Limits, StateError, rules_digest, state_digest

STATES_MAX = 16_384
STATE_BYTES_KEPT = 8 * 1024 * 1024
"""Most bytes of all states in their canonical form."""


class KnownStates:
    """States of runs, by the digest of their rules (`drop_unknown` on or off) and of the state."""

    def __init__(self, limits: Limits, states_max: int = STATES_MAX) -> None:
        self._limits = limits
        self._states_max = states_max
        self._known = {
            rules_digest(limits, drop_unknown=drop, version=version): (drop, version)
            for version in (RULES_VERSION - 1, RULES_VERSION)
            for drop in (False, True)
        }
        """Rules digest -> drop_unknown, version. A run may have begun before this member was upgraded."""
        fresh = RuledRun(limits)
        self._start = fresh.state_digest()
        self._kept: dict[tuple[bytes, bytes], tuple[bytes, RuledRun | None]] = {}
        """(rules, state) -> the state's bytes, and a run that is in it; the one used last comes last."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, question: Question, given: bytes) -> RuledRun:
        """Returns a run in the state that the question names, from the cache or from `given`: bytes that the
        gateway claims to be that state, b"" for none, accepted only if their digest matches. Raises Abstains
        if the rules are unknown or the state is not at hand."""
        if question.rules not in self._known:
            raise Abstains(Abstention.OTHER_RULES)
        drop, version = self._known[question.rules]
        if question.before == self._start:
            return RuledRun(self._limits, drop_unknown=drop, version=version)
        key = question.rules, question.before
        data, run = self._kept.pop(key, (b"", None))
        if data:
            self._kept[key] = data, None
            if run is not None:
                return run
        if not data and state_digest(given) != question.before:
            raise Abstains(Abstention.STATE_UNKNOWN)
        try:
            return RuledRun(self._limits, data or given, drop_unknown=drop, version=version)
        except StateError:
            raise Abstains(Abstention.STATE_UNKNOWN) from None

    def put(self, run: RuledRun) -> None:
        """Caches a run under its present state; beyond the bounds, the states used least recently are
        dropped."""
        key, data = (run.rules_digest(), run.state_digest()), run.state
        known, _ = self._kept.pop(key, (b"", None))
        self._bytes += len(data) - len(known)
        self._kept[key] = data, run
        while len(self._kept) > self._states_max or self._bytes > STATE_BYTES_KEPT:
            oldest = next(iter(self._kept))
            self._bytes -= len(self._kept.pop(oldest)[0])
