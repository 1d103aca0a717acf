"""Evidence of broken views: both verifiers give one verdict, which is the one due (P3, P4, P22)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.proof import Chain, read_chain
from dtvn.proof.evidence import convict, encode_evidence
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import decode_envelope
from tests.host.support import Paper
from tests.proof.odd_new_views import NULL, new_view, new_views
from tests.proof.odd_views import (
    CHAINS,
    LOG,
    ONE,
    TWO,
    Case,
    change,
    named,
    odd_checkpoints,
    odd_proofs,
    proof,
    stable,
    view_changes,
)
from tests.proof.verdicts import Verdict, refused
from tests.support.table import table
from verifier import dtvn_verify, dtvn_verify_evidence

pytestmark = pytest.mark.exhaustive

OURS = {name: read_chain(data) for name, data in CHAINS.items()}
THEIRS = {name: dtvn_verify.Chain(data) for name, data in CHAINS.items()}
ANSWERS = {
    "valid_view_change": "proves",
    "valid_new_view": "follows",
    "missing_view_change": "missing",
    "undecided_epoch": "unknown epoch",
    "undecided_mixed": "other epoch",
    "undecided_size": "too many",
}
"""Code of a refusal -> verdict of the tables; with another code the file is no evidence at all."""
CASES = [
    (code, case)
    for code, cases in (("bad_view_change", view_changes()), ("bad_new_view", new_views()))
    for case in cases
]


def both(data: bytes, ours: Chain, theirs: dtvn_verify.Chain) -> str:
    """The verdict of both, which convict the same member of the same, or refuse with one code and place."""

    def by_dtvn() -> Verdict:
        found = convict(data, ours)
        return {"convicted": found.name, "code": found.code, "epoch": found.epoch, "where": found.where}

    def by_two_files() -> Verdict:
        found = dtvn_verify_evidence.convicted(data, theirs)
        return dict(zip(("convicted", "code", "epoch", "where"), found, strict=True))

    expected, found = refused(by_dtvn), refused(by_two_files)
    assert found == expected
    return "convicted" if "convicted" in found else ANSWERS.get(found["refused"], "nothing")


def agreed(code: str, frames: Sequence[bytes], chain: str = "short") -> str:
    """The verdict of both on these frames."""
    return both(encode_evidence(LOG.cluster, code, frames), OURS[chain], THEIRS[chain])


@table(("code", "case"), CASES, ids=[f"{code}: {case.name}" for code, case in CASES], count=195)
def test_p4_both_verifiers_give_the_expected_verdict(code: str, case: Case) -> None:
    assert agreed(code, case.frames, case.chain) == case.verdict


@pytest.mark.parametrize("code", ["bad_view_change", "bad_new_view"])
def test_p4_a_bad_view_is_evidence_of_its_own_code_only(code: str) -> None:
    other = {"bad_view_change": new_views, "bad_new_view": view_changes}[code]
    guilty = next(case for case in other() if case.verdict == "convicted")
    assert agreed(code, guilty.frames, guilty.chain) == "nothing"
    assert agreed("worse_" + code, guilty.frames, guilty.chain) == "nothing"


def test_p22_additional_frames_do_not_hide_a_crime() -> None:
    """A NEW-VIEW of too few VIEW-CHANGEs is a lie whatever is put beside it."""
    lie = new_view([])
    assert agreed("bad_new_view", [lie, *[b""] * 40_000]) == "convicted"
    data = canonical.encode((1, LOG.cluster[:8], "bad_new_view", [lie, "text"]))
    assert both(data, OURS["short"], THEIRS["short"]) == "nothing"


# --- thresholds -------------------------------------------------------------------------------------


@table(("members", "q"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (13, 9), (31, 21)], count=9)
def test_p1_a_certificate_needs_statements_of_q_members(members: int, q: int) -> None:
    paper = Paper(members)
    data = g.encode(paper.genesis)
    chains = read_chain(data), dtvn_verify.Chain(data)

    def judged(code: str, *frames: bytes) -> str:
        return both(encode_evidence(paper.cluster, code, frames), *chains)

    def change(sender: int, votes: int, prepares: int) -> bytes:
        stable = [paper.sign(m.Checkpoint(0, each, 5, ONE, TWO, 7)) for each in range(votes)]
        backups = [paper.sign(m.Prepare(0, each, 0, 6, ONE)) for each in range(1, prepares + 1)]
        proof = m.PreparedProof(paper.sign(m.PrePrepare(0, 0, 0, 6, ONE)), tuple(backups))
        return paper.sign(m.ViewChange(0, sender, members, tuple(stable), (proof,)))

    for votes, prepares in [(q, q - 1), (q - 1, q - 1), (q + 1, q - 1), (q, q - 2), (q, q)]:
        if 0 < votes <= members and 0 <= prepares < members:
            right = (votes, prepares) == (q, q - 1)
            said = judged("bad_view_change", change(0, votes, prepares))
            assert said == ("proves" if right else "convicted"), (votes, prepares)
    changes = [change(sender, q, q - 1) for sender in range(members)]
    reproposed = (paper.sign(m.PrePrepare(0, 0, members, 6, ONE)),)
    for count in range(members + 1):
        told = paper.sign(m.NewView(0, 0, members, tuple(named(*changes[:count])), reproposed))
        assert judged("bad_new_view", told, *changes) == ("follows" if count == q else "convicted"), count


# --- anything at all --------------------------------------------------------------------------------

SOUND = [proof(view, sequence, digest) for sequence in (6, 7, 9) for view in (0, 2) for digest in (ONE, TWO)]
ODD = [each for _name, proofs in odd_proofs() for each in proofs] + [
    proof(0, 9, epoch=1),
    proof(0, 9, epoch=0),
]
ODD_VOTES = [frame for _name, frames in odd_checkpoints() for frame in frames] + stable(9, epoch=1)


def sequence_of(certificate: Any) -> int:
    return int(decode_envelope(certificate[0])[1].sequence)


@st.composite
def changes(draw: st.DrawFn, sender: int, view: int, odd: int) -> bytes:
    """A VIEW-CHANGE; now and then, one time of `odd`, something in it is not as it should be."""

    def oddly() -> bool:
        return draw(st.integers(1, odd)) == odd

    votes = draw(st.sampled_from([[], stable(), stable(4), stable(2)]))
    proofs = draw(st.lists(st.sampled_from(SOUND), max_size=2, unique_by=sequence_of))
    proofs.sort(key=sequence_of)
    if oddly():
        votes = [*votes[:2], *draw(st.lists(st.sampled_from(ODD_VOTES), max_size=2))]
    if oddly():
        proofs.insert(draw(st.integers(0, len(proofs))), draw(st.sampled_from(ODD)))
    if oddly():
        votes = stable(8)
    return change(votes, *proofs, sender=sender, view=view, epoch=int(oddly() and oddly()))


@settings(max_examples=300, deadline=None)
@given(changes(1, 3, 3), st.sampled_from(["short", "long"]))
def test_p4_both_verifiers_agree_on_random_view_changes(frame: bytes, chain: str) -> None:
    agreed("bad_view_change", [frame], chain)


def due(frames: Sequence[bytes], chain: str) -> list[tuple[int, bytes]]:
    """What a NEW-VIEW of these must carry, if they all prove what they claim."""
    try:
        checked = [dtvn_verify_evidence.check_view_change(frame, 0, THEIRS[chain]) for frame in frames]
    except ValueError:
        return []
    return list(dtvn_verify_evidence.plan([each for each in checked if each])) if any(checked) else []


@settings(max_examples=300, deadline=None)
@given(st.data(), st.tuples(*(changes(sender, 5, 12) for sender in range(4))))
def test_p4_both_verifiers_agree_on_random_new_views(
    data: st.DataObject, view_changes: tuple[bytes, ...]
) -> None:
    chain, seen = data.draw(st.sampled_from(["short", "long"])), data.draw(st.integers(3, 4))
    slots = due(view_changes[:3], chain)
    if slots and data.draw(st.booleans()):
        other = st.tuples(st.integers(5, 10), st.sampled_from([ONE, TWO, NULL]))
        slots[data.draw(st.integers(0, len(slots) - 1))] = data.draw(other)
    agreed("bad_new_view", [new_view(named(*view_changes[:3]), *slots, view=5), *view_changes[:seen]], chain)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_p22_evidence_with_any_changed_byte_convicts_no_member(data: st.DataObject) -> None:
    code, frames = data.draw(
        st.sampled_from([("bad_view_change", [LIE]), ("bad_new_view", [FORGED, *BASIS])])
    )
    whole = encode_evidence(LOG.cluster, code, frames)
    at, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    assert both(changed, OURS["short"], THEIRS["short"]) != "convicted"


LIE = change(stable()[:2])
BASIS = [change(stable(), proof(0, 6), sender=sender, view=1) for sender in range(3)]
FORGED = new_view(named(*BASIS), (6, TWO))
