"""At most one process of a Raft member is heard (R44)."""

from __future__ import annotations

from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.greetings import SILENT_AFTER, Greetings

FIRST, SECOND = Peer("m1", 1, b"first link"), Peer("m1", 1, b"second link")


def hello(incarnation: int, start: bytes) -> Hello:
    return Hello(b"", incarnation, start)


def refused(found: list[tuple[Peer, Hello]]) -> list[bytes]:
    return [peer.route for peer, _refusal in found]


def test_a_process_that_starts_again_replaces_the_one_before() -> None:
    greetings = Greetings(b"own")
    assert greetings.take(FIRST, hello(4, b"a"), 0) == []
    assert refused(greetings.take(SECOND, hello(5, b"b"), 1)) == [FIRST.route]
    assert not greetings.hears(FIRST, 2)
    assert greetings.hears(SECOND, 2)


def test_an_older_disk_and_a_copy_with_the_same_incarnation_are_refused_and_told_why() -> None:
    for incarnation in (4, 5):
        greetings = Greetings(b"own")
        greetings.take(FIRST, hello(5, b"a"), 0)
        [(peer, refusal)] = greetings.take(SECOND, hello(incarnation, b"b"), 1)
        assert (peer.route, refusal.known, refusal.known_start) == (SECOND.route, 5, b"a")
        assert not greetings.hears(SECOND, 2)
        assert greetings.hears(FIRST, 2)
        assert Greetings(b"b").refuses_this(refusal, incarnation)
        assert not Greetings(b"a").refuses_this(refusal, 5), "it is the one that is known"


def test_a_process_without_a_vote_is_heard_once_the_one_that_votes_is_silent() -> None:
    greetings = Greetings(b"own")
    greetings.take(FIRST, hello(5, b"a"), 0)
    greetings.take(SECOND, hello(0, b"b"), 1)
    assert greetings.hears(FIRST, 10)
    assert not greetings.hears(SECOND, SILENT_AFTER)
    assert greetings.hears(SECOND, SILENT_AFTER + 11)


def test_a_process_that_loses_its_vote_is_heard_on() -> None:
    greetings = Greetings(b"own")
    greetings.take(FIRST, hello(5, b"a"), 0)
    assert greetings.take(FIRST, hello(0, b"a"), 1) == []
    assert greetings.hears(FIRST, 2)
