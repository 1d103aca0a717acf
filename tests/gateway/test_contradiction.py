"""While f + 1 members claim contradicting certificates, nothing is sent (R14, R24)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from tests.gateway.support import SECOND, Desk, operation

WHY = "quorums signed two states after sequence 10 of epoch 0"


def say(desk: Desk, why: str, *members: int) -> None:
    """These members give this answer to the next question."""
    desk.pass_time(SECOND)
    for number in range(1, 2_000):
        for member in members:
            text = f'{{"view": 0, "sequence": 7, "contradiction": "{why}"}}'
            desk.collector.receive(member, link_frame(m.Answer(number, "", text)), desk.now)
    desk.settle()


def test_f_claims_of_a_contradiction_change_nothing() -> None:
    desk = Desk()
    say(desk, WHY, 3)
    call = desk.submit(operation())
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)


@pytest.mark.parametrize("members", [(2, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_f_plus_1_claims_of_a_contradiction_end_unsent_calls(members: tuple[int, ...]) -> None:
    desk = Desk()
    under_way = desk.submit(operation("T-sent"), wait=30 * SECOND)
    desk.bundles()
    say(desk, WHY, *members)
    desk.bundles()
    call = desk.submit(operation("T-new"))
    assert desk.codes(call) == ("cluster_contradiction",)
    assert desk.bundles() == []
    assert desk.codes(under_way) is None, "what was sent may have happened"
    desk.pass_time(30 * SECOND)
    assert desk.codes(under_way) == ("outcome_unknown",)


def test_sending_resumes_when_the_claims_end() -> None:
    desk = Desk()
    say(desk, WHY, 2, 3)
    say(desk, "", 2)
    call = desk.submit(operation())
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)
