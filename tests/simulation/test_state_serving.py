"""One liar's questions do not prevent a state transfer: r3 lost its ledger, no peer has old entries, and r1
neither serves nor leaves the others' service alone (R11, R23; P17)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import Envelope
from simulator.clock import MILLISECOND, SECOND
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer
from tests.simulation.test_state_transfer import Story

pytestmark = pytest.mark.exhaustive


class Nuisance(Observer):
    """Sends what `questions` make of each offer to r3 to the member that made it, again and again."""

    def __init__(self, story: Story, questions: Callable[[int], tuple[object, ...]]) -> None:
        self._story = story
        self._questions = questions
        self.asked = 0

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        if kind_of_frame(frame) is not m.Snapshot or receiver != "r3":
            return
        offer = canonical.decode(m.Snapshot, canonical.decode(Envelope, frame).body)
        world = self._story.cluster.world
        for delay in range(1, 401, 10):
            world.after(delay * MILLISECOND, lambda name=node.name: self._ask(name, offer.entry.sequence))

    def _ask(self, name: str, sequence: int) -> None:
        world = self._story.cluster.world
        signer = self._story.poisoners[0].signer
        for question in self._questions(sequence):
            self.asked += 1
            world.transmit("r1", name, signer.link(question), world.time)


@pytest.mark.parametrize(
    "questions",
    [
        pytest.param(lambda _sequence: (m.FetchSnapshot(0, 1 << 60),), id="a state that will never be"),
        pytest.param(lambda sequence: (m.FetchSnapshot(0, sequence),), id="always the next state"),
        pytest.param(lambda sequence: (m.FetchGroups(sequence, (5_000,)),), id="a group that no state has"),
    ],
)
def test_p17_questions_of_a_liar_do_not_prevent_a_state_transfer(
    questions: Callable[[int], tuple[object, ...]],
) -> None:
    story = Story(r1="none", tickets=300)
    world = story.cluster.world
    world.network.when(kind=m.Snapshot, sender="r1").drop()
    world.network.when(kind=m.Groups, sender="r1").drop()
    world.network.when(kind=m.Entries, receiver="r3").drop()
    nuisance = Nuisance(story, questions)
    world.observers.add(nuisance)
    world.start(story.node)
    assert world.run_for(3 * SECOND, done=lambda: bool(story.told.of("transfer_complete")))
    assert nuisance.asked >= 10
