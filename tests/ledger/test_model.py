"""A ledger against a dictionary: whatever is done to it, it recovers what the dictionary holds."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dtvn.ledger import Location
from dtvn.protocol.consensus.effects import Prune, SlotRecord, StateRecord
from dtvn.protocol.host.ports import JournalError
from tests.ledger.samples import CLUSTER, START, LogWriter, slot, ticket
from tests.ledger.test_materialise import change, counters
from validators.ledger import Ledger, open_ledger

ALIAS = "ledger-model"
SEQUENCED = ("pre_prepare", "prepare", "commit", "prepared", "checkpoint", "append")
PHASES = (*SEQUENCED, "view_change", "new_view")
STATES = ("ISSUED", "VALIDATED", "CONSUMED", "DISPUTED")
views = st.integers(0, 3)
sequences = st.integers(1, 12)


class LedgerModel(RuleBasedStateMachine):
    """The dictionary is `slots`, `states`, `tickets` and the log's writer."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dtvn-model-"))
        self.writer = LogWriter()
        self.slots: dict[tuple[int, int, str], SlotRecord] = {}
        self.states: dict[str, StateRecord] = {}
        self.tickets: dict[str, Any] = {}
        self.checkpoint: Any = None
        self.applied = 0
        self.entered = 0
        self.ledger: Ledger = open_ledger(Location(self.folder / "l"), cluster_id=CLUSTER, alias=ALIAS)
        self.ledger.load()

    @rule(size=st.integers(1, 3), operations=st.integers(0, 3))
    def add_entries(self, size: int, operations: int) -> None:
        self.ledger.append([self.writer.entry(operations) for _ in range(size)])

    @rule(view=views, sequence=sequences, phase=st.sampled_from(PHASES), text=st.sampled_from([b"", b"x"]))
    def vote(self, view: int, sequence: int, phase: str, text: bytes) -> None:
        number = sequence if phase in SEQUENCED else 0
        if phase not in SEQUENCED:
            view = max(view, self.entered)  # nothing binds a replica to a view it has left
        body = b"batch %d" % sequence if phase == "pre_prepare" else b""
        record = slot(phase, number, view=view, body=body, text=text)
        known = self.slots.setdefault((view, number, phase), record)
        if known == record:
            self.ledger.append([record])
            return
        with pytest.raises(JournalError, match="differs from the first one"):
            self.ledger.append([StateRecord("lost", b"1"), record])
        self.ledger.load()

    @rule(view=views)
    def enter_view(self, view: int) -> None:
        """Views only rise; what a lower one bound the replica to is forgotten."""
        view = self.entered = max(view, self.entered)
        record = slot("view", 0, view=view)
        self.slots.setdefault((view, 0, "view"), record)
        self.ledger.append([record])
        for key in list(self.slots):
            if key[2] in ("view", "view_change", "new_view") and key[0] < view:
                del self.slots[key]

    @rule(sequence=sequences)
    def prune(self, sequence: int) -> None:
        self.ledger.append([Prune(sequence)])
        for key in list(self.slots):
            if key[2] in SEQUENCED and key[1] <= sequence:
                del self.slots[key]

    @precondition(lambda self: self.writer.records)
    @rule()
    def checkpoint_here(self) -> None:
        self.checkpoint = self.writer.checkpoint()
        self.ledger.append([self.checkpoint])

    @rule(name=st.sampled_from(["voting", "view"]), value=st.binary(max_size=4))
    def set_value(self, name: str, value: bytes) -> None:
        self.states[name] = StateRecord(name, value)
        self.ledger.append([self.states[name]])

    @rule(changes=st.dictionaries(st.integers(0, 9), st.sampled_from(STATES), max_size=5))
    def materialise(self, changes: dict[int, str]) -> None:
        self.applied = len(self.writer.records)
        rows = [ticket(f"T-{key}", state=state, sequence=self.applied) for key, state in changes.items()]
        self.ledger.materialise([change(row) for row in rows], self.applied, START)
        self.tickets.update({row.ticket: row for row in rows})

    @rule(maintain=st.booleans())
    def restart(self, maintain: bool) -> None:
        if maintain:
            self.ledger.maintain()
        self.ledger.close()
        self.ledger = open_ledger(Location(self.folder / "l"), cluster_id=CLUSTER, alias=ALIAS)
        self.ledger.load()

    @invariant()
    def recovers_what_the_dictionary_holds(self) -> None:
        tail = self.ledger.load()
        assert tail.entries == tuple(self.writer.records)
        assert tail.frontier == self.writer.frontier
        assert tail.applied_sequence == self.applied
        assert tail.checkpoint == self.checkpoint
        assert sorted(map(repr, tail.slots)) == sorted(map(repr, self.slots.values()))
        assert {record.name: record for record in tail.states} == self.states
        assert {found.row.ticket: found.row for found in tail.rows} == self.tickets
        counts = dict.fromkeys(STATES, 0)
        for row in self.tickets.values():
            counts[row.state] += 1
        found = counters(self.ledger)
        assert {state: found.get(f"ticket/{state}/default", 0) for state in STATES} == counts
        assert self.ledger.voting

    def teardown(self) -> None:
        with suppress(AttributeError):
            self.ledger.close()
            shutil.rmtree(self.folder)


def test_a_ledger_holds_what_a_dictionary_would() -> None:
    run_state_machine_as_test(
        LedgerModel,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
