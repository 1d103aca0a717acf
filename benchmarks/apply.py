"""Measures the cost for one replica to apply the log: execution, state root, rows (R25).

`measure()` runs alone in one process. Operations are built before anything counts, because clients build
them; it counts the processor time of every replica and the learner for each of them, which means the same on
a busy machine. `materialise` takes the rows as a ledger's journal would (without it, rows are discarded).

`python -m benchmarks.apply [tickets]` prints the numbers.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

from dtvn.machine import Admit, Command, Issue, OpenSession, TicketApplication, Validate, build
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.messages import Bundle, Operation, bundle_digest
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import CAPABILITIES, Genesis, Grant, Member, Parameters, Principal, cluster_id

BATCH = 1_000
"""Number of operations in a batch, the most that a primary proposes (R20)."""
CHECKPOINT = 10
"""Number of batches between two state roots."""
START = 1_700_000_000_000_000
"""Batch time, Unix microseconds."""

Materialise = Callable[[Sequence[ApplicationChange], int, int], None]


class Bench:
    """A replica's application with many tickets and one session."""

    def __init__(self, tickets: int, materialise: Materialise | None) -> None:
        genesis = _genesis()
        self.application = TicketApplication(genesis, cluster_id(genesis))
        self._materialise = materialise
        self._sequence = 0
        self._number = 0
        self._session = (0, 0)
        self.execute([self.bundle([_operation(OpenSession(), "", nonce=b"n" * 16)])])
        self._session = (1, 0)
        for first in range(0, tickets, BATCH):
            issues = [
                _operation(Issue(product="Standing", seat=f"{n % 97}"), _name(n))
                for n in range(first, min(first + BATCH, tickets))
            ]
            self.execute([self.bundle(issues)])
            self.rows()
        self.application.root()

    def bundle(self, operations: Sequence[Operation]) -> VerifiedBundle:
        """The session's next bundle, as the door returns it."""
        opening = self._session == (0, 0)
        bundle = Bundle(
            epoch=0,
            principal="gateway",
            client=b"bench000",
            session=self._session,
            number=0 if opening else self._number,
            done_below=max(0, self._number - 256),
            operations=tuple(operations),
        )
        self._number += 0 if opening else 1
        body = canonical.encode(bundle)
        return VerifiedBundle(canonical.decode(Bundle, body), bundle_digest(body), body)

    def execute(self, bundles: Sequence[VerifiedBundle]) -> float:
        """Seconds to execute one batch; the outcome of every operation must be ok."""
        self._sequence += 1
        started = time.process_time()
        execution = self.application.execute(
            bundles, sequence=self._sequence, timestamp=START + self._sequence
        )
        elapsed = time.process_time() - started
        for result in execution.results:
            if result is None or {outcome.code for outcome in result.outcomes} != {"ok"}:
                raise RuntimeError("the bench measures operations that were not applied")
        return elapsed

    def rows(self) -> float:
        """Seconds to make the rows changed since the last call, and to write them with `materialise`."""
        started = time.process_time()
        changes = self.application.changes()
        if self._materialise is not None:
            self._materialise(changes, self._sequence, START + self._sequence)
        return time.process_time() - started

    def root(self) -> float:
        """Seconds of a checkpoint: the state root, and freezing that state."""
        started = time.process_time()
        self.application.freeze(self._sequence)
        return time.process_time() - started

    def round(self, command: Command, tickets: Sequence[int], per_bundle: int) -> list[float]:
        """[median microseconds per operation to execute, microseconds per operation for rows, milliseconds of
        the root]."""
        times: list[float] = []
        rows = 0.0
        for first in range(0, len(tickets), BATCH):
            operations = [_operation(command, _name(n)) for n in tickets[first : first + BATCH]]
            bundles = [
                self.bundle(operations[at : at + per_bundle]) for at in range(0, len(operations), per_bundle)
            ]
            times.append(self.execute(bundles) / len(operations) * 1e6)
            rows += self.rows()
        return [statistics.median(times), rows / len(tickets) * 1e6, self.root() * 1e3]


def measure(tickets: int = 100_000, materialise: Materialise | None = None) -> dict[str, float]:
    """Costs with `tickets` tickets, at least 20,000 (`_us`: per operation, `_ms`: in total).

    The changed tickets are spread over all of them, like those of a crowd at the gates.
    """
    changed = BATCH * CHECKPOINT
    if tickets < 2 * changed:
        raise ValueError(f"tickets: at least {2 * changed}")
    bench = Bench(tickets, materialise)
    spread = [(n * 7_919_791) % tickets for n in range(2 * changed)]
    chosen = list(dict.fromkeys(spread))
    if len(chosen) != 2 * changed:
        raise ValueError("tickets: must not share a factor with 7,919,791")
    validate_us, rows_us, root_ms = bench.round(Validate(), chosen[:changed], 100)
    admit_us, _, _ = bench.round(Admit(gate="north", device="d1"), chosen[:changed], 100)
    singles_us, _, _ = bench.round(Admit(gate="north", device="d1"), chosen[changed:], 1)
    return {
        "apply_tickets": float(tickets),
        "apply_validate_us": validate_us,
        "apply_admit_us": admit_us,
        "apply_admit_singles_us": singles_us,
        "apply_rows_us": rows_us,
        "apply_root_10000_changed_ms": root_ms,
        "apply_with_rows_per_second": 1e6 / (admit_us + rows_us + root_ms * 1e3 / changed),
    }


def _genesis() -> Genesis:
    members = tuple(
        Member(f"node{index}", bytes([index + 1]) * 32, "127.0.0.1", 4_000 + index) for index in range(4)
    )
    everything = tuple(Grant("*", capability) for capability in CAPABILITIES)
    gateway = Principal("gateway", b"g" * 32, everything)
    return Genesis("bench", 1, members, (gateway,), Parameters(), demo=True)


def _operation(command: Command, ticket: str, nonce: bytes = b"") -> Operation:
    return build(
        command,
        ticket=ticket,
        actor="gate-user",
        entry="node0",
        valid_until=START + 300_000_000,
        nonce=nonce,
    )


def _name(number: int) -> str:
    return f"T-{number:07d}"


if __name__ == "__main__":
    chosen_size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, value in measure(chosen_size).items():
        print(f"{name:32} {value:12.2f}")
