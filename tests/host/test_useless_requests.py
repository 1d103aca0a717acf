"""A principal's settled requests and openings of sessions cost few signature checks (P15)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Effects, Note, Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.host.peer_limits import (
    EXCESS_BURST,
    EXCESS_PER_SECOND,
    OPENINGS_BURST,
    OPENINGS_PER_SECOND,
    REFUSALS_BURST,
    REPEATS_BURST,
    REPEATS_PER_SECOND,
)
from dtvn.protocol.host.questions import WAITING_MAX
from dtvn.protocol.wire import link_frame
from tests.host.doubles import Bench
from tests.host.support import bundle

SECOND = 1_000_000_000
CHUNK = 200


class Doorway:
    """A host whose core takes every request, or refuses it for a reason before or after its signature is
    checked, and the clients at its door."""

    def __init__(self, refused: Reason | None = None, *, late: Reason | None = None) -> None:
        self.bench = Bench()
        self.bench.core.refusing = refused
        notes = [Note("refused", {"peer": "", "reason": late.value, "text": ""})] if late else []
        self.bench.core.on_receive = lambda _verified: Effects(notes=list(notes))

    def reached_the_core(self, frames: list[bytes], peer: Peer) -> int:
        """How many of these frames of `peer` were examined."""
        before = self._received()
        while frames:
            frames, now = frames[CHUNK:], frames[:CHUNK]
            self.bench.transport.waiting += [Inbound(peer, frame) for frame in now]
            self.bench.host.turn()
        return self._received() - before

    def _received(self) -> int:
        words = Counter(self.bench.tape.words())
        return words["receive"] + words["refused"]

    def wait(self, nanoseconds: int) -> None:
        self.bench.clock.monotonic += nanoseconds


INSIDER, HONEST, MEMBER = Peer("insider", None), Peer("gateway", None), Peer("r1", 1)


def many(bench: Bench, count: int, **fields: Any) -> list[bytes]:
    """The same request `count` times: its signature is checked once and then recognised."""
    return [bench.paper.sign(msgspec.structs.replace(bundle(), **fields))] * count


def test_r34_repeats_of_waiting_requests_are_not_limited() -> None:
    """Under overload a gateway with 512 requests under way asks for each up to three times more."""
    doorway = Doorway(Reason.SECOND_MESSAGE)
    requests = many(doorway.bench, 4 * 512)
    assert doorway.reached_the_core(requests, INSIDER) == len(requests)
    doorway.bench.core.refusing = Reason.DECIDED
    assert doorway.reached_the_core(requests[:512], INSIDER) == 512, "after a lost connection"
    doorway.bench.core.refusing = None
    assert doorway.reached_the_core(requests[:512], INSIDER) == 512, "others are taken meanwhile"


def test_requests_refused_after_their_signature_was_checked_are_limited_too() -> None:
    doorway = Doorway(late=Reason.BUSY)
    assert doorway.reached_the_core(many(doorway.bench, 2 * REFUSALS_BURST), INSIDER) == REFUSALS_BURST


def test_r5_a_settled_request_costs_no_signature_check() -> None:
    doorway = Doorway(Reason.DECIDED)
    before = doorway.bench.host.door.verifications
    assert doorway.reached_the_core(many(doorway.bench, 9), INSIDER) == 9
    assert doorway.bench.host.door.verifications == before


@pytest.mark.parametrize("opens", [False, True])
def test_a_principal_far_beyond_its_limits_is_muted_for_a_moment(opens: bool) -> None:
    """So that what it sends is dropped before it is decoded. Members forward what others sent them."""
    doorway = Doorway(None if opens else Reason.DECIDED)
    limit = OPENINGS_BURST if opens else REPEATS_BURST
    requests = many(doorway.bench, limit + EXCESS_BURST, **({"session": (0, 0)} if opens else {}))
    doorway.reached_the_core(requests, INSIDER)
    assert not doorway.bench.transport.muted
    doorway.reached_the_core(requests[:1], INSIDER)
    doorway.reached_the_core(requests, MEMBER)
    doorway.reached_the_core(requests[:limit], HONEST)
    assert doorway.bench.transport.muted == ["insider"]
    doorway.wait(SECOND)
    allowed = EXCESS_PER_SECOND + (OPENINGS_PER_SECOND if opens else REPEATS_PER_SECOND)
    doorway.reached_the_core(requests[:allowed], INSIDER)
    assert doorway.bench.transport.muted == ["insider"]


def test_questions_far_beyond_what_is_answered_mute_a_principal() -> None:
    doorway = Doorway()
    asked = [link_frame(m.Query(number=number, what="status", arguments=())) for number in range(WAITING_MAX)]
    for _ in range(2 * EXCESS_BURST // WAITING_MAX):
        doorway.bench.transport.waiting += [Inbound(INSIDER, frame) for frame in asked]
        doorway.bench.host.turn()
    assert set(doorway.bench.transport.muted) == {"insider"}
