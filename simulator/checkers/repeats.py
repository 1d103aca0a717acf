"""Does the outcome of a repeated operation name the first one, and no other outcome any? (R48)

Reads the agreed log: two operations are one request if principal, actor and nonce are the same, and all that
the nonce is bound to (R13).
"""

from __future__ import annotations

from dtvn.machine.commands import request_digest
from dtvn.machine.reasons import UNREMEMBERED
from dtvn.protocol.versions import LISTS
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Place
from simulator.seams import KEPT_AFTER
from simulator.world import World


class Repeats(Checker):
    """Looks at the whole log once, at the end."""

    name = "repeats"

    def __init__(self, world: World, history: History) -> None:
        super().__init__(world)
        self._history = history

    def finish(self) -> None:
        """See Checker."""
        firsts: dict[tuple[str, bytes], list[Place]] = {}
        kept_until: dict[Place, int] = {}
        signers = [b.principal for _sequence, b, outcomes in self._history.bundles for _ in outcomes]
        logged = zip(signers, self._history.outcomes.items(), strict=True)
        for signer, (place, (operation, outcome)) in logged:
            known = firsts.setdefault((signer.partition("#")[0], request_digest(operation)), [])
            version, time = self._version_at(place[0]), self._history.timestamps[place[0]]
            if version < LISTS and outcome.first is not None:
                self.fail(f"the outcome at {place} has a field of a later version (R47)")
            if outcome.first and outcome.first not in known:
                self.fail(f"the outcome at {place} repeats {outcome.first}, and the first was at {known}")
            if not operation.nonce or outcome.code in UNREMEMBERED or outcome.first:
                continue
            if version >= LISTS and known and time <= kept_until[known[-1]]:
                self.fail(f"the outcome at {place} names no first one, which is at {known[-1]}")
            known.append(place)
            kept_until[place] = operation.valid_until + KEPT_AFTER

    def _version_at(self, sequence: int) -> int:
        epochs = self._history.epochs
        return next(epoch.version for epoch in reversed(epochs) if epoch.after < sequence)
