"""What peers say for the overlay never ends a host's turn, whatever bytes they send (R8, R45)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import link_frame
from tests.host.doubles import Bench
from tests.support.table import table


class Listens:
    """An overlay that writes down to whom it was referred."""

    checks = 0

    def __init__(self) -> None:
        self.heard: list[list[bytes]] = []

    def referred(self, peer: Peer, records: Sequence[bytes], now: Now) -> None:
        self.heard.append(list(records))

    def receive(self, peer: Peer, body: bytes, now: Now) -> Reason | None:
        return None

    def turn(self, now: Now) -> Sequence[tuple[Peer, bytes]]:
        return ()

    def deadline(self) -> int | None:
        return None


def refused(*texts: str, asked: bool = True) -> tuple[list[str], Listens]:
    """Reasons for which a host refuses these referrals of a member, and the overlay beside it."""
    bench = Bench()
    bench.host.start()
    bench.host.overlay = overlay = Listens()
    bench.core.refusing = None if asked else Reason.NOT_ASKED
    for text in texts:
        frame = link_frame(m.Answer(0, Reason.BUSY, text))
        bench.transport.waiting.append(Inbound(Peer("r3", 3), frame))
    bench.host.turn()
    notes = [value for what, value in bench.tape.said if what == "note"]
    assert ("receive" in bench.tape.words()) == (len(notes) < len(texts)), "the core hears the others"
    return [note.fields["reason"] for note in notes], overlay


@table("child", ["é", "\x00", "?", "A", "AAAA\n", "ÀÀÀÀ"], count=6)
def test_a_referral_that_is_no_base64_is_refused_and_ends_no_turn(child: str) -> None:
    text = json.dumps({"members": {}, "children": [child]}, ensure_ascii=False)
    reasons, overlay = refused(text)
    assert reasons == [Reason.MALFORMED]
    assert overlay.heard == []


def test_a_referral_is_read_only_of_a_peer_that_was_asked_for_the_log() -> None:
    text = json.dumps({"members": {}, "children": ["AAAA"]})
    assert refused(text)[1].heard == [[b"\0\0\0"]]
    reasons, overlay = refused(text, asked=False)
    assert reasons == [Reason.NOT_ASKED]
    assert overlay.heard == []
