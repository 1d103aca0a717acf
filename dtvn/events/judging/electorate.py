"""The members of one epoch, who vote."""

from __future__ import annotations

from typing import Protocol

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.genesis import Member
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import shown
from dtvn.protocol.quorum import Mode
from dtvn.protocol.scheme import ED25519


class Verifier(Protocol):
    """Checks signatures."""

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See protocol.scheme.Scheme."""


class Electorate(msgspec.Struct, frozen=True):
    """The members whose votes count in one epoch of one cluster."""

    cluster: bytes
    """Cluster id, 32 bytes."""
    epoch: int
    members: tuple[Member, ...]
    """In the order of their indexes."""
    mode: Mode
    """How they agree on the log, which says how many of them are a quorum."""
    scheme: Verifier = ED25519

    @property
    def quorum(self) -> int:
        """q: the least number of equal votes that a certificate holds."""
        return quorum.quorum(len(self.members), self.mode)

    def name(self, member: int) -> str:
        """Id of the member with this index, safe to show; raises ProofError if there is none."""
        return shown(self._member(member).id)

    def key(self, member: int) -> bytes:
        """Public key of the member with this index; raises ProofError if there is none."""
        return self._member(member).public_key

    def check_epoch(self, epoch: int) -> None:
        """Raises ProofError unless `epoch` is this one."""
        if epoch != self.epoch:
            said = f"it is of epoch {epoch}, not of epoch {self.epoch}"
            raise ProofError(Code.OTHER_EPOCH, f"epoch {epoch}", said)

    def _member(self, member: int) -> Member:
        if not 0 <= member < len(self.members):
            said = f"epoch {self.epoch} has no member {member}"
            raise ProofError(Code.UNKNOWN_MEMBER, f"member {member}", said)
        return self.members[member]
