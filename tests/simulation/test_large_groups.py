"""A whole cluster in which every group of the state is too large for one answer (R23, decision 0166)."""

from __future__ import annotations

import pytest

from dtvn.machine import parts as machine_parts
from dtvn.machine.tree import GROUPS
from dtvn.protocol.consensus import messages as m
from simulator.adversary.bad_state_server import GROUP_LIES
from simulator.observers import Observer
from tests.simulation.test_state_transfer import Story

pytestmark = pytest.mark.exhaustive


class Parts(Observer):
    """Which numbers answers name."""

    kinds = frozenset({m.Groups})

    def __init__(self, story: Story) -> None:
        self.named: set[int] = set()
        self._reading = story.cluster.world.frame_cache
        story.cluster.world.observers.add(self)

    def spoke(self, node: object, receiver: str, frame: bytes) -> None:
        message = self._reading.read(frame)[1]
        self.named |= {number for number, _items in message.groups}


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_parts, "WHOLE_BYTES_MAX", 300)
    monkeypatch.setattr(machine_parts, "PART_BYTES", 1)


def test_r23_a_member_takes_a_state_in_parts_while_the_others_go_on() -> None:
    story = Story()
    seen = Parts(story)
    story.back()
    assert story.missing > 100
    assert story.told.of("transfer_complete")
    assert max(seen.named) > GROUPS > min(seen.named)


@pytest.mark.parametrize("lie", [lie for lie in GROUP_LIES if lie != "others than asked"])
def test_p17_a_poisoned_part_is_recognised_and_its_sender_avoided(lie: str) -> None:
    story = Story(r1=lie)
    story.back()
    assert story.missing > 0
    assert {fields["member"] for fields in story.told.of("poisoned")} <= {1}
    assert story.told.of("transfer_complete")
