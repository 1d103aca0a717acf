"""Who guards the guards: each checker must see the mutant that breaks its promise (STYLE C18).

A mutant is one rule taken out of the product's own code for the length of a test; the smoke campaign's
small worlds must find it within a few seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from simulator.campaign import run
from tickets.machine import TicketApplication
from validators import quorum
from validators.consensus import checkpoint, new_view, view_change
from validators.consensus.effects import Effects, EntryRecord, SlotRecord
from validators.consensus.executor import Executor
from validators.consensus.outbox import Outbox
from validators.host import Host
from validators.wire import Door

Mutation = Callable[[pytest.MonkeyPatch], None]
SEEDS_MAX = 40


def forgets(phase: str) -> Mutation:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        persist = Outbox.persist

        def without(self: Outbox, record: Any) -> None:
            if not (isinstance(record, SlotRecord) and record.phase == phase):
                persist(self, record)

        patch.setattr(Outbox, "persist", without)

    return mutate


def speaks_first(patch: pytest.MonkeyPatch) -> None:
    """Sends before the journal has it (R6)."""
    finish = Host._finish

    def mutant(self: Host, effects: Effects, now: Any) -> None:
        for send in effects.send:
            self.transport.send(send)
        effects.send = []
        finish(self, effects, now)

    patch.setattr(Host, "_finish", mutant)


def old_quorum(patch: pytest.MonkeyPatch) -> None:
    """2f + 1 (row 1)."""
    patch.setattr(quorum, "quorum", lambda members: 2 * quorum.faults(members) + 1)


def prepared_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """A view change that carries nothing over (row 4)."""
    plan = new_view.plan

    def mutant(claims: Any) -> Any:
        return plan([msgspec.structs.replace(claim, prepared=()) for claim in claims])

    patch.setattr(view_change, "plan", mutant)


def executes_twice(patch: pytest.MonkeyPatch) -> None:
    """No session table (row 9)."""
    patch.setattr(TicketApplication, "_refuse_session", lambda self, bundle: None)
    patch.setattr(TicketApplication, "repeated", lambda self, bundle: None)


def hash_order(patch: pytest.MonkeyPatch) -> None:
    """A state root that differs between replicas (row 8)."""
    root = TicketApplication.root
    patch.setattr(TicketApplication, "root", lambda self: root(self)[:-8] + id(self).to_bytes(8, "big"))


def one_vote_is_enough(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint that f + 1 signed is called stable (row 7)."""
    count = checkpoint.Checkpoints._count

    def mutant(self: checkpoint.Checkpoints, sequence: int) -> None:
        self.core.q, right = self.core.config.f + 1, self.core.q
        count(self, sequence)
        self.core.q = right

    patch.setattr(checkpoint.Checkpoints, "_count", mutant)


def door_stands_open(patch: pytest.MonkeyPatch) -> None:
    """No signature is checked (row 2)."""
    patch.setattr(Door, "_check", lambda self, key, envelope, signer: None)


def clock_runs_back(patch: pytest.MonkeyPatch) -> None:
    """The effective timestamp is the proposed one (R3)."""
    patch.setattr(Executor, "effective", lambda self, batch: batch.batch.proposed)


def loses_entries(patch: pytest.MonkeyPatch) -> None:
    """Answers, but does not keep the entry (R9)."""
    persist = Outbox.persist
    patch.setattr(
        Outbox,
        "persist",
        lambda self, record: None if isinstance(record, EntryRecord) else persist(self, record),
    )


MUTANTS: dict[str, tuple[Mutation, int, set[str]]] = {
    # what is taken out: (how, a seed that finds it, which checkers may say so)
    "the prepared certificate is not kept": (forgets("prepared"), 1, {"durability", "speech"}),
    "the PRE-PREPARE is not kept": (forgets("pre_prepare"), 0, {"speech"}),
    "the VIEW-CHANGE is not kept": (forgets("view_change"), 3, {"speech"}),
    "it is spoken before it is durable": (speaks_first, 0, {"speech"}),
    "a quorum is 2f + 1": (old_quorum, 10, {"agreement", "durability", "low mark", "pump"}),
    "a view change drops what was prepared": (
        prepared_is_dropped,
        32,
        {"agreement", "durability", "history", "pump"},
    ),
    "a bundle is executed as often as it comes": (executes_twice, 1, {"admission", "pump"}),
    "the state root depends on the process": (hash_order, 0, {"state roots"}),
    "f + 1 CHECKPOINTs are called stable": (one_vote_is_enough, 0, {"low mark"}),
    "the door checks no signature": (door_stands_open, 76, {"agreement", "low mark", "franchise", "pump"}),
    "batch time runs back": (clock_runs_back, 2, {"history"}),
    "entries are not kept": (loses_entries, 0, {"durability", "state roots", "pump"}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own seed finds it; after a change of the simulator another one near it must."""
    mutate, seed, accept = MUTANTS[name]
    assert run(seed, short=True).violation is None
    mutate(monkeypatch)
    for tried in range(seed, seed + SEEDS_MAX):
        violation = run(tried, short=True).violation
        if violation is not None:
            assert violation.split(":")[0] in accept, violation
            return
    pytest.fail(f"{SEEDS_MAX} seeds from {seed} on, and nobody noticed")
