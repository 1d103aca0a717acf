"""The core's bounded tables, against plain models (P15)."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.bodies import NULL_BATCH, Bodies, memory
from dtvn.protocol.consensus.config import MILLISECOND, build
from dtvn.protocol.consensus.evidence import KNOWN_MAX, Evidence
from dtvn.protocol.consensus.fetching import Fetching
from dtvn.protocol.consensus.log import LateCommits, Log, Vote
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.request_key import FRAMING, key_of
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.throttle import REMEMBERED_MAX, Throttle
from dtvn.protocol.consensus.verified import Peer, Verified, VerifiedBatch, VerifiedBundle
from dtvn.protocol.genesis import Genesis, Member, Parameters

OPERATION = m.Operation("seed", "default", "T", "a", "m0", 1, b"", b"")


def verified_bundle(session: int, number: int, operations: int = 1, size: int = 100) -> VerifiedBundle:
    bundle = m.Bundle(0, "gateway", b"c", (session, 0), number, 0, (OPERATION,) * operations)
    return VerifiedBundle(bundle, bytes([session, number % 256]) * 16, b"f" * size)


def batch(number: int, size: int) -> VerifiedBatch:
    return VerifiedBatch(m.Batch(0, number, ()), number.to_bytes(32, "big"), b"b" * size, ())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4), st.integers(0, 9), st.integers(1, 6)),
        st.tuples(st.just("remove"), st.integers(1, 4), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("behind"), st.integers(1, 4), st.integers(0, 9), st.integers(1, 6)),
        st.tuples(st.just("take"), st.integers(1, 12), st.integers(100, 900), st.just(0)),
        st.tuples(st.just("lead"), st.just(0), st.just(0), st.just(0)),
        st.tuples(st.just("follow"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_pool_counts_what_it_holds(moves: list[tuple[str, int, int, int]]) -> None:
    """Sums, shares and what waits agree with a dictionary; nothing is given out twice."""
    pool = Pool(operations_max=40, bytes_max=4_000, client_share=2)
    model: dict[Any, VerifiedBundle] = {}
    behind: dict[Any, VerifiedBundle] = {}
    proposed: set[Any] = set()
    for move, first, second, third in moves:
        if move == "add":
            bundle = verified_bundle(first, second, third)
            key = key_of(bundle.bundle)
            if key not in model and pool.refuse(bundle) is None:
                pool.add(bundle, key, now=len(model))
                model[key] = bundle
        elif move == "remove":
            key = ("gateway", first, 0, second)
            pool.remove(key)
            model.pop(key, None)
            behind.pop(key, None)
            proposed.discard(key)
        elif move == "behind":
            item = pool.get(key := ("gateway", first, 0, second))
            other = verified_bundle(first, second, third, size=third * 40)
            if item is not None and pool.put_behind(item, other, None):
                behind[key] = other
        elif move == "take" and pool.leading:
            taken = pool.take(first, second)
            keys = [item.key for item in taken]
            assert not set(keys) & proposed
            assert set(keys) <= set(model)
            if len(taken) > 1:
                assert sum(item.operations for item in taken) <= first
                assert sum(item.size for item in taken) <= second
            proposed |= set(keys)
        elif move == "lead":
            pool.lead()
            proposed.clear()
        elif move == "follow":
            pool.follow()
            proposed.clear()
        assert [item.key for item in pool] == list(model), "in order of arrival"
        assert pool.operations == sum(len(b.bundle.operations) for b in model.values())
        operations = pool.operations + sum(len(b.bundle.operations) for b in behind.values())
        assert operations == sum(held.operations for held in pool._held.values()) <= 40
        sizes = {key: len(b.frame) + FRAMING for key, b in model.items()}
        for key, other in behind.items():
            sizes[key] += len(other.frame) + FRAMING
        assert pool.bytes == sum(sizes.values()) == sum(held.bytes for held in pool._held.values()) <= 4_000
        waiting = [b for key, b in model.items() if key not in proposed] if pool.leading else []
        assert pool.waiting_operations == sum(len(b.bundle.operations) for b in waiting)
        assert pool.waiting_bytes == sum(sizes[key] for key in sizes if pool.leading and key not in proposed)


def test_r30_naming_a_foreign_session_takes_neither_its_place_nor_share() -> None:
    pool = Pool(operations_max=40, bytes_max=4_000, client_share=2)
    owner, stranger = verified_bundle(1, 0, 20), verified_bundle(1, 0, 20)
    stranger = msgspec.structs.replace(
        stranger, bundle=msgspec.structs.replace(stranger.bundle, principal="x")
    )
    keys = [key_of(each.bundle) for each in (stranger, owner)]
    assert keys[0] != keys[1]
    pool.add(stranger, keys[0], 0)
    assert pool.refuse(owner) is None, "half of the pool is still its own"
    pool.add(owner, keys[1], 0)
    assert len(pool) == 2


def test_what_waited_behind_others_takes_no_room_once_they_left() -> None:
    pool = Pool(operations_max=200, bytes_max=10**6, client_share=8)
    for number in range(50):
        first, behind = verified_bundle(1, number, 10), verified_bundle(1, number, 10)
        key = key_of(first.bundle)
        assert pool.refuse(first) is None, f"after {number} others"
        pool.add(first, key, 0)
        item = pool.get(key)
        assert item is not None
        assert pool.put_behind(item, behind, None)
        assert pool.remove(key) is item
    assert (len(pool), pool.operations, pool.bytes, pool.work) == (0, 0, 0, 0)


def test_r13_opening_bundles_are_distinguished_as_by_the_state() -> None:
    """They share session (0, 0) and number 0; one nonce of one actor opens one session, however it travels.
    If another actor or body had its place too, a principal without grants could hold one at the backups and
    keep the primary from taking it.
    """

    def opening(principal: str = "gateway", client: bytes = b"c", **fields: Any) -> bytes:
        operation = msgspec.structs.replace(OPERATION, **({"nonce": b"1"} | fields))
        key = key_of(m.Bundle(0, principal, client, (0, 0), 0, 0, (operation,)))
        assert isinstance(key, bytes)
        return key

    first = opening()
    assert first == opening(client=b"other") == opening(valid_until=2) == opening(entry="m1")
    others = [
        opening("gate"),
        opening(nonce=b"2"),
        opening(actor="b"),
        opening(payload=b"none that opens"),
        opening(event="other"),
    ]
    assert len({first, *others}) == 1 + len(others)


def test_bodies_are_bounded_and_executed_ones_go_first() -> None:
    bodies = Bodies(bytes_max=300)
    for number in (1, 2, 3):
        assert bodies.add(batch(number, 100), number, executed=0)
    assert not bodies.add(batch(4, 100), 4, executed=0), "no room: asked for again later"
    assert bodies.add(batch(4, 100), 4, executed=2)
    kept = [number for number in (1, 2, 3, 4) if number.to_bytes(32, "big") in bodies]
    assert kept == [3, 4]
    bodies.prune(3)
    assert bodies.add(batch(5, 200), 5, executed=3)
    assert bodies.get(m.NULL_BATCH_DIGEST) is NULL_BATCH


def test_row_15_a_body_weighs_what_it_takes_when_decoded() -> None:
    """Short operations: a few bytes each on the wire, many times that in memory."""
    operation = m.Operation("ki", "ev", "ti", "ac", "no", 300, b"12", b"23")
    body = canonical.encode(m.Bundle(0, "g", b"", (1, 0), 0, 0, (operation,) * 1_000))
    tracemalloc.start()
    bundle = canonical.decode(m.Bundle, body)
    taken, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    dense = VerifiedBatch(
        batch=m.Batch(0, 0, (b"frame",)),
        digest=b"d" * 32,
        body=body,
        bundles=(VerifiedBundle(bundle, b"r" * 32, b"frame"),),
    )
    assert taken > 5 * len(body), "encoded bytes say little"
    assert memory(dense) >= taken
    bodies = Bodies(bytes_max=memory(dense) + 1_000)
    assert bodies.add(dense, 1, executed=0)
    assert not bodies.add(batch(2, 2_000), 2, executed=0)
    bodies.prune(1)
    assert bodies.add(batch(2, memory(dense)), 2, executed=1), "all its room is free again"


def test_bodies_of_left_views_make_room_oldest_first() -> None:
    """What was PREPAREd is kept while there is room; what only a primary named is forgotten."""
    bodies = Bodies(bytes_max=400)
    for number in (1, 2, 3, 4):
        bodies.add(batch(number, 100), number, executed=0)
    digests = {number: number.to_bytes(32, "big") for number in range(1, 7)}
    bodies.leave_view({digests[1]}, {digests[2], digests[3]})
    assert [n for n, digest in digests.items() if digest in bodies] == [1, 2, 3]
    assert bodies.add(batch(5, 100), 5, executed=0)
    assert bodies.add(batch(6, 100), 6, executed=0)
    assert [n for n, digest in digests.items() if digest in bodies] == [1, 3, 5, 6]


def core(**fields: Any) -> Any:
    """The parts of a replica that a table reads."""
    now = SimpleNamespace(monotonic=0)
    return SimpleNamespace(now=now, outbox=Outbox(alone=False), index=0, others=[1, 2, 3], **fields)


def test_fetches_are_bounded_and_members_asked_in_turn() -> None:
    replica = core()
    fetching = Fetching(replica, lambda digest: digest, fetches_max=2, delay=20, retry=100)
    fetching.ask(b"a", 1)
    fetching.ask(b"b", 2, holders=(2,))
    fetching.ask(b"c", 3)
    assert len(fetching) == 2
    asked = []
    for time in range(0, 700, 10):
        replica.now.monotonic = time
        fetching.tick()
        asked += [(send.frame, send.to, time) for send in replica.outbox.take().send]
    assert [(to, time) for frame, to, time in asked if frame == b"a"][:4] == [
        (1, 20),
        (2, 120),
        (3, 220),
        (1, 320),
    ]
    assert [(to, time) for frame, to, time in asked if frame == b"b"][:2] == [(2, 0), (1, 100)]
    fetching.prune(1)
    assert b"a" not in fetching


def test_a_throttle_remembers_a_bounded_number() -> None:
    replica = core()
    throttle = Throttle(replica, 100)
    assert throttle.allow(1, b"x")
    assert not throttle.allow(1, b"x")
    assert throttle.allow(2, b"x")
    replica.now.monotonic = 100
    assert throttle.allow(1, b"x")
    assert not throttle.allow(1, b"x", parts=3)
    replica.now.monotonic = 400
    assert not throttle.allow(1, b"x", parts=3), "a large thing waits four intervals"
    replica.now.monotonic = 500
    assert throttle.allow(1, b"x", parts=3)
    for number in range(2 * REMEMBERED_MAX):
        throttle.allow(1, number.to_bytes(4, "big"))
    assert len(throttle._last) == REMEMBERED_MAX


def test_evidence_is_remembered_in_bounds() -> None:
    replica = core()
    evidence = Evidence(replica.outbox)
    for sequence in range(KNOWN_MAX + 10):
        message = m.Commit(0, 1, 0, sequence, b"d")
        verified = Verified(Peer("m1", 1), message, b"frame", b"digest")
        evidence.note_double("commit", verified, b"other")
        evidence.note_double("commit", verified, b"other")
    assert len(replica.outbox.take().notes) == KNOWN_MAX + 10
    assert not evidence.known("commit", m.Commit(0, 1, 0, 0, b"d"))
    assert evidence.known("commit", m.Commit(0, 1, 0, KNOWN_MAX, b"d"))


def test_late_commits_count_one_view_and_digest_at_a_time() -> None:
    """R21: q COMMITs of one view; a sender's newest view counts."""
    late = LateCommits()
    assert late.add(1, 0, Vote(b"a", b"f1")) == 1
    assert late.add(2, 0, Vote(b"b", b"f2")) == 1
    assert late.add(3, 0, Vote(b"a", b"f3")) == 2
    assert late.add(1, 2, Vote(b"a", b"f4")) == 1
    assert late.add(1, 1, Vote(b"a", b"f5")) == 0, "older than its newest: not counted"
    assert late.frames(0, b"a") == (b"f3",)


def test_the_log_forgets_what_a_checkpoint_covers() -> None:
    log = Log(window=32, watermark_span=42)
    for sequence in range(1, 30):
        log.open(sequence, 0, 0)
        log.on_executed(sequence, b"d")
        log.late[sequence] = LateCommits()
    log.prune(20)
    assert min(log.slots) == min(log.digests) == min(log.late) == 21
    assert not log.inside(20)
    assert log.inside(62)
    assert not log.inside(63)
    for sequence in range(30, 1_000):
        log.on_executed(sequence, b"d")
    assert len(log.digests) == 4 * 32


@pytest.mark.parametrize("view_timeout", [50_000, 200_000, 800_000, 60_000_000])
def test_r30_an_idle_primary_beats_well_within_any_view_timeout(view_timeout: int) -> None:
    """With T below two heartbeats an idle cluster changed views for ever."""
    member = Member("m0", bytes(32), "127.0.0.1", 4_000)
    genesis = Genesis("short", 1, (member,), (), Parameters(view_timeout=view_timeout), demo=True)
    config = build(genesis, bytes(32), "m0")
    assert config.heartbeat == min(200 * MILLISECOND, config.timeout_base // 4)
