"""What a transcript proves; whatever is changed in it is refused, with the event or the chunk."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.judging import (
    Electorate,
    VoteCertificate,
    decode_certificate,
    event_digest,
    first_head,
    next_head,
)
from dtvn.events.rules import Limits, RunState, Stream
from dtvn.events.transcript import (
    CheckedRun,
    Transcript,
    check_transcript,
    decode_transcript,
    encode_transcript,
    run_root,
    withhold,
)
from dtvn.events.transcript.checking import START
from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.versions import FIRST
from tests.events.judging.support import changed
from tests.events.transcript.support import CHUNKS, GOLDEN, JudgedRun, cluster, joined, story, voters_of
from tests.proof.support import PaperLog
from tests.support.table import table

STORY = bytes.fromhex(GOLDEN.read_text(encoding="ascii"))
REPLACE = msgspec.structs.replace


def check(transcript: Transcript, log: PaperLog | None = None) -> CheckedRun:
    known = log or cluster()

    def electorate(epoch: int) -> Electorate:
        if epoch >= len(known.epochs):
            raise ProofError(Code.UNKNOWN_EPOCH, f"epoch {epoch}", "not in this chain")
        return voters_of(known, epoch)

    return check_transcript(transcript, known.cluster, electorate)


def refused(transcript: Transcript, log: PaperLog | None = None) -> tuple[Code, str]:
    with pytest.raises(ProofError) as told:
        check(transcript, log)
    return told.value.code, told.value.place


def test_a_transcript_proves_events_order_and_verdicts() -> None:
    found = check(decode_transcript(STORY))
    digests = [event_digest(each) for each in story().events]
    assert (found.thread, found.run, found.events, found.withheld) == ("t1", "r1", 7, 0)
    assert found.refused == ((3, "MESSAGE_NOT_OPEN"),)
    assert found.root == run_root(digests)
    head = first_head("t1", "r1")
    for data in story().certificates:
        head = next_head(head, decode_certificate(data).vote)
    assert found.head == head
    assert list(found.sentences()) == [
        "run r1 of thread t1: 7 events, 1 refused",
        "event 3 was refused: MESSAGE_NOT_OPEN",
        "4 chunks of epoch 0 signed by r0, r1, r3: each by at least 3 of 4 members, of whom 1 may lie",
        "the run ended with RUN_FINISHED",
        f"head {head.hex()}, root {found.root.hex()}, rules {found.rules.hex()}",
        "It shows votes, not the record of the log, which may hold another history of the run: the head",
        "must be one that a platform of the cluster lists in `records` of GET /api/v1/events/runs/{id}.",
        "It says what was emitted and judged, not when, and nothing of what came later.",
    ]


def test_a_transcript_of_earlier_rules_is_as_good() -> None:
    earlier = decode_transcript(
        bytes.fromhex(GOLDEN.with_name("golden_rules_1.hex").read_text(encoding="ascii"))
    )
    found = check(earlier)
    assert earlier.rules != decode_transcript(STORY).rules
    assert (found.run, found.events, found.refused) == ("r1", 7, ((3, "MESSAGE_NOT_OPEN"),))


@given(st.integers(0, len(STORY) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, flip: int) -> None:
    touched = STORY[:at] + bytes([STORY[at] ^ flip]) + STORY[at + 1 :]
    with pytest.raises(ProofError):
        check(decode_transcript(touched))


@given(st.sets(st.integers(0, 6)))
def test_withheld_events_take_no_proof_from_the_others(held: set[int]) -> None:
    whole = decode_transcript(STORY)
    found = check(decode_transcript(encode_transcript(withhold(whole, held))))
    assert found == REPLACE(check(whole), withheld=len(held))


def test_a_changed_event_is_named() -> None:
    whole = decode_transcript(STORY)

    def with_line(at: int, **fields: bytes) -> Transcript:
        lines = list(whole.events)
        lines[at] = REPLACE(lines[at], **fields)
        return REPLACE(whole, events=tuple(lines))

    assert refused(with_line(2, text=b"{}")) == (Code.WRONG_EVENT, "event 2")
    assert refused(with_line(5, salt=bytes(16))) == (Code.WRONG_EVENT, "event 5")
    assert refused(with_line(0, digest=bytes(32))) == (Code.WRONG_EVENT, "event 0")
    other = story().events[3]
    renamed = with_line(2, salt=other.salt, text=other.text, digest=event_digest(other))
    assert refused(renamed) == (Code.WRONG_CHUNK, "chunk 0, from event 0")
    unseen = withhold(with_line(5, digest=bytes(32)), {5})
    assert refused(unseen) == (Code.WRONG_CHUNK, "chunk 2, from event 4")


def test_events_in_another_order_or_number_are_refused() -> None:
    whole = decode_transcript(STORY)
    first, second, *rest = whole.events

    def with_lines(*lines: object) -> tuple[Code, str]:
        return refused(REPLACE(whole, events=lines))

    assert with_lines(second, first, *rest) == (Code.WRONG_CHUNK, "chunk 0, from event 0")
    assert with_lines(first, *rest) == (Code.WRONG_CHUNK, "chunk 0, from event 0")
    assert with_lines(*whole.events[:-1]) == (Code.WRONG_CHUNK, "chunk 3, from event 6")
    assert with_lines(*whole.events, first) == (Code.WRONG_CHUNK, "event 7")


def test_chunks_in_another_order_or_number_are_refused() -> None:
    whole = decode_transcript(STORY)
    one, two, three, four = whole.certificates

    def with_chunks(*certificates: bytes) -> tuple[Code, str]:
        return refused(REPLACE(whole, certificates=certificates))

    assert with_chunks(two, one, three, four) == (Code.WRONG_CHUNK, "chunk 0, from event 0")
    assert with_chunks(one, three, four) == (Code.WRONG_CHUNK, "chunk 1, from event 3")
    assert with_chunks(one, one, two, three, four) == (Code.WRONG_CHUNK, "chunk 1, from event 3")
    assert with_chunks(one, two, three) == (Code.WRONG_CHUNK, "event 6")


def test_a_changed_verdict_is_named() -> None:
    whole = decode_transcript(STORY)
    vote = check(whole).chunks[1].vote

    def with_vote(**fields: object) -> tuple[Code, str]:
        forged = changed(
            whole.certificates[1], VoteCertificate, vote=canonical.encode(REPLACE(vote, **fields))
        )
        return refused(REPLACE(whole, certificates=(whole.certificates[0], forged, *whole.certificates[2:])))

    signature = (Code.BAD_SIGNATURE, "chunk 1, from event 3, r0")
    for fields in ({"errors": ()}, {"errors": ((0, "FIRST_EVENT"),)}, {"after": bytes(32)}):
        assert with_vote(**fields) == signature


def test_a_refused_event_cannot_be_left_out() -> None:
    """It changed no state, so only the position of the next chunk shows that something came before it."""
    whole = decode_transcript(STORY)
    lines, certificates = list(whole.events), list(whole.certificates)
    del lines[3], certificates[1]
    shorter = REPLACE(whole, events=tuple(lines), certificates=tuple(certificates))
    assert refused(shorter) == (Code.WRONG_CHUNK, "chunk 1, from event 3")


@table("name", ["thread", "run", "rules"], count=3)
def test_certificates_of_another_run_or_rules_are_refused(name: str) -> None:
    other = {"thread": "t2", "run": "r2", "rules": bytes(32)}
    forged = REPLACE(decode_transcript(STORY), **{name: other[name]})
    assert refused(forged) == (Code.WRONG_CHUNK, "chunk 0, from event 0")


def test_a_chunk_with_too_few_signatures_is_refused() -> None:
    run = JudgedRun()
    run.judge(CHUNKS[0], voters_of(cluster()), (0, 1))
    assert refused(run.transcript()) == (Code.SIGNATURE_COUNT, "chunk 0, from event 0, signatures")


def test_a_run_that_begins_within_another_is_refused() -> None:
    """The gateway sends the first state of a run too: one with a message open would hide its start."""
    stream = Stream()
    for text in CHUNKS[0][:2]:
        assert stream.feed(text).accepted
    run = JudgedRun(state=stream.state.encoded())
    run.judge((CHUNKS[0][2],), voters_of(cluster()))
    assert refused(run.transcript()) == (Code.WRONG_CHUNK, "chunk 0, from event 0")
    assert RunState(Limits()).digest() == START
    assert START.hex() == "d10bc796c3143e7158ae057c6658306fce3cc50dcbe91d9709bf8a8742cce25a"


def test_chunks_of_two_certified_histories_do_not_join() -> None:
    assert refused(joined()) == (Code.WRONG_CHUNK, "chunk 1, from event 1")


def test_another_cluster_and_an_unknown_epoch_are_refused() -> None:
    whole = decode_transcript(STORY)
    foreign = PaperLog(name="foreign")
    assert refused(whole, foreign) == (Code.OTHER_CLUSTER, "transcript")
    moved = REPLACE(whole, cluster=foreign.cluster)
    assert refused(moved, foreign) == (Code.OTHER_CLUSTER, "chunk 0, from event 0, certificate")
    run = JudgedRun()
    run.judge(CHUNKS[0], voters_of(cluster(), 1), (0, 1, 2, 4))
    assert refused(run.transcript(), PaperLog(version=FIRST)) == (
        Code.UNKNOWN_EPOCH,
        "chunk 0, from event 0, epoch 1",
    )
    forged = changed(run.certificates[0], VoteCertificate, epoch=0)
    place = "chunk 0, from event 0, r0"
    assert refused(REPLACE(run.transcript(), certificates=(forged,))) == (Code.BAD_SIGNATURE, place)


def test_a_run_goes_on_over_a_change_of_members() -> None:
    run = JudgedRun()
    run.judge(CHUNKS[0], voters_of(cluster()))
    run.judge(CHUNKS[2], voters_of(cluster(), 1), (0, 1, 2, 4))
    assert list(check(run.transcript()).sentences())[1:4] == [
        "1 chunk of epoch 0 signed by r0, r1, r3: each by at least 3 of 4 members, of whom 1 may lie",
        "1 chunk of epoch 1 signed by r0, r1, r2, r4: each by at least 4 of 5 members, of whom 1 may lie",
        "the run had not ended: there may be more of it",
    ]
