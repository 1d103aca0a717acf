"""Certificates and evidence, checked offline; each change is refused with its place."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.events.judging import (
    VoteCertificate,
    assemble,
    check_certificate,
    convict,
    decode_certificate,
    encode_evidence,
)
from dtvn.events.judging.certificate import CERTIFICATE_BYTES_MAX
from dtvn.events.judging.evidence import VoteEvidence
from dtvn.events.judging.turns import PATH_LENGTH_MAX, Ballot
from dtvn.events.judging.votes import CHUNK_EVENTS_MAX, VOTE_BYTES_MAX, Question, Vote
from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import Code, ProofError
from tests.events.judging.support import changed, electorate, given, honest, lie
from tests.support.table import table

VOTE = honest("a", "!MESSAGE_NOT_OPEN", "b")
OTHERS = [honest(f"beside {number}") for number in range(5)]


def certificate(members: tuple[int, ...] = (0, 1, 3), vote: Vote = VOTE) -> bytes:
    return assemble([given(member, vote, beside=OTHERS) for member in members], len(members), electorate())


def refused(data: bytes, code: Code, **where: object) -> str:
    """The place that is named when the certificate is refused."""
    with pytest.raises(ProofError) as told:
        check_certificate(decode_certificate(data), electorate(**where))  # type: ignore[arg-type]
    assert told.value.code is code
    return told.value.place


def test_a_certificate_proves_the_vote_and_who_gave_it() -> None:
    proved = check_certificate(decode_certificate(certificate()), electorate())
    assert proved.vote == VOTE
    assert (proved.epoch, proved.signers, proved.members) == (3, ("n0", "n1", "n3"), 4)


def test_assembly_takes_the_needed_lowest_members() -> None:
    votes = [given(member, VOTE) for member in (3, 2, 1, 0)]
    proved = check_certificate(decode_certificate(assemble(votes, 3, electorate())), electorate())
    assert proved.signers == ("n0", "n1", "n2")


def test_assembly_refuses_different_too_few_and_repeated_votes() -> None:
    different = [given(0, VOTE), given(1, VOTE), given(2, lie(VOTE))]
    for votes in (different, different[:2], [given(0, VOTE)] * 3):
        with pytest.raises(ValueError, match="not 3 equal ones"):
            assemble(votes, 3, electorate())


def test_a_certificate_of_another_cluster_or_epoch_is_refused() -> None:
    assert refused(certificate(), Code.OTHER_CLUSTER, cluster=b"\x09" * 32) == "certificate"
    moved = changed(certificate(), VoteCertificate, cluster=b"\x09" * 32)
    assert refused(moved, Code.BAD_SIGNATURE, cluster=b"\x09" * 32) == "n0"
    assert refused(certificate(), Code.OTHER_EPOCH, epoch=2) == "epoch 3"
    assert refused(changed(certificate(), VoteCertificate, epoch=2), Code.BAD_SIGNATURE, epoch=2) == "n0"
    assert refused(changed(certificate(), VoteCertificate, version=2), Code.UNKNOWN_VERSION)


def test_a_certificate_with_wrong_signers_is_refused() -> None:
    ballots = decode_certificate(certificate()).ballots

    def signed_by(*chosen: Ballot) -> bytes:
        return changed(certificate(), VoteCertificate, ballots=chosen)

    assert refused(signed_by(*ballots[:2]), Code.SIGNATURE_COUNT) == "signatures"
    assert refused(signed_by(ballots[0], ballots[0], ballots[1]), Code.BAD_SIGNERS) == "signatures"
    assert refused(signed_by(*ballots[::-1]), Code.BAD_SIGNERS) == "signatures"
    stolen = msgspec.structs.replace(ballots[1], member=2)
    assert refused(signed_by(ballots[0], stolen, ballots[2]), Code.BAD_SIGNATURE) == "n2"
    stranger = msgspec.structs.replace(ballots[2], member=7)
    assert refused(signed_by(*ballots[:2], stranger), Code.UNKNOWN_MEMBER) == "member 7"
    shorter = msgspec.structs.replace(ballots[1], path=ballots[1].path[:-1])
    assert refused(signed_by(ballots[0], shorter, ballots[2]), Code.BAD_PATH) == "n1"
    moved = msgspec.structs.replace(ballots[1], place=1)
    assert refused(signed_by(ballots[0], moved, ballots[2]), Code.BAD_SIGNATURE) == "n1"


QUESTION_CHANGES = {
    "thread": "t2",
    "run": "r2",
    "position": 1,
    "count": 4,
    "before": b"\x01" * 32,
    "chunk": b"\x02" * 32,
    "rules": b"\x03" * 32,
}


@table("field", [*QUESTION_CHANGES, "after", "code", "index", "error"], count=11)
def test_a_certificate_with_a_changed_vote_is_refused(field: str) -> None:
    replace = msgspec.structs.replace
    if field in QUESTION_CHANGES:
        question = replace(VOTE.question, **{field: QUESTION_CHANGES[field]})
        vote = replace(VOTE, question=question)
    else:
        changes = {
            "after": {"after": bytes(32)},
            "code": {"errors": ((1, "FIRST_EVENT"),)},
            "index": {"errors": ((2, "MESSAGE_NOT_OPEN"),)},
            "error": {"errors": ()},
        }
        vote = replace(VOTE, **changes[field])
    data = changed(certificate(), VoteCertificate, vote=canonical.encode(vote))
    assert refused(data, Code.BAD_SIGNATURE) == "n0"


def test_every_byte_of_a_certificate_matters() -> None:
    data = certificate()
    for place in range(len(data)):
        touched = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(ProofError):
            check_certificate(decode_certificate(touched), electorate())


def test_the_largest_certificate_is_within_its_bound() -> None:
    long = "\U0001f600" * 1024
    question = Question(long, long, 2**62, CHUNK_EVENTS_MAX, bytes(32), bytes(32), bytes(32))
    vote = Vote(question, bytes(32), tuple((place, "X" * 64) for place in range(CHUNK_EVENTS_MAX)))
    encoded = canonical.encode(vote)
    assert len(encoded) <= VOTE_BYTES_MAX
    ballot = Ballot(30, 4095, 4096, (bytes(32),) * PATH_LENGTH_MAX, bytes(64))
    whole = canonical.encode(VoteCertificate(1, bytes(32), 2**62, encoded, (ballot,) * 31))
    assert len(whole) <= CERTIFICATE_BYTES_MAX
    assert decode_certificate(whole).vote == encoded
    with pytest.raises(ProofError, match="at most 65536 bytes"):
        decode_certificate(bytes(CERTIFICATE_BYTES_MAX + 1))


# --- evidence --------------------------------------------------------------------------------------


def evidence() -> bytes:
    return encode_evidence(given(2, VOTE, beside=OTHERS), given(2, lie(VOTE)), electorate())


def test_two_votes_on_one_question_convict_their_member() -> None:
    found = convict(evidence(), electorate())
    assert (found.epoch, found.member, found.name, found.question) == (3, 2, "n2", VOTE.question)


def not_convicted(data: bytes, code: Code, **where: object) -> str:
    with pytest.raises(ProofError) as told:
        convict(data, electorate(**where))  # type: ignore[arg-type]
    assert told.value.code is code
    return told.value.place


def test_votes_that_do_not_contradict_convict_nobody() -> None:
    same = encode_evidence(given(2, VOTE), given(2, VOTE, beside=OTHERS), electorate())
    assert not_convicted(same, Code.NO_CONTRADICTION) == "votes"
    apart = encode_evidence(given(2, VOTE), given(2, OTHERS[0]), electorate())
    assert not_convicted(apart, Code.NO_CONTRADICTION) == "votes"
    two = encode_evidence(given(2, VOTE), given(1, lie(VOTE)), electorate())
    assert not_convicted(two, Code.NO_CONTRADICTION) == "votes"


def test_forged_and_foreign_evidence_convicts_nobody() -> None:
    signed = canonical.decode(VoteEvidence, evidence())
    forged = msgspec.structs.replace(signed.other, vote=canonical.encode(lie(VOTE, (0, "FIRST_EVENT"))))
    assert not_convicted(changed(evidence(), VoteEvidence, other=forged), Code.BAD_SIGNATURE) == "n2"
    assert not_convicted(evidence(), Code.OTHER_CLUSTER, cluster=b"\x09" * 32) == "evidence"
    assert not_convicted(evidence(), Code.OTHER_EPOCH, epoch=2) == "epoch 3"
    assert not_convicted(b"\x90", Code.MALFORMED) == "evidence"
