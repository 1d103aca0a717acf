"""What a node shows of a ticket is believed as of the checkpoint that q members signed, and of no other
sequence (R18; P4)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.machine import State, read_state
from dtvn.proof import Code, ProofError, read_chain, reads
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from tests.proof.support import PaperLog

LOG = PaperLog()
LOG.admit()
AT = len(LOG.steps)
ROOT = LOG.application.freeze(AT)
CHAIN = read_chain(LOG.chain())
FRAMES = LOG.checkpoint_frames(AT)


def certificate(sequence: int = AT) -> CheckpointCertificate:
    return CheckpointCertificate(sequence, ROOT, LOG.log_root(AT), 1, frames=FRAMES)


def proof(ticket: str = "TICKET-1", **fields: Any) -> Any:
    return msgspec.structs.replace(LOG.application.prove("default", ticket), **fields)


def answer(shown: Any, frames: tuple[bytes, ...] = FRAMES) -> bytes:
    return msgspec.json.encode(reads.StateProof(frames, shown))


def refusal(text: bytes) -> Code:
    with pytest.raises(ProofError) as refused:
        reads.proved_ticket(text, CHAIN, "default", "TICKET-1")
    return Code(refused.value.code)


def test_a_node_shows_the_state_of_its_newest_stable_checkpoint_only() -> None:
    assert reads.show(certificate(), proof()) == ("", reads.StateProof(FRAMES, proof()))
    assert reads.show(certificate(), None) == (reads.NOT_FROZEN, None)
    assert reads.show(None, None) == (reads.NO_PROOF, None)
    assert reads.show(None, proof()) == (reads.NO_PROOF, None)
    for other in (AT - 1, AT + 1):
        assert reads.show(certificate(other), proof()) == (reads.NO_PROOF, None)


def test_a_reader_gets_the_ticket_or_its_absence_and_the_sequence() -> None:
    sequence, found = reads.proved_ticket(answer(proof()), CHAIN, "default", "TICKET-1")
    assert found is not None
    state = read_state(found[0])
    assert state is not None
    assert (sequence, state.state) == (AT, State.CONSUMED)
    assert reads.proved_ticket(answer(proof("NOBODY")), CHAIN, "default", "NOBODY") == (AT, None)


def test_a_state_is_of_the_sequence_of_its_checkpoint() -> None:
    for other in (AT - 1, AT + 1):
        assert refusal(answer(proof(sequence=other))) is Code.BAD_CHECKPOINT


def test_a_state_is_the_one_under_the_signed_root() -> None:
    assert refusal(answer(proof("NOBODY", sequence=AT))) is Code.BAD_ANSWER
    assert refusal(answer(proof(items=()))) is Code.BAD_ANSWER
    assert refusal(answer(proof(), LOG.checkpoint_frames(AT - 1))) is Code.BAD_CHECKPOINT
    assert refusal(answer(proof(), FRAMES[:-1])) is Code.BAD_CHECKPOINT
    for nothing in (b"", b"{}", b"[" * 5_000):
        assert refusal(nothing) is Code.BAD_ANSWER
