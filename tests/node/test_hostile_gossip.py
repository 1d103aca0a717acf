"""No bytes of a peer end a member's turn by way of the overlay (R8, R45): the real port in a real host."""

from __future__ import annotations

import base64
import json
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from nacl import bindings

from dtvn.node.overlay_port import NoDialling, OverlayPort
from dtvn.overlay import messages as o
from dtvn.overlay.overlay import Settings
from dtvn.overlay.records import ADDRESS, AddressValue, signed_address
from dtvn.protocol.canonical import encode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.host.log_server import read_referral
from dtvn.protocol.wire import link_frame
from dtvn.sync import Item, sign
from dtvn.sync import messages as s
from dtvn.sync.exchange import QUESTIONS_MAX
from tests.host.doubles import Bench

CLUSTER = b"c" * 32
SECRETS = [bindings.crypto_sign_seed_keypair(bytes([number]) * 32)[1] for number in range(1, 7)]
KEYS = [secret[32:] for secret in SECRETS]
OWN, LIAR = 0, 3
WALL = 1_700_000_000_000_000
PEER = Peer("r3", LIAR)


def signed(who: int, kind: str, key: str, value: bytes, *, version: int = 1, deleted: bool = False) -> Item:
    return sign(
        CLUSTER,
        SECRETS[who],
        kind=kind,
        key=key,
        version=version,
        value=value,
        deleted=deleted,
    )


def address(who: int, host: str, port: int = 1, version: int = 1) -> Item:
    return signed(
        who, ADDRESS, "", encode(AddressValue(f"r{who}", "relay", ((host, port),))), version=version
    )


HOSTS = ("::ffff:8.8.8.8", "2600::1", "fe80::1%a/b", "", "localhost", "224.0.0.1", "1.2.3.4\x00")
ITEMS = [
    *(
        signed_address(CLUSTER, each, AddressValue("x", "relay", (("10.0.0.1", 9),)), WALL)
        for each in SECRETS
    ),
    *(address(LIAR, host, version=number) for number, host in enumerate(HOSTS, 2)),
    signed(LIAR, ADDRESS, "", b"", version=20, deleted=True),
    signed(LIAR, ADDRESS, "", b"\xc1", version=21),
    signed(LIAR, ADDRESS, "other", b""),
    signed(LIAR, "", "", b"x" * 32_768),
    signed(4, "owed", "\U0010ffff", b"\x80"),
    Item(KEYS[LIAR], ADDRESS, "", o.NUMBER_MAX, b"", False, bytes(64)),
    Item(b"\x01" + bytes(31), ADDRESS, "", 0, b"", False, bytes(64)),
]


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a message's field, in all forms that its decoder lets in."""
    match kind:
        case inspect.StructType(cls) if cls is Item:
            return st.sampled_from(ITEMS)
        case inspect.StructType(cls, fields):
            return st.tuples(*(values(field.type) for field in fields)).map(lambda each: cls(*each))
        case inspect.UnionType(types):
            return st.one_of(*(values(each) for each in types))
        case inspect.VarTupleType(item, least, most):
            return st.lists(values(item), min_size=least or 0, max_size=min(most or 6, 6)).map(tuple)
        case inspect.TupleType(items):
            return st.tuples(*(values(each) for each in items))
        case inspect.IntType(_, _, least, most):
            small = st.integers(least or 0, min(most or 70, 70))
            return small | st.just(most or 2**62)
        case inspect.BytesType(least, most):
            low, high = least or 0, min(64 if most is None else most, 64)
            known = [each for each in (*KEYS, bytes(32), b"\xff" * 32, b"") if low <= len(each) <= high]
            return st.binary(min_size=low, max_size=max(low, high)) | st.sampled_from(known or [bytes(low)])
        case inspect.StrType():
            return st.text("0123456789abcdef", max_size=8) | st.sampled_from(
                ["a\n", "\n", "0" * 64, "f" * 63]
            )
        case inspect.BoolType():
            return st.booleans()
    raise AssertionError(kind)


OVERLAY = st.sampled_from(list(o.KINDS.values())).flatmap(lambda kind: values(inspect.type_info(kind)))
ANSWERED = st.integers(QUESTIONS_MAX + 1, QUESTIONS_MAX + 4)
"""Numbers of the first exchange that a node begins."""
SYNC = st.builds(
    msgspec.structs.replace,
    values(inspect.type_info(s.Envelope)),
    number=ANSWERED,
)
BODIES = st.one_of(
    OVERLAY.map(o.encode),
    SYNC.map(lambda envelope: o.encode(o.Exchange(encode(envelope)))),
    st.binary(max_size=200),
    st.tuples(OVERLAY.map(o.encode), st.integers(0, 400), st.binary(min_size=1, max_size=3)).map(
        lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + len(each[2]) :]
    ),
)
REFERRALS = st.one_of(
    st.text(max_size=60),
    st.lists(st.text(max_size=20)).map(lambda each: json.dumps({"children": each}, ensure_ascii=False)),
    st.lists(st.sampled_from(ITEMS), max_size=8).map(
        lambda each: json.dumps({"children": [_base64(encode(item)) for item in each]})
    ),
)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Linked:
    """The liar alone is linked."""

    def key_of(self, peer: Peer) -> bytes | None:
        return None if peer.member is None else KEYS[peer.member]

    def peers_up(self) -> dict[bytes, Peer]:
        return {KEYS[LIAR]: PEER}


class Dials(NoDialling):
    """Dials whom it is told to, and knows that all understand the overlay."""

    def dial(self, public_key: bytes, address: tuple[str, int]) -> bool:
        assert address[0].strip() == address[0] != ""
        return True


def hosts(role: str) -> Bench:
    bench = Bench()
    bench.clock.wall = WALL * 1_000
    port = OverlayPort(CLUSTER, SECRETS[OWN], "r0", Settings(typing.cast(Any, role)))
    port.follow(typing.cast(Any, Linked()), Dials(speaks=lambda _key: True))
    port.admit(KEYS[:4], KEYS[4:])
    port.begin()
    bench.host.overlay = port
    bench.host.start()
    return bench


@pytest.mark.parametrize("role", ["member", "relay"])
@settings(max_examples=150, deadline=None)
@given(
    frames=st.lists(
        BODIES.map(m.Gossip) | REFERRALS.map(lambda text: m.Answer(0, Reason.BUSY, text)), max_size=12
    )
)
def test_r45_no_bytes_of_a_peer_end_a_turn(role: str, frames: list[Any]) -> None:
    bench = hosts(role)
    for number, frame in enumerate(frames):
        peer = PEER if number % 4 else Peer("r3", LIAR, b"visit")
        bench.transport.waiting.append(Inbound(peer, link_frame(frame)))
        bench.host.turn()
        bench.clock.monotonic += 400_000_000
    bench.host.turn()


@settings(max_examples=300, deadline=None)
@given(REFERRALS)
def test_no_text_of_a_referral_raises(text: str) -> None:
    found = read_referral(text)
    assert found is None or all(isinstance(each, bytes) for each in found)
