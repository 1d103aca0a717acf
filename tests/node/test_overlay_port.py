"""Which peers of a member its fanout counts (R45)."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from nacl import bindings

from dtvn.node.overlay_port import OverlayPort
from dtvn.overlay.overlay import Settings
from dtvn.overlay.records import AddressValue, signed_address
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.verified import Peer

CLUSTER = b"c" * 32
PAIRS = [bindings.crypto_sign_seed_keypair(bytes([number]) * 32) for number in range(3)]
MEMBER, OTHER, PRINCIPAL = (public for public, _secret in PAIRS)
PLACE = ("10.0.0.7", 7_000)


class Linked:
    """The other member and one principal are linked."""

    def key_of(self, peer: Peer) -> bytes | None:
        return {"r1": OTHER, "gate": PRINCIPAL}.get(peer.name)

    def peers_up(self) -> dict[bytes, Peer]:
        return {}


@pytest.mark.parametrize(
    ("role", "places", "counted"),
    [("relay", (PLACE,), True), ("leaf", (), True), ("member", (PLACE,), False), ("book", (PLACE,), False)],
)
def test_r45_a_follower_is_known_by_its_record_and_a_newcomer_keeps_its_place(
    role: Any, places: tuple[tuple[str, int], ...], counted: bool
) -> None:
    port = OverlayPort(CLUSTER, PAIRS[0][1], "r0", Settings("member"))
    port.follow(cast(Any, Linked()), cast(Any, None))
    port.admit([MEMBER, OTHER], [PRINCIPAL])
    gate = Peer("gate", None, b"route")
    assert not port.is_follower(gate), "nothing is known of it"
    now = Now(time.monotonic_ns(), time.time_ns())
    records = [
        signed_address(CLUSTER, PAIRS[2][1], AddressValue("gate", role, places), now.wall // 1_000),
        signed_address(CLUSTER, PAIRS[1][1], AddressValue("r1", "relay", (PLACE,)), now.wall // 1_000),
    ]
    port.overlay.hear(records, now)
    assert port.is_follower(gate) == counted
    assert not port.is_follower(Peer("r1", 1)), "a member is no follower, whatever its record says"
