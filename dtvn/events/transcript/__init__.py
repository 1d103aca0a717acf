"""Transcripts: what an agent emitted, in which order, and what enough validators said of it. Pure.

The agent's operator keeps events, salts and certificates, makes a transcript of them (`compose`), and may
`withhold` some events. Anyone checks it offline (`check_transcript`). One event is shown under the run's root
without any other (`event_path`, `is_included`)."""

from dtvn.events.transcript.checking import CheckedRun, check_transcript
from dtvn.events.transcript.form import (
    Transcript,
    compose,
    decode_transcript,
    encode_transcript,
    withhold,
)
from dtvn.events.transcript.inclusion import event_path, is_included, run_root

__all__ = [
    "CheckedRun",
    "Transcript",
    "check_transcript",
    "compose",
    "decode_transcript",
    "encode_transcript",
    "event_path",
    "is_included",
    "run_root",
    "withhold",
]
