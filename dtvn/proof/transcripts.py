"""Checks a transcript of events against a chain of epochs."""

from __future__ import annotations

from functools import partial

from dtvn.events.judging import Electorate
from dtvn.events.transcript import CheckedRun, check_transcript, decode_transcript
from dtvn.proof.verify import Chain


def verify_transcript(data: bytes, chain: Chain) -> CheckedRun:
    """What the transcript in these bytes proves; raises ProofError naming the event or chunk that is
    wrong."""
    return check_transcript(decode_transcript(data), chain.cluster, partial(electorate, chain))


def electorate(chain: Chain, epoch: int) -> Electorate:
    """The members whose votes count in an epoch; raises ProofError if the chain lacks it."""
    return Electorate(chain.cluster, epoch, chain.epoch(epoch).members, chain.mode, chain.scheme)
