"""Rules and pitfalls without a planted bug, and why: not built yet, or not of the core's making."""

from __future__ import annotations

__all__ = ["NOT_PLANTED"]

NOT_PLANTED: dict[str, str] = {
    "R4": "the keyed hash is deterministic by nature; tests/hostcore and the golden scenarios hold R4",
    "R10": "incarnations live in the real ledger: tests/ledger holds two processes against each other",
    "R17": "reads wait in the platform's web processes: tests/api",
    "R18": "quorum and linearizable reads are outside the simulated core",
    "R27": "export and verifier of certificates are shells: tests named after R27 hold them",
    "R34": "a promise about wall-clock time: measured by the bench, not by virtual clocks",
    "R37": "labels for people; its arithmetic is planted as P1",
    "R38": "leases stand apart (they are not built)",
    "R39": "the rule about the simulator itself",
    "P12": "one library verifies (vectors in tests/hostcore); the keyed hash has no malleable form",
    "P19": "there is no read-only fast path",
}
