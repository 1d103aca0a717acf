"""A transcript's bytes: one form, kept by the golden file, and what is withheld is not in them."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.events.transcript import (
    Transcript,
    compose,
    decode_transcript,
    encode_transcript,
    withhold,
)
from dtvn.protocol.proof_errors import Code, ProofError
from tests.events.transcript.support import CHUNKS, GOLDEN, RULES, cluster, story

TEXTS = [text for chunk in CHUNKS for text in chunk]


def refused(data: bytes) -> tuple[Code, str]:
    with pytest.raises(ProofError) as told:
        decode_transcript(data)
    return told.value.code, told.value.place


def test_a_transcript_carries_run_events_and_certificates() -> None:
    found = decode_transcript(encode_transcript(story().transcript()))
    assert (found.cluster, found.thread, found.run, found.rules) == (cluster().cluster, "t1", "r1", RULES)
    assert [line.text for line in found.events] == TEXTS
    assert list(found.certificates) == story().certificates


def test_the_golden_transcript_has_the_bytes_of_today() -> None:
    golden = bytes.fromhex(GOLDEN.read_text(encoding="ascii"))
    assert encode_transcript(story().transcript()) == golden
    assert decode_transcript(golden) == story().transcript()


def test_a_withheld_event_leaves_its_digest_alone() -> None:
    whole = story().transcript()
    held = withhold(whole, {2, 4})
    data = encode_transcript(held)
    assert [at for at, line in enumerate(held.events) if not line.shown] == [2, 4]
    for at, line in enumerate(whole.events):
        assert line.digest in data
        assert (line.salt in data) == (line.text in data) == (at not in (2, 4))
    assert decode_transcript(data) == held


def test_composing_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="at least one"):
        compose(story().events, [])


def test_other_forms_are_refused() -> None:
    whole = story().transcript()

    def with_line(**fields: bytes) -> Transcript:
        line = msgspec.structs.replace(whole.events[0], **fields)
        return msgspec.structs.replace(whole, events=(line, *whole.events[1:]))

    for odd in (
        with_line(salt=b"short"),
        with_line(salt=b""),
        msgspec.structs.replace(whole, events=()),
        msgspec.structs.replace(whole, certificates=()),
        msgspec.structs.replace(whole, cluster=b"short"),
    ):
        assert refused(encode_transcript(odd)) == (Code.MALFORMED, "transcript")
    assert refused(encode_transcript(whole) + b"\x00") == (Code.MALFORMED, "transcript")
    later = encode_transcript(msgspec.structs.replace(whole, version=2))
    assert refused(later) == (Code.UNKNOWN_VERSION, "transcript")
