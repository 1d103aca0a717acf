"""Random worlds change their members among faults (R35, R36; P10, P18)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus.effects import Executed, Note
from simulator.campaign import Task, run
from simulator.node import Node
from simulator.observers import Observer

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("world", ["epochs", "busy-epochs"])
def test_row_18_members_change_while_clients_send_requests(world: str) -> None:
    report = run(Task(0, world))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"
    assert report.epochs >= 3
    assert report.outcomes > 100


def test_r36_most_changes_without_liveness_proofs_do_not_happen() -> None:
    assert run(Task(0, "unready-members")).epochs < run(Task(0, "epochs")).epochs


class Blamed(Observer):
    """Members blamed for invalid proofs, and how often a learner changes its source."""

    def __init__(self) -> None:
        self.fields: list[dict[str, Any]] = []
        self.changed = 0

    def noticed(self, node: Node, note: Executed | Note) -> None:
        if not isinstance(note, Note):
            return
        if note.kind == "refused" and note.fields["reason"] == "bad_proof":
            self.fields.append(note.fields)
        self.changed += note.kind == "source_changed"


def test_r35_no_member_is_blamed_for_a_late_or_unsealed_end_of_an_epoch() -> None:
    blamed = Blamed()
    report = run(Task(6, "epoch-catch-up"), blamed)
    assert report.violation is None
    assert report.probes["epoch_catch_up.in_a_later_epoch"], "this seed crosses"
    assert not blamed.fields, "all members are honest"


def test_r35_a_learner_whose_source_went_on_into_the_next_epoch_keeps_it() -> None:
    blamed = Blamed()
    report = run(Task(1, "epochs"), blamed)
    assert report.violation is None
    assert report.epochs
    assert not blamed.fields, "all members are honest"
    assert blamed.changed < 20, "260 times in 0.3 s when entries of the next epoch were taken for a lie"
