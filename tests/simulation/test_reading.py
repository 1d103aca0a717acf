"""Shared signature checks of the world's readers change nothing but the time of a run."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import FrameSigner, PeerError
from simulator import frame_cache
from simulator.campaign import Task, run
from simulator.checkers import no_wasted_verification
from simulator.checkers.no_wasted_verification import WatchedDoor
from simulator.frame_cache import AskedKeys, FrameCache
from simulator.scheme import Keyring

pytestmark = pytest.mark.exhaustive

CLUSTER = bytes(32)
R0, R1 = Peer("r0", 0), Peer("r1", 1)


class Keys:
    """Member 0 of every epoch that is known has this key."""

    def __init__(self, key: bytes, epochs: int) -> None:
        self._key = key
        self._epochs = epochs

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self._key if epoch < self._epochs and index == 0 else None

    def principal_key(self, name: str) -> bytes | None:
        return None


class Stage:
    """Readers that share their results."""

    def __init__(self) -> None:
        self.keyring = Keyring(real=False)
        self.frame_cache = FrameCache()

    def door(self, owner: str = "r0", epochs: int = 2, statements_max: int = 100) -> WatchedDoor:
        keys = Keys(self.keyring.pair(owner)[0], epochs)
        scheme = self.keyring.scheme
        return WatchedDoor(CLUSTER, keys, self.frame_cache, scheme=scheme, statements_max=statements_max)

    def frame(self, epoch: int = 0) -> bytes:
        secret = self.keyring.pair("r0")[1]
        signer = FrameSigner(CLUSTER, secret, Keys(b"", 0), scheme=self.keyring.scheme)
        return signer.sign(m.Suspect(epoch, 0, 1, "slow"))


def come(door: WatchedDoor, frame: bytes, peer: Peer = R0) -> Peer:
    """Deliver a frame; returns the peer of the reader's result."""
    return door.verify(door.peek(Inbound(peer, frame))).peer


def test_a_signature_is_checked_once_for_readers_with_the_same_keys() -> None:
    stage = Stage()
    first, second = stage.door(), stage.door()
    frame = stage.frame()
    come(first, frame)
    come(second, frame)
    assert (first.verifications, second.verifications) == (1, 0)


def test_a_result_is_not_shared_with_a_reader_that_has_other_keys() -> None:
    stage = Stage()
    frame = stage.frame(epoch=1)
    come(stage.door(), frame)
    with pytest.raises(PeerError) as unknown:
        come(stage.door(epochs=1), frame)
    assert unknown.value.reason is Reason.UNKNOWN_SENDER
    with pytest.raises(PeerError) as bad:
        come(stage.door(owner="r1"), frame)
    assert bad.value.reason is Reason.BAD_SIGNATURE


def test_a_result_is_shared_only_for_its_peer_and_with_equal_limits() -> None:
    stage = Stage()
    frame = FrameSigner(CLUSTER, b"", Keys(b"", 0), scheme=stage.keyring.scheme).link(
        m.SupplyFrames((stage.frame(), stage.frame(epoch=1)))
    )
    door = stage.door()
    assert come(door, frame, R0) is R0
    assert come(door, frame, R1) is R1
    assert come(door, frame, R0) is R0
    with pytest.raises(PeerError) as much:
        come(stage.door(statements_max=1), frame)
    assert much.value.reason is Reason.TOO_LARGE


class Principals:
    """wire.Keys of principals alone."""

    def __init__(self, **keys: bytes) -> None:
        self._keys = keys

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self._keys.get(f"m{epoch}_{index}")

    def principal_key(self, name: str) -> bytes | None:
        return self._keys.get(name)


def test_readers_agree_only_on_all_keys_that_were_asked_for() -> None:
    asked = AskedKeys(Principals(gate=b"one", m0_1=b"two"))
    assert (asked.principal_key("gate"), asked.member_key(0, 1), asked.principal_key("absent")) == (
        b"one",
        b"two",
        None,
    )
    looked_up = tuple(asked.asked)
    assert looked_up == ((-1, "gate", b"one"), (0, 1, b"two"), (-1, "absent", None))
    for other, agrees in (
        (Principals(gate=b"one", m0_1=b"two", more=b"three"), True),
        (Principals(gate=b"other", m0_1=b"two"), False),
        (Principals(gate=b"one", m0_1=b"other"), False),
        (Principals(gate=b"one"), False),
        (Principals(gate=b"one", m0_1=b"two", absent=b"there"), False),
    ):
        assert AskedKeys(other).agree(looked_up) is agrees


@pytest.mark.parametrize("world", ["flooder", "impostor", "epochs"])
def test_a_world_without_shared_results_plays_the_same(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(Task(1, world))
    monkeypatch.setattr(no_wasted_verification, "keep", lambda _table, _key, found: found)
    monkeypatch.setattr(frame_cache, "keep", lambda _table, _key, found: found)
    assert run(Task(1, world)) == expected
