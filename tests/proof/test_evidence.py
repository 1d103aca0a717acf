"""Evidence as a file: whom it convicts, that any change is refused, and that both verifiers agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from dtvn.proof import ProofError, read_chain
from dtvn.proof.evidence import DOUBLES, convict, encode_evidence
from dtvn.proof.statements import open_signed
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import decode_envelope
from dtvn.protocol.wire.envelope import encode_envelope, signed_bytes
from tests.host.support import Paper, key_pair
from tests.support.table import table
from verifier import dtvn_verify, dtvn_verify_evidence

PAPER = Paper()
GENESIS = g.encode(PAPER.genesis)
CHAIN = read_chain(GENESIS)
SMALL = dtvn_verify.Chain(GENESIS)
ONE, TWO = bytes([1]) * 32, bytes([2]) * 32


def prepared(view: int, sequence: int, digest: bytes = ONE) -> m.PreparedProof:
    """A prepared certificate of the four of us."""
    primary = view % 4
    backups = [index for index in range(4) if index != primary][:2]
    votes = tuple(PAPER.sign(m.Prepare(0, index, view, sequence, digest)) for index in backups)
    return m.PreparedProof(PAPER.sign(m.PrePrepare(0, primary, view, sequence, digest)), votes)


def change(sender: int, view: int, *proofs: m.PreparedProof, stable: int = 0) -> m.ViewChange:
    frames = (
        tuple(PAPER.sign(m.Checkpoint(0, index, stable, ONE, TWO, 7)) for index in range(3)) if stable else ()
    )
    return m.ViewChange(0, sender, view, frames, proofs)


def ended(sequence: int, *, epoch: int = 0, sender: int = 3) -> m.Continuation:
    return m.Continuation(epoch, sender, sequence, ONE, TWO, 5, (ONE, TWO))


def pairs() -> dict[str, tuple[Any, Any]]:
    return {
        "double_proposal": (m.PrePrepare(0, 0, 0, 7, ONE), m.PrePrepare(0, 0, 0, 7, TWO)),
        "prepare": (m.Prepare(0, 1, 0, 7, ONE), m.Prepare(0, 1, 0, 7, TWO)),
        "commit": (m.Commit(0, 1, 3, 7, ONE), m.Commit(0, 1, 3, 7, TWO)),
        "checkpoint": (m.Checkpoint(0, 2, 10, ONE, ONE, 5), m.Checkpoint(0, 2, 10, TWO, ONE, 5)),
        "receipt": (m.Receipt(0, 3, 9, ONE), m.Receipt(0, 3, 9, TWO)),
        "continuation": (ended(17), ended(18)),
        "view_change": (change(1, 2), change(1, 2, prepared(0, 1))),
        "new_view": (m.NewView(0, 1, 1, (), ()), m.NewView(0, 1, 1, ((0, ONE),), ())),
        "hidden_commit": (m.Commit(0, 2, 0, 7, ONE), change(2, 3, prepared(0, 6))),
    }


def file_of(code: str, *messages: Any) -> bytes:
    return encode_evidence(PAPER.cluster, code, [PAPER.sign(message) for message in messages])


@table("code", pairs(), count=9)
def test_p22_both_verifiers_convict_the_signer_of_the_same_crime(code: str) -> None:
    one, other = pairs()[code]
    data = file_of(code, one, other)
    conviction = convict(data, CHAIN)
    assert (conviction.code, conviction.member, conviction.name) == (code, one.sender, f"r{one.sender}")
    told = conviction.name, conviction.code, conviction.epoch, conviction.where
    assert dtvn_verify_evidence.convicted(data, SMALL) == told


@table(
    "shown",
    [(), (prepared(0, 7),), (prepared(0, 7, TWO), prepared(1, 6)), (prepared(1, 6), prepared(2, 8))],
    ids=["nothing", "an earlier view", "another digest of an earlier view", "other sequences"],
    count=4,
)
def test_p22_a_view_change_hides_the_commit_of_a_later_view(shown: tuple[m.PreparedProof, ...]) -> None:
    """What it shows of the sequence is older than the COMMIT, or is not of that sequence."""
    data = file_of("hidden_commit", m.Commit(0, 2, 1, 7, ONE), change(2, 3, *shown))
    conviction = convict(data, CHAIN)
    assert (conviction.name, conviction.where) == ("r2", "sequence 7, view 3")
    assert dtvn_verify_evidence.convicted(data, SMALL)[0] == "r2"


def test_every_known_pair_of_conflicting_statements_is_tested() -> None:
    assert set(pairs()) == {*DOUBLES, "hidden_commit"} == {*dtvn_verify_evidence.CRIMES}


@table(
    ("code", "one", "other"),
    [
        ("commit", m.Commit(0, 1, 3, 7, ONE), m.Commit(0, 1, 3, 7, ONE)),
        ("commit", m.Commit(0, 1, 3, 7, ONE), m.Commit(0, 1, 4, 7, TWO)),
        ("commit", m.Commit(0, 1, 3, 7, ONE), m.Commit(0, 2, 3, 7, TWO)),
        ("commit", m.Prepare(0, 1, 3, 7, ONE), m.Prepare(0, 1, 3, 7, TWO)),
        ("prepare", m.Prepare(0, 1, 3, 7, ONE), m.Commit(0, 1, 3, 7, TWO)),
        ("hidden_commit", m.Commit(0, 2, 0, 7, ONE), change(2, 3, prepared(0, 7))),
        ("hidden_commit", m.Commit(0, 2, 0, 7, ONE), change(2, 3, prepared(2, 7, TWO))),
        ("hidden_commit", m.Commit(0, 2, 0, 7, ONE), change(2, 3, stable=10)),
        ("hidden_commit", m.Commit(0, 2, 3, 7, ONE), change(2, 3)),
        ("hidden_commit", m.Commit(0, 2, 0, 7, ONE), change(1, 3)),
        ("continuation", ended(17), ended(17)),
        ("continuation", ended(17), ended(18, sender=2)),
        ("checkpoint", ended(17), ended(18)),
        ("continuation", m.Checkpoint(0, 2, 10, ONE, ONE, 5), m.Checkpoint(0, 2, 10, TWO, ONE, 5)),
        ("nonsense", m.Commit(0, 1, 3, 7, ONE), m.Commit(0, 1, 3, 7, TWO)),
    ],
    count=15,
)
def test_p3_statements_of_an_honest_member_never_convict(code: str, one: Any, other: Any) -> None:
    convicts_nobody(file_of(code, one, other))


def convicts_nobody(data: bytes) -> None:
    """Both verifiers refuse it."""
    with pytest.raises(ProofError) as ours:
        convict(data, CHAIN)
    with pytest.raises(ValueError, match=" ") as small:
        dtvn_verify_evidence.convicted(data, SMALL)
    theirs: Any = small.value
    assert (theirs.code, theirs.place) == (ours.value.code, ours.value.place)


def signed(sender: int, kind: int, *fields: Any) -> bytes:
    """A frame around any fields at all, which its sender did sign."""
    body = canonical.encode(fields)
    data = signed_bytes(PAPER.cluster, kind, body)
    return encode_envelope(kind, body, bindings.crypto_sign(data, key_pair(f"r{sender}")[1])[:64])


COMMIT = signed(1, 18, 0, 1, 0, 7, ONE)
WRONG = PAPER.sign(m.Prepare(0, 1, 0, 7, ONE))


@table(
    ("code", "one", "other"),
    [
        ("commit", COMMIT, signed(1, 18, 0, 1, 0, 7, b"short")),
        ("commit", COMMIT, signed(1, 18, 0, 1, 0, 7, TWO, 1)),
        ("commit", COMMIT, signed(1, 18, False, 1, 0, 7, TWO)),
        ("commit", COMMIT, signed(1, 18, 0, 1, 0.0, 7, TWO)),
        ("commit", signed(1, 18, 0, 1, -1, 7, ONE), signed(1, 18, 0, 1, -1, 7, TWO)),
        ("commit", signed(1, 18, 0, 1, 2**62 + 1, 7, ONE), signed(1, 18, 0, 1, 2**62 + 1, 7, TWO)),
        ("commit", signed(1, 18, 0, 9, 0, 7, ONE), signed(1, 18, 0, 9, 0, 7, TWO)),
        ("commit", signed(1, 18, 9, 1, 0, 7, ONE), signed(1, 18, 9, 1, 0, 7, TWO)),
        ("checkpoint", signed(1, 19, 0, 1, 9, ONE, ONE, 1), signed(1, 19, 0, 1, 9, ONE, ONE, None)),
        ("view_change", signed(1, 21, 0, 1, 2, [], []), signed(1, 21, 0, 1, 2, [], [[]])),
        ("view_change", signed(1, 21, 0, 1, 2, [], []), signed(1, 21, 0, 1, 2, [b""] * 32, [])),
        ("view_change", signed(1, 21, 0, 1, 2, [], []), signed(1, 21, 0, 1, 2, [], b"")),
        ("new_view", signed(1, 22, 0, 1, 1, [], []), signed(1, 22, 0, 1, 1, [[0, b"short"]], [])),
        ("hidden_commit", COMMIT, signed(1, 21, 0, 1, 2, [b"noise"], [])),
        ("hidden_commit", COMMIT, signed(1, 21, 0, 1, 2, [WRONG], [])),
        ("hidden_commit", COMMIT, signed(1, 21, 0, 1, 2, [], [[WRONG, []]])),
        ("hidden_commit", COMMIT, signed(1, 21, 0, 1, 2, [], [["text", []]])),
    ],
    ids=lambda each: each if isinstance(each, str) else "frame",
    count=17,
)
def test_p22_both_verifiers_ignore_frames_that_are_no_statements(code: str, one: bytes, other: bytes) -> None:
    """Such content is ambiguous: verifiers could read it differently."""
    convicts_nobody(encode_evidence(PAPER.cluster, code, [one, other]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_p22_any_changed_byte_of_evidence_is_refused(data: st.DataObject) -> None:
    code = data.draw(st.sampled_from(["commit", "hidden_commit"]))
    whole = file_of(code, *pairs()[code])
    # The certificates inside a VIEW-CHANGE are part of what its sender signed.
    at, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    convicts_nobody(changed)


def digest_of(message: m.ViewChange) -> bytes:
    return bytes(PAPER.verify(PAPER.sign(message)).body_digest)


def test_p4_a_view_change_with_invalid_proofs_convicts_its_sender() -> None:
    stolen = prepared(0, 7)
    short = m.PreparedProof(stolen.pre_prepare, stolen.prepares[:1])
    mixed = m.PreparedProof(stolen.pre_prepare, prepared(0, 7, TWO).prepares)
    for bad in (
        change(1, 2, short),
        change(1, 2, mixed),
        change(1, 2, prepared(3, 7)),
        change(1, 2, stolen, stolen),
    ):
        found = convict(file_of("bad_view_change", bad), CHAIN)
        assert (found.name, found.where) == ("r1", "view 2")
    with pytest.raises(ProofError, match="proves what it claims"):
        convict(file_of("bad_view_change", change(1, 2, prepared(0, 7), prepared(1, 8), stable=5)), CHAIN)


def checkpoints(epoch: int, *senders: int) -> tuple[bytes, ...]:
    """CHECKPOINTs of r0, r1 ... that name an epoch and themselves as they like."""
    return tuple(PAPER.signer("r0").sign(m.Checkpoint(epoch, each, 5, ONE, TWO, 7)) for each in senders)


@table(
    ("beyond_me", "why"),
    [
        (m.ViewChange(0, 1, 2, checkpoints(1, 0, 1, 2), ()), "epoch 1 is not in this chain"),
        (m.ViewChange(0, 1, 2, checkpoints(2**60, 0), ()), "epoch 1152921504606846976 is not in this chain"),
        (change(1, 2, *[m.PreparedProof(b"", (b"",) * 31)] * 2_100), "too many statements in one message"),
    ],
    ids=["the next epoch", "an epoch far away", "too large"],
    count=3,
)
def test_p3_content_unknown_to_a_verifier_leads_to_no_verdict(beyond_me: m.ViewChange, why: str) -> None:
    """A longer chain, or a larger verifier, may find that it proves what it claims."""
    with pytest.raises(ProofError, match=f"{why}.*: this verifier cannot decide"):
        convict(file_of("bad_view_change", beyond_me), CHAIN)
    empty = m.NewView(0, 2, 2, tuple((index, ONE) for index in range(3)), ())
    with pytest.raises(ProofError, match="this verifier cannot decide"):
        convict(file_of("bad_new_view", empty, beyond_me), CHAIN)


def test_p4_checkpoints_signed_by_a_stranger_convict_the_sender() -> None:
    stranger = m.ViewChange(0, 1, 2, checkpoints(0, 0, 9), ())
    assert convict(file_of("bad_view_change", stranger), CHAIN).name == "r1"


def test_p4_a_new_view_that_does_not_follow_convicts_its_sender() -> None:
    changes = [change(index, 1, prepared(0, 1)) for index in range(3)]
    named = tuple((each.sender, digest_of(each)) for each in changes)
    reproposed = (PAPER.sign(m.PrePrepare(0, 1, 1, 1, ONE)),)
    forged = (PAPER.sign(m.PrePrepare(0, 1, 1, 1, TWO)),)

    def judged(message: m.NewView, *view_changes: m.ViewChange) -> str:
        return convict(file_of("bad_new_view", message, *view_changes), CHAIN).name

    assert judged(m.NewView(0, 1, 1, named, forged), *changes) == "r1"
    assert judged(m.NewView(0, 1, 1, named, ()), *changes) == "r1"
    assert judged(m.NewView(0, 1, 1, named[:2], reproposed)) == "r1"
    assert judged(m.NewView(0, 2, 1, named, reproposed)) == "r2", "not the primary of its view"
    with pytest.raises(ProofError, match="follows from its VIEW-CHANGEs"):
        judged(m.NewView(0, 1, 1, named, reproposed), *changes)
    with pytest.raises(ProofError, match="are not all here"):
        judged(m.NewView(0, 1, 1, named, forged), *changes[:2])


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.sampled_from(["bad_view_change", "bad_new_view", *pairs()]))
def test_p22_unsigned_content_convicts_no_member(hung_on: bytes, code: str) -> None:
    """The attachment of an envelope is unsigned: anyone can add one to an honest frame."""
    changes = [change(index, 1, prepared(0, 1)) for index in range(3)]
    named = tuple((each.sender, digest_of(each)) for each in changes)
    honest = m.NewView(0, 1, 1, named, (PAPER.sign(m.PrePrepare(0, 1, 1, 1, ONE)),))
    said: list[Any] = [changes[1]]
    if code == "bad_new_view":
        said = [honest, *changes]
    elif code in pairs():
        said = [pairs()[code][0]] * 2
    frames = [with_attachment(PAPER.sign(each), hung_on) for each in said]
    with pytest.raises(ProofError):
        convict(encode_evidence(PAPER.cluster, code, [PAPER.sign(said[0]), *frames[1:]]), CHAIN)
    with pytest.raises(ProofError):
        convict(encode_evidence(PAPER.cluster, code, frames), CHAIN)


def with_attachment(frame: bytes, attachment: bytes) -> bytes:
    envelope, _message = decode_envelope(frame)
    return encode_envelope(envelope.kind, envelope.body, envelope.signature, attachment)


def test_a_frame_is_a_statement_only_of_a_known_and_wanted_kind() -> None:
    assert isinstance(open_signed(COMMIT, CHAIN), m.Commit)
    with pytest.raises(ProofError, match="of a kind that cannot stand there"):
        open_signed(COMMIT, CHAIN, m.Prepare)
    with pytest.raises(ProofError):
        open_signed(signed(1, 200, 0, 1, 0, 7, ONE), CHAIN)
    fetch = next(kind for kind, found in m.KINDS.items() if found not in m.STATEMENTS)
    with pytest.raises(ProofError):
        open_signed(signed(1, fetch), CHAIN)
