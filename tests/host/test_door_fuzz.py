"""For any bytes of a peer the door raises PeerError and nothing else (P15)."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.wire import FrameSigner, PeerError
from dtvn.protocol.wire.envelope import encode_envelope, signed_bytes
from tests.host.support import Paper, key_pair, sample_statements

PAPER = Paper()
FRAMES = [PAPER.sign(sample) for sample in sample_statements(PAPER)]
SECRET = key_pair("r1")[1]


def passes_or_is_refused(frame: bytes) -> None:
    try:
        header = PAPER.door.peek(PAPER.inbound(frame))
        verified = PAPER.door.verify(header)
    except PeerError:
        return
    assert isinstance(verified, Verified)
    assert canonical.encode(header.message) == header.body, "one value, one byte form"


@given(st.integers(0, 255), st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_any_kind_with_any_parts_raises_only_peer_errors(
    kind: int, body: bytes, signature: bytes, attachment: bytes
) -> None:
    passes_or_is_refused(encode_envelope(kind, body, signature, attachment))


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, extreme ones included; byte strings may be whole frames."""
    if typing.get_origin(kind) is Annotated:
        # Half of the values keep the bound, so that deeper checks are reached too.
        plain, bound = typing.get_args(kind)[0], typing.get_args(kind)[1]
        return st.one_of(values(plain), inside(plain, bound))
    origin = typing.get_origin(kind)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.one_of(
            st.integers(0, 12), st.sampled_from([-(2**63), -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
        )
    if kind is str:
        return st.text(max_size=8)
    if kind is bytes:
        return st.one_of(st.binary(max_size=40), st.sampled_from(FRAMES))
    if origin is tuple:
        arguments = typing.get_args(kind)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return st.lists(values(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*(values(argument) for argument in arguments))
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(argument) for argument in typing.get_args(kind)))
    if kind is type(None):
        return st.none()
    assert issubclass(kind, msgspec.Struct), kind
    return structs(kind)


def inside(kind: Any, bound: msgspec.Meta) -> st.SearchStrategy[Any]:
    """Values that keep a field's bound."""
    if kind is int:
        most = bound.le if bound.lt is None else bound.lt - 1
        assert most is not None, "what has no bound may be more than a message can hold"
        return st.integers(bound.ge or 0, most)
    if kind is bytes:
        return st.binary(min_size=bound.min_length or 0, max_size=bound.max_length)
    return values(kind)


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {field.name: values(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def any_message() -> st.SearchStrategy[Any]:
    return st.sampled_from(sorted(m.KINDS)).flatmap(lambda number: structs(m.KINDS[number]))


@given(any_message(), st.one_of(st.just(b""), st.binary(max_size=40), st.sampled_from(FRAMES)))
def test_signed_extreme_values_raise_only_peer_errors(message: Any, attachment: bytes) -> None:
    """Extreme integers, foreign frames in every place, attachments where none belongs."""
    kind, body = m.KIND_OF[type(message)], canonical.encode(message)
    signature = b""
    if type(message) not in m.LINK:
        signature = PAPER.door.scheme.sign(SECRET, signed_bytes(PAPER.cluster, kind, body))
    passes_or_is_refused(encode_envelope(kind, body, signature, attachment))


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(FRAMES)), max_size=4))
def test_any_batch_body_raises_only_peer_errors(requests: list[bytes]) -> None:
    body = canonical.encode(m.Batch(0, 5, tuple(requests)))
    passes_or_is_refused(PAPER.sign(m.PrePrepare(0, 0, 0, 1, b"d" * 32), body))
    passes_or_is_refused(FrameSigner(PAPER.cluster, SECRET, PAPER.keys).link(m.SupplyBatch(body)))
