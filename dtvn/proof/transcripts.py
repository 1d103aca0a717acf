"""Checks a transcript of events against a chain of epochs."""

from __future__ import annotations

from dtvn.events.judging import Electorate
from dtvn.events.transcript import CheckedRun, check_transcript, decode_transcript
from dtvn.proof.verify import Chain


def verify_transcript(data: bytes, chain: Chain) -> CheckedRun:
    """What the transcript in these bytes proves; raises ProofError naming the event or chunk that is
    wrong."""

    def electorate(epoch: int) -> Electorate:
        return Electorate(chain.cluster, epoch, chain.epoch(epoch).members, chain.scheme)

    return check_transcript(decode_transcript(data), chain.cluster, electorate)
