"""Proofs that more members are faulty than are tolerated: two certificates that exclude each other for one
sequence, or a certificate for a request that its principal did not sign.

Each certificate has q signatures, so q + q - n >= f + 1 members signed both, and no later message of this
replica could mean anything. The replica keeps what it found, stops, and reports the contradiction after
every start. Nothing here undoes a fork: the operators compare the logs (`manage.py audit`), and decide which
log continues.

Module certificate_comparison finds two certificates; only a learner finds an unsigned request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.messages import Checkpoint

REQUEST_OF = "a request of "
RECORD = "contradiction"
"""Name of the state record that holds a Contradiction."""

Content = tuple[bytes, bytes, int]
Frames = Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]


class Contradiction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A contradiction as the ledger keeps it."""

    form: int
    """Version of this record."""
    kind: str
    """`checkpoint`: two certified states after one sequence; `batch`: two decided batches at one sequence;
    `state`: a certified state differs from the one that this replica reached; `a request of NAME`: too many
    members have that request with a wrong signature."""
    epoch: int
    sequence: int
    mine: Frames
    """Frames of the certificate that this replica followed. For `state`: frames of its newest stable
    checkpoint, and its own CHECKPOINT of the sequence, if it signed one. For a request: its frame."""
    theirs: Frames
    """The q frames of the other certificate."""

    @property
    def sentence(self) -> str:
        """Description of the contradiction for operators."""
        where = f"sequence {self.sequence} of epoch {self.epoch}"
        if self.kind == "state":
            return f"a quorum signed another state than this node reached after {where}"
        if self.kind.startswith(REQUEST_OF):
            return f"a quorum committed {self.kind} at {where}, and its signature is wrong"
        return f"quorums signed two {'states after' if self.kind == 'checkpoint' else 'batches at'} {where}"


def read(states: Iterable[StateRecord]) -> Contradiction | None:
    """The contradiction in a ledger's state records, or None."""
    found = next((state for state in states if state.name == RECORD), None)
    return None if found is None else canonical.decode(Contradiction, found.value)


def content_of(checkpoint: Checkpoint | CheckpointCertificate) -> Content:
    """The part of a checkpoint that identifies its state."""
    return (checkpoint.state_root, checkpoint.log_root, checkpoint.timestamp)
