"""The door: what it refuses, and that it refuses cheaply first.

PROTOCOL R1, R5; P2, P4, P10, P12, P15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.wire import (
    FRAME_BYTES_MAX,
    Door,
    Envelope,
    PeerError,
    decode_envelope,
    limits,
    link_frame,
    one_in_64,
)
from dtvn.protocol.wire.envelope import encode_envelope, signed_bytes
from tests.canonical_form import is_canonical
from tests.host.support import EPOCH, Paper, bundle, key_pair, operation, sample_statements
from tests.support.table import table

PAPER = Paper()
SAMPLES = sample_statements(PAPER)
NAMES = [type(sample).__name__ for sample in SAMPLES]


def refused(paper: Paper, frame: bytes, index: int = 1) -> Reason:
    with pytest.raises(PeerError) as caught:
        paper.verify(frame, index)
    return caught.value.reason


def other_values(value: Any) -> Iterator[Any]:
    """Values of the same type that differ: one small step, and emptiness."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value + 2**40)
        case str():
            yield from (value + "x", "")
        case bytes():
            yield from (bytes([value[0] ^ 1]) + value[1:], b"") if value else (b"x",)
        case msgspec.Struct():
            for field in value.__struct_fields__:
                for other in other_values(getattr(value, field)):
                    yield msgspec.structs.replace(value, **{field: other})
        case tuple():
            if value:
                yield value[:-1]
                for other in other_values(value[0]):
                    yield (other, *value[1:])


def with_old_signature(frame: bytes, message: Any) -> bytes:
    envelope = canonical.decode(Envelope, frame)
    return encode_envelope(envelope.kind, canonical.encode(message), envelope.signature, envelope.attachment)


def test_every_kind_of_statement_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == m.STATEMENTS | {m.Bundle}


@table("sample", SAMPLES, ids=NAMES, count=13)
def test_row_2_each_signed_field_is_covered(sample: Any) -> None:
    paper = Paper()
    frame = paper.sign(sample)
    changed = [other for other in other_values(sample) if other != sample]
    assert len(changed) >= len(sample.__struct_fields__)
    for other in changed:
        assert refused(paper, with_old_signature(frame, other)) in {
            Reason.BAD_SIGNATURE,
            Reason.UNKNOWN_SENDER,
            Reason.MALFORMED,
        }, other


@table("sample", SAMPLES, ids=NAMES, count=13)
def test_row_2_each_byte_of_the_frame_is_covered(sample: Any) -> None:
    paper = Paper()
    frame = paper.sign(sample)
    paper.verify(frame)
    for position in range(len(frame)):
        broken = bytearray(frame)
        broken[position] ^= 0x01
        refused(paper, bytes(broken))


def test_row_2_a_prepare_does_not_pass_as_a_commit() -> None:
    """The kind is under the signature: bodies of equal shape are not exchangeable."""
    prepare = PAPER.sign(m.Prepare(EPOCH, 1, 0, 11, b"d" * 32))
    envelope = canonical.decode(Envelope, prepare)
    for kind in (m.PrePrepare, m.Commit):
        assert is_canonical(kind, envelope.body), "the body fits"
        replayed = encode_envelope(m.KIND_OF[kind], envelope.body, envelope.signature)
        assert refused(PAPER, replayed) is Reason.BAD_SIGNATURE


def test_row_2_no_signature_and_a_foreign_signature_are_refused() -> None:
    body = canonical.encode(m.Prepare(EPOCH, 1, 0, 11, b"d" * 32))
    assert refused(PAPER, encode_envelope(17, body, b"")) is Reason.BAD_SIGNATURE
    foreign = PAPER.signer("r2").sign(m.Prepare(EPOCH, 1, 0, 11, b"d" * 32))
    assert refused(PAPER, foreign, index=2) is Reason.BAD_SIGNATURE
    stranger = PAPER.signer("mallory").sign(bundle())
    assert refused(PAPER, stranger) is Reason.BAD_SIGNATURE


@table("sample", SAMPLES, ids=NAMES, count=13)
def test_row_10_another_cluster_with_the_same_keys_is_refused(sample: Any) -> None:
    other = Paper(name="another")
    assert other.genesis.members == PAPER.genesis.members
    assert refused(other, PAPER.sign(sample)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(("epoch", "sender"), [(1, 1), (0, 4), (2**62, 1), (0, 2**62)])
def test_row_10_other_epochs_and_strangers_have_no_key(epoch: int, sender: int) -> None:
    frame = PAPER.signer("r1").sign(m.Prepare(epoch, sender, 0, 11, b"d" * 32))
    before = PAPER.door.verifications
    assert refused(PAPER, frame) is Reason.UNKNOWN_SENDER
    assert PAPER.door.verifications == before, "row 15: an unknown sender costs no signature"


@table(
    "message",
    [
        m.Prepare(-1, 1, 0, 11, b"d" * 32),
        m.Prepare(0, 1, 2**63, 11, b"d" * 32),
        m.Prepare(0, 1, 0, 11, b"d" * 31),
        m.PrePrepare(0, 0, 0, 11, b"d" * 66_000),
        m.NewView(0, 1, 9, ((0, b"d" * 66_000),), ()),
        m.Receipt(0, 1, 11, b""),
        m.Suspect(0, 1, 1, "x" * 257),
    ],
    count=7,
)
def test_row_15_shapes_are_checked_when_decoded(message: Any) -> None:
    """A digest is 32 bytes and a number fits 62 bits, or the frame costs no signature and no memory."""
    before = PAPER.door.verifications
    assert refused(PAPER, PAPER.sign(message)) in {Reason.MALFORMED, Reason.TOO_LARGE}
    assert PAPER.door.verifications == before


# --- nested statements ---------------------------------------------------------------------------


def view_change(checkpoint: tuple[bytes, ...], *proofs: m.PreparedProof) -> bytes:
    return PAPER.sign(m.ViewChange(EPOCH, 1, 1, checkpoint, proofs))


def test_row_4_nested_statements_are_verified_too() -> None:
    """A liar signs the VIEW-CHANGE, but cannot make the votes inside."""
    good = PAPER.sign(m.PrePrepare(EPOCH, 0, 0, 11, b"d" * 32))
    forged = PAPER.signer("r1").sign(m.Prepare(EPOCH, 2, 0, 11, b"d" * 32))
    assert refused(PAPER, view_change((), m.PreparedProof(good, (forged,)))) is Reason.BAD_SIGNATURE
    forged = PAPER.signer("r1").sign(m.PrePrepare(EPOCH, 0, 0, 11, b"d" * 32))
    assert refused(PAPER, view_change((), m.PreparedProof(forged, ()))) is Reason.BAD_SIGNATURE
    forged = PAPER.signer("r1").sign(m.Checkpoint(EPOCH, 3, 10, b"s" * 32, b"l" * 32, 1))
    assert refused(PAPER, view_change((forged,))) is Reason.BAD_SIGNATURE


def test_row_4_a_statement_of_another_kind_is_no_proof() -> None:
    commit = PAPER.sign(m.Commit(EPOCH, 2, 0, 11, b"d" * 32))
    good = PAPER.sign(m.PrePrepare(EPOCH, 0, 0, 11, b"d" * 32))
    assert refused(PAPER, view_change((commit,))) is Reason.BAD_PROOF
    assert refused(PAPER, view_change((), m.PreparedProof(good, (commit,)))) is Reason.BAD_PROOF
    assert refused(PAPER, view_change((), m.PreparedProof(b"", ()))) is Reason.MALFORMED


def test_a_certificate_carries_no_batch() -> None:
    body = canonical.encode(m.Batch(0, 5, ()))
    frame = PAPER.sign(m.PrePrepare(EPOCH, 0, 0, 11, m.batch_digest(0, 5, ())), body)
    assert refused(PAPER, view_change((), m.PreparedProof(frame, ()))) is Reason.BAD_PROOF


def test_supplied_frames_must_be_statements() -> None:
    signer = PAPER.signer("r1")
    inner = PAPER.sign(m.Suspect(EPOCH, 2, 1, "silence"))
    verified = PAPER.verify(signer.link(m.SupplyFrames((inner,))))
    assert [v.message for v in verified.nested.values()] == [m.Suspect(EPOCH, 2, 1, "silence")]
    for wrong in (PAPER.sign(bundle()), signer.link(m.Hello(b"")), signer.link(m.SupplyFrames((inner,)))):
        assert refused(PAPER, signer.link(m.SupplyFrames((wrong,)))) is Reason.WRONG_KIND


def test_row_15_too_many_nested_statements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PAPER.door, "statements_max", 3)
    frame = PAPER.sign(m.Checkpoint(EPOCH, 0, 10, b"s" * 32, b"l" * 32, 1))
    assert refused(PAPER, view_change((frame,) * 4)) is Reason.TOO_LARGE


# --- batches and requests ------------------------------------------------------------------------


def pre_prepare(*requests: bytes, digest: bytes | None = None) -> bytes:
    body = canonical.encode(m.Batch(0, 5, requests))
    digests = tuple(m.bundle_digest(canonical.decode(Envelope, r).body) for r in requests)
    return PAPER.sign(m.PrePrepare(EPOCH, 0, 0, 1, digest or m.batch_digest(0, 5, digests)), body)


def test_a_batch_that_was_not_signed_is_refused() -> None:
    assert refused(PAPER, pre_prepare(PAPER.sign(bundle()), digest=b"d" * 32)) is Reason.BAD_BATCH
    forged = PAPER.signer("mallory").sign(bundle())
    assert refused(PAPER, pre_prepare(forged)) is Reason.BAD_SIGNATURE
    statement = PAPER.sign(m.Suspect(EPOCH, 2, 1, "x"))
    assert refused(PAPER, pre_prepare(statement)) is Reason.BAD_BATCH


def test_a_batch_of_impossible_time_or_view_is_refused() -> None:
    for batch in (m.Batch(-1, 5, ()), m.Batch(0, -5, ()), m.Batch(2**63, 5, ()), m.Batch(0, 2**63, ())):
        with pytest.raises(PeerError) as caught:
            PAPER.door.batch(canonical.encode(batch))
        assert caught.value.reason is Reason.BAD_BATCH


def test_only_a_pre_prepare_has_an_attachment() -> None:
    for sample in SAMPLES:
        if isinstance(sample, m.PrePrepare):
            continue
        assert refused(PAPER, PAPER.sign(sample, b"\x93\x00\x05\x90")) is Reason.MALFORMED


def test_a_link_message_has_no_signature() -> None:
    body = canonical.encode(m.Hello(b""))
    assert refused(PAPER, encode_envelope(m.KIND_OF[m.Hello], body, b"s" * 64)) is Reason.MALFORMED
    assert refused(PAPER, encode_envelope(m.KIND_OF[m.Hello], body, b"", b"a")) is Reason.MALFORMED
    with pytest.raises(TypeError, match="must be signed"):
        PAPER.signer("r1").link(m.Prepare(EPOCH, 1, 0, 1, b""))


# --- sizes ---------------------------------------------------------------------------------------


def test_row_15_sizes_are_refused_before_anything_is_decoded() -> None:
    assert refused(PAPER, b"\xc1" * (FRAME_BYTES_MAX + 1)) is Reason.TOO_LARGE
    big = PAPER.sign(m.Suspect(EPOCH, 1, 1, "x"), b"a" * 100)
    assert refused(PAPER, big) is Reason.MALFORMED, "only a PRE-PREPARE has an attachment"
    large = m.Operation("seed", "default", "T", "a", "r0", 1, b"", b"p" * limits.BUNDLE_FRAME_BYTES_MAX)
    request = PAPER.sign(bundle(0, large))
    assert refused(PAPER, request) is Reason.TOO_LARGE
    assert refused(PAPER, pre_prepare(request)) is Reason.TOO_LARGE


def test_row_15_the_memory_of_valid_frames_is_bounded() -> None:
    paper = Paper()
    assert paper.door.remembered_max == limits.VERIFIED_CACHE_MAX
    paper.door.remembered_max = 4
    for sequence in range(10):
        paper.verify(paper.sign(m.Prepare(EPOCH, 1, 0, sequence, b"d" * 32)))
    assert paper.door.remembered == 4
    paper.verify(paper.sign(m.Prepare(EPOCH, 1, 0, 0, b"d" * 32)))
    assert (paper.door.verifications, paper.door.recognitions) == (11, 0), "forgotten, so checked again"
    paper.verify(paper.sign(m.Prepare(EPOCH, 1, 0, 0, b"d" * 32)))
    assert (paper.door.verifications, paper.door.recognitions) == (11, 1)


# --- one signature scheme (row 12) ---------------------------------------------------------------

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_row_12_a_malleated_signature_is_refused() -> None:
    """S + L verifies in libraries that do not check that S is canonical."""
    frame = PAPER.sign(m.Prepare(EPOCH, 1, 0, 11, b"d" * 32))
    envelope = canonical.decode(Envelope, frame)
    scalar = int.from_bytes(envelope.signature[32:], "little") + GROUP_ORDER
    signature = envelope.signature[:32] + scalar.to_bytes(32, "little")
    assert refused(PAPER, encode_envelope(envelope.kind, envelope.body, signature)) is Reason.BAD_SIGNATURE


TORSION = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
"""The 8 points of small order and their 6 non-canonical spellings."""


@table("key", TORSION, count=14)
def test_row_12_keys_of_small_order_sign_nothing(key: str) -> None:
    """The 14 x 14 edge cases: some libraries accept some of them, so a cluster of two would split."""
    scheme = PAPER.door.scheme
    for point in TORSION:
        assert not scheme.verify(bytes.fromhex(key), b"Zcash", bytes.fromhex(point) + bytes(32))


def test_row_12_the_identity_of_a_request_does_not_depend_on_its_signature() -> None:
    first = PAPER.verify(PAPER.sign(bundle()))
    envelope, _ = decode_envelope(PAPER.sign(bundle()))
    trusting = type(PAPER.door)(PAPER.cluster, PAPER.keys, trusted=True)
    other = encode_envelope(envelope.kind, envelope.body, b"\1" * 64)
    second = trusting.verify(trusting.peek(PAPER.inbound(other)))
    assert first.bundle is not None
    assert second.bundle is not None
    assert second.bundle.digest == first.bundle.digest
    assert second.body_digest == first.body_digest


def test_row_12_the_verdict_does_not_depend_on_earlier_frames() -> None:
    """A principal signs a body in which a second request's signed bytes stand, so that signature ||
    signed bytes of the two can be cut in two places. The memory of valid frames must not accept the
    second cut: a door without that memory refuses it, and two verdicts split a cluster."""
    inner = canonical.encode(bundle(1))
    hidden = signed_bytes(PAPER.cluster, 1, inner)
    carrier = PAPER.sign(bundle(0, msgspec.structs.replace(operation(), payload=hidden)))
    envelope = canonical.decode(Envelope, carrier)
    data = signed_bytes(PAPER.cluster, envelope.kind, envelope.body)
    cut = data.index(hidden)
    assert data.endswith(hidden), "the payload is the last field of a bundle"
    paper = Paper()
    paper.verify(carrier)
    twisted = encode_envelope(1, inner, envelope.signature + data[:cut])
    assert refused(paper, twisted) is Reason.BAD_SIGNATURE


# --- the own ledger ------------------------------------------------------------------------------


def test_a_frame_of_the_own_ledger_opens_without_a_check() -> None:
    signer = PAPER.signer("r0")
    request = PAPER.sign(bundle())
    frame = pre_prepare(request)
    bare, body = signer.attach(frame, b""), canonical.decode(Envelope, frame).attachment
    verified = signer.open(bare, body)
    assert verified.batch is not None
    assert verified.batch.bundles[0].frame == request
    assert verified.frame == bare
    assert signer.attach(bare, body) == frame
    assert signer.open(bare).batch is None


def test_r4_the_same_statement_gives_the_same_bytes() -> None:
    for sample in SAMPLES:
        assert PAPER.sign(sample) == Paper().sign(sample)


def test_key_pairs_of_the_test_are_distinct() -> None:
    assert len({key_pair(name)[0] for name in ("r0", "r1", "r2", "r3", "gateway", "mallory")}) == 6


def test_row_15_statements_are_counted_before_one_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar's own valid signatures, thousands of them in one frame, cost it more than us."""
    monkeypatch.setattr(PAPER.door, "statements_max", 20)
    votes = tuple(PAPER.sign(m.Prepare(EPOCH, 1, 0, s, b"d" * 32)) for s in range(30))
    proof = m.PreparedProof(PAPER.sign(m.PrePrepare(EPOCH, 0, 0, 1, b"d" * 32)), votes)
    frame = view_change((), proof)
    supplied = PAPER.signer("r1").link(m.SupplyFrames((frame,)))
    before = PAPER.door.verifications
    assert refused(PAPER, frame) is Reason.TOO_LARGE
    assert refused(PAPER, supplied) is Reason.TOO_LARGE
    assert PAPER.door.verifications <= before + 2, "the two outer signatures at most"


def supplied_entry(request: bytes, commits: tuple[bytes, ...]) -> bytes:
    body = canonical.encode(m.Batch(0, 5, (request,)))
    entry = m.Entry(EPOCH, 1, b"d" * 32, b"r" * 32, 5, b"\0" * 32)
    return PAPER.signer("r1").link(m.Entries(((entry, body, commits),), ()))


def test_row_17_a_request_out_of_the_log_has_the_form_that_a_restart_opens() -> None:
    """What a source adds to a request would be stored, and end every later start."""
    commits = (PAPER.sign(m.Commit(EPOCH, 1, 0, 1, b"d" * 32)),)
    good = canonical.decode(Envelope, PAPER.sign(bundle()))
    poisoned = canonical.encode(Envelope(good.kind, good.body, good.signature, b"more"))
    unsigned = canonical.encode(Envelope(good.kind, good.body, b"", b""))
    forged = canonical.encode(Envelope(good.kind, good.body, b"f" * 64, b""))
    for covered in ((), commits):
        assert refused(PAPER, supplied_entry(poisoned, covered)) is Reason.MALFORMED
        assert refused(PAPER, supplied_entry(unsigned, covered)) is Reason.BAD_SIGNATURE
    assert refused(PAPER, supplied_entry(forged, commits)) is Reason.BAD_SIGNATURE
    assert PAPER.verify(supplied_entry(PAPER.sign(bundle()), commits)).batches[0] is not None


def test_r28_a_learner_checks_a_sample_of_the_requests_under_commits() -> None:
    commits = (PAPER.sign(m.Commit(EPOCH, 1, 0, 1, b"d" * 32)),)
    good = canonical.decode(Envelope, PAPER.sign(bundle()))
    forged = canonical.encode(Envelope(good.kind, good.body, b"f" * 64, b""))
    digest = m.bundle_digest(good.body)
    learner = Paper()
    learner.door.sampled = one_in_64((digest[0] & 63) ^ 1)
    [unchecked] = learner.verify(supplied_entry(forged, commits)).batches
    assert unchecked is not None
    assert unchecked.forged is None
    assert refused(learner, pre_prepare(forged)) is Reason.BAD_SIGNATURE
    learner.door.sampled = one_in_64(digest[0] & 63)
    [checked] = learner.verify(supplied_entry(forged, commits)).batches
    assert checked is not None
    assert checked.forged is checked.bundles[0]
    assert refused(learner, supplied_entry(forged, (forged,))) is Reason.BAD_PROOF
    assert sum(map(one_in_64(7), (bytes([first]) for first in range(256)))) == 4


def test_statements_are_counted_before_they_are_decoded() -> None:
    """What stands behind the one that is too much may be anything."""
    door = Door(PAPER.cluster, PAPER.keys, statements_max=4)
    view_change = PAPER.sign(next(sample for sample in SAMPLES if isinstance(sample, m.ViewChange)))
    for frames in ((view_change, b"no statement"), (b"no statement",) * 5):
        header = door.peek(PAPER.inbound(link_frame(m.SupplyFrames(frames))))
        with pytest.raises(PeerError) as caught:
            door.verify(header)
        assert caught.value.reason is Reason.TOO_LARGE
