"""The validity of a liveness proof, by batch time alone (R36; decision 0124)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.machine import Reconfigure
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import membership as ms
from simulator.scheme import KeyedHash
from tests.epochs.test_membership_changes import arrived, founded
from tests.epochs.world import SECOND, World

CLUSTER = b"c" * 32
BATCH_TIME = 1_700_000_000_000_000
DRIFT = g.Parameters().drift_bound
SCHEME = KeyedHash()


def present(**parameters: int) -> ms.Membership:
    members = tuple(g.Member(f"n{i}", SCHEME.pair(f"n{i}")[0], "host", 1 + i) for i in range(4))
    return ms.Membership(0, 0, members, g.Parameters(**parameters))


def word(member: str, said: int, *, executed: int = 100, epoch: int = 0) -> ms.LivenessProof:
    data = ms.liveness_bytes(CLUSTER, epoch, member, executed, said, 0)
    return ms.LivenessProof(member, executed, said, SCHEME.sign(SCHEME.pair(member)[1], data))


def outcome(now: ms.Membership, *words: ms.LivenessProof) -> str:
    """Of taking n3 out, at BATCH_TIME; two of the three that stay must live."""
    change = ms.Change(epoch=0, leaves="n3", allow_small=True, alive=words)
    found = ms.succeed(now, change, sequence=100, timestamp=BATCH_TIME, cluster=CLUSTER, verify=SCHEME.verify)
    return found if isinstance(found, str) else "ok"


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (-ms.ALIVE_FOR - 1, "not_ready"),
        (-ms.ALIVE_FOR, "ok"),
        (0, "ok"),
        (DRIFT, "ok"),
        (DRIFT + 1, "not_ready"),
        (ms.ALIVE_FOR, "not_ready"),
    ],
)
def test_r36_a_liveness_proof_counts_for_thirty_seconds_by_any_clock(ahead: int, code: str) -> None:
    """n1's clock is `ahead`; or it lies, to be believed alive a minute after it fell silent."""
    assert outcome(present(), word("n0", BATCH_TIME), word("n1", BATCH_TIME + ahead)) == code


def test_r36_a_wide_drift_bound_at_most_doubles_the_life_of_a_proof() -> None:
    now = present(drift_bound=600_000_000)
    for ahead, code in ((ms.ALIVE_FOR, "ok"), (ms.ALIVE_FOR + 1, "not_ready")):
        assert outcome(now, word("n0", BATCH_TIME), word("n1", BATCH_TIME + ahead)) == code


def test_r36_a_proof_counts_once_for_its_member_in_its_epoch() -> None:
    own = word("n0", BATCH_TIME)
    for other in (
        own,
        word("n0", BATCH_TIME - 1),
        word("n3", BATCH_TIME),
        replace(word("n2", BATCH_TIME), member="n1"),
        word("n1", BATCH_TIME, epoch=1),
    ):
        assert outcome(present(), own, other) == "not_ready"


def test_r36_a_dead_member_with_a_fast_clock_permits_no_change() -> None:
    """n1's clock runs 29 s ahead. It gives a proof and dies; with that proof the others would begin an epoch
    without a quorum, which could never be left.
    """
    world: World = founded("dated ahead")
    command = world.change(leaves="n3", allow_small=True)
    said = {each.member: each for each in command.change.alive}
    box = world.boxes["n1"]
    ahead = said["n1"].timestamp + 29_000_000
    data = ms.liveness_bytes(world.cluster, 0, "n1", said["n1"].executed, ahead, 0)
    signature = world.keyring.scheme.sign(world.keyring.pair(box.keys[-1])[1], data)
    dated = replace(said["n1"], timestamp=ahead, signature=signature)
    box.crash()
    world.run(SECOND)
    two = Reconfigure(replace(command.change, alive=(said["n0"], dated)))
    assert world.do(two) == "not_ready"
    world.start(box)
    world.run(SECOND)
    world.reconfigure(leaves="n3", allow_small=True)
    arrived(world)
