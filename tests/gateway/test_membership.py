"""Liveness proofs for a membership change: one liar does not invalidate the proofs of others (R36)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from nacl import bindings

from dtvn import waiting
from dtvn.gateway import Answered, gather_liveness_proofs, newcomer_proof
from dtvn.gateway.liveness import ANSWER_WAIT
from dtvn.net import public_key_of
from dtvn.node.keys import dev_seed
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import (
    Change,
    LivenessProof,
    Membership,
    founding,
    liveness_bytes,
    succeed,
)
from dtvn.protocol.signatures import verify
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import ED25519

NAMES = ("node0", "node1", "node2", "node3")
FAR = 7
GENESIS = g.Genesis(
    name="words",
    created_at=1,
    members=tuple(g.Member(name, public_key_of(dev_seed(name)), "127.0.0.1", 5000) for name in NAMES),
    principals=(),
    parameters=g.Parameters(version=NEWEST),
    demo=True,
)
CLUSTER = g.cluster_id(GENESIS)


def word(member: str, *, key: str = "", epoch: int = 0) -> LivenessProof:
    now = time.time_ns() // 1_000
    secret = bindings.crypto_sign_seed_keypair(dev_seed(key or member))[1]
    return LivenessProof(
        member, 100, now, ED25519.sign(secret, liveness_bytes(CLUSTER, epoch, member, 100, now, 0))
    )


def told(said: LivenessProof, epoch: int = 0) -> str:
    return json.dumps({"word": canonical.encode_trimmed(said).hex(), "epoch": epoch})


class Town:
    """Three honest members and node3, which may answer anything. `moves`: an epoch is proved after that many
    questions, and has fewer members.
    """

    genesis = GENESIS

    def __init__(self, lie: Callable[[], str], *, moves: int = 0) -> None:
        self.present = founding(GENESIS)
        self.lie = lie
        self.moves = moves
        self.asked = 0

    def query(
        self, index: int, what: str, arguments: tuple[str, ...] = (), *, wait: float
    ) -> Future[Answered]:
        self.asked += 1
        if self.asked == self.moves:
            self.present = Membership(1, 50, self.present.members[:3], self.present.parameters)
        assert what == "alive"
        future: Future[Answered] = Future()
        if index >= len(self.present.members):
            future.set_result(Answered(0, "down", ""))
            return future
        name, epoch = NAMES[index], self.present.epoch
        if "next_key" in arguments:
            future.set_result(Answered(1, "", told(word(name, key=f"{name} again"))))
            return future
        future.set_result(Answered(1, "", self.lie() if index == 3 else told(word(name, epoch=epoch), epoch)))
        return future


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only by sleeping."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))


def begins(now: Membership, words: list[LivenessProof]) -> Membership | str:
    """The outcome of a parameter change with these liveness proofs."""
    change = Change(0, parameters=(replace(now.parameters, checkpoint_interval=20),), alive=tuple(words))
    wall = time.time_ns() // 1_000
    return succeed(now, change, sequence=101, timestamp=wall, cluster=CLUSTER, verify=verify)


LIES = {
    "a later epoch that nothing proves": lambda: told(word("node3", epoch=FAR), FAR),
    "a later epoch beside a word of this one": lambda: told(word("node3"), FAR),
    "a forged word of another": lambda: told(LivenessProof("node0", 100, time.time_ns() // 1_000, bytes(64))),
    "another's name under its own key": lambda: told(word("node0", key="node3")),
    "its own word under another's name": lambda: told(replace(word("node3"), member="node0")),
    "a stranger's": lambda: told(word("node9")),
    "junk": lambda: "[" * 5_000,
    "a number": lambda: '{"word": 7}',
}


@pytest.mark.parametrize("lie", LIES)
def test_r36_one_liar_among_the_members_prevents_no_change(lie: str) -> None:
    town = Town(LIES[lie])
    words = gather_liveness_proofs(town, wait=3.0)  # type: ignore[arg-type]
    assert {"node0", "node1", "node2"} <= {each.member for each in words}
    assert len({each.member for each in words}) == len(words)
    assert all(each.signature != bytes(64) for each in words)
    following = begins(town.present, words)
    assert isinstance(following, Membership), following
    assert following.epoch == 1


def test_r36_the_affected_members_own_proof_ends_the_wait() -> None:
    town = Town(lambda: told(word("node3")))
    assert len(gather_liveness_proofs(town, wait=3.0)) == 4  # type: ignore[arg-type]
    assert town.asked == 4


def test_r36_a_proof_under_the_next_key_counts_only_for_that_rotation() -> None:
    """And only for that one: for every other change such a member speaks under the key that it has."""
    town = Town(lambda: told(word("node3")))
    key = public_key_of(dev_seed("node3 again"))
    assert len(gather_liveness_proofs(town, wait=1.0)) == 4  # type: ignore[arg-type]
    words = gather_liveness_proofs(town, keys={"node3": key}, wait=1.0)  # type: ignore[arg-type]
    assert len(words) == 4
    (said,) = (each for each in words if each.member == "node3")
    assert verify(
        key, liveness_bytes(CLUSTER, 0, "node3", said.executed, said.timestamp, said.newest), said.signature
    )


@pytest.mark.parametrize("moves", [2, 3, 4])
def test_r36_proofs_of_an_epoch_that_ended_are_gathered_again(moves: int) -> None:
    town = Town(lambda: told(word("node3")), moves=moves)
    words = gather_liveness_proofs(town, wait=3.0)  # type: ignore[arg-type]
    assert [each.member for each in words] == ["node0", "node1", "node2"]
    for each in words:
        said = liveness_bytes(CLUSTER, 1, each.member, each.executed, each.timestamp, each.newest)
        assert verify(public_key_of(dev_seed(each.member)), said, each.signature)


class Kept:
    """Members that each give one answer about a newcomer; who asks and how is noted."""

    genesis = GENESIS
    present = founding(GENESIS)

    def __init__(self, *answers: Answered | Exception) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    def query(self, *given: Any, wait: float) -> Future[Answered]:
        self.asked.append((*given, wait))
        future: Future[Answered] = Future()
        answer = self.answers[given[0]]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


def said(member: str, at: int, *, key: str = "", epoch: int = 0) -> Answered:
    """A member that keeps a liveness proof of this time."""
    secret = bindings.crypto_sign_seed_keypair(dev_seed(key or member))[1]
    signature = ED25519.sign(secret, liveness_bytes(CLUSTER, epoch, member, 100, at, 0))
    return Answered(1, "", told(LivenessProof(member, 100, at, signature)))


def newest(*answers: Answered | Exception) -> int | None:
    """Time of the proof that is found for node9, whom four members were asked about."""
    kept = Kept(*answers)
    found = newcomer_proof(kept, "node9", public_key_of(dev_seed("node9")))  # type: ignore[arg-type]
    assert kept.asked == [(index, "newcomer", ("node9",), ANSWER_WAIT) for index in range(4)]
    assert found is None or (found.member, found.executed) == ("node9", 100)
    return None if found is None else found.timestamp


def test_r36_the_newest_valid_proof_of_a_newcomer_counts() -> None:
    good = said("node9", 5)
    none = Answered(1, "not_found", good.text)
    assert newest(said("node9", 3), good, said("node9", 4), none) == 5
    liars = (
        said("node9", 9, key="node3"),
        said("node8", 9),
        said("node9", 9, epoch=1),
        Answered(1, "", '{"word": "zz"}'),
        Answered(1, "", "[]"),
        Answered(1, "", '{"word": "00"}'),
        TimeoutError(),
        said("node8", 9, key="node9"),
    )
    for liar in liars:
        assert newest(liar, none, good, liar) == 5
        assert newest(liar, liar, liar, none) is None
