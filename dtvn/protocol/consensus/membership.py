"""The members of each epoch and the rules for changing them: pure values and one function (R35-R37).

A change is an ordered operation, alone in its batch, that adds, removes, replaces or re-keys one member, or
changes parameters. The proofs that it must carry are signed and judged by batch time: replicas use no local
state. Its sequence is the last of its epoch (for what replicas do then, see `epoch_change`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.messages import Bundle
from dtvn.protocol.genesis import (
    PORT_MAX,
    Genesis,
    GenesisError,
    Member,
    Parameters,
    check_terms,
    continued,
    mode,
    window,
)
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import FIRST

__all__ = [
    "ALIVE_FOR",
    "FIXED",
    "KIND",
    "RECOVER",
    "RECOVERY",
    "LivenessProof",
    "Change",
    "Membership",
    "alive_at",
    "liveness_bytes",
    "founding",
    "is_fresh",
    "is_reconfiguration",
    "outline",
    "succeed",
    "window",
]

KIND = "reconfigure"
"""Kind of the operation that ends an epoch."""

RECOVER = "recover"
"""Kind of the operation that ends an epoch in which nothing can be ordered any more (R11)."""
RECOVERY = "#recovery"
"""Nominal principal of the operation `recover`. It is not a valid principal name and has no key, so the door
lets no such request into a pool or a proposal: it occurs only in a log that all members signed
(continuation.py)."""

ALIVE_FOR = 30_000_000
"""Microseconds of batch time for which a liveness proof is valid (R36), see `is_fresh`."""

FIXED = ("sessions_max", "nonces_max")
"""Parameters that limit what the state already holds; a change must keep them."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, data, signature) -> whether the signature is valid."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Membership(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Members and parameters of one epoch, which holds the sequences above `after`."""

    epoch: int
    after: int
    """Sequence of the operation that began the epoch; 0 for genesis."""
    members: tuple[Member, ...]
    """The members in order of their index."""
    parameters: Parameters
    mode: Mode = Mode.PBFT
    """How the members agree: as genesis says, in all epochs (R44). It is not stored for PBFT, as it was not
    before there was another mode (`canonical.encode_trimmed`)."""

    first_form: ClassVar[int] = 4
    nested: ClassVar[tuple[int, ...]] = (3,)

    @property
    def version(self) -> int:
        """The cluster's version in this epoch (R47)."""
        return self.parameters.version

    def find(self, member_id: str) -> int | None:
        """Index of a member, or None."""
        return next((i for i, member in enumerate(self.members) if member.id == member_id), None)

    def followed_by(self, after: int, members: tuple[Member, ...], parameters: Parameters) -> Membership:
        """The next epoch, which begins after the sequence `after`; nothing changes the mode (R44)."""
        return Membership(self.epoch + 1, after, members, parameters, self.mode)


class LivenessProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node's signed statement that it is running, and how far it has executed (R36)."""

    member: Annotated[str, msgspec.Meta(max_length=64)]
    executed: Count
    timestamp: Count
    """Unix microseconds: the later of the node's wall clock and its last effective time."""
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
    newest: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    """The newest version of the cluster that the node's program runs (R47); 0: it does not say. Later field,
    which only a change that raises the version may hold: members of version 1 cannot read it."""

    first_form: ClassVar[int] = 4


class Change(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One change of the membership. If one member leaves and another joins, the new one takes the other's
    index; a member that joins under the same id gets a new key or address."""

    epoch: Count
    """The epoch that the change ends, so that it can be applied only once."""
    leaves: Annotated[str, msgspec.Meta(max_length=64)] = ""
    joins: Annotated[tuple[Member, ...], msgspec.Meta(max_length=1)] = ()
    parameters: Annotated[tuple[Parameters, ...], msgspec.Meta(max_length=1)] = ()
    allow_small: bool = False
    """Permit that no Byzantine member is tolerated any more: with PBFT fewer than 4 members (R37)."""
    alive: Annotated[tuple[LivenessProof, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)] = ()

    first_form: ClassVar[int] = 6
    nested: ClassVar[tuple[int, ...]] = (3, 5)


def founding(genesis: Genesis) -> Membership:
    """The membership of epoch 0. In a cluster that continues another one, the epoch begins after the last
    certified sequence of that cluster (R11)."""
    continues = continued(genesis)
    after = 0 if continues is None else continues.sequence
    return Membership(0, after, genesis.members, genesis.parameters, mode(genesis))


def is_reconfiguration(bundle: Bundle) -> bool:
    """Whether a request asks for a change of the membership; beside other operations in a bundle, such an
    operation has no effect."""
    return len(bundle.operations) == 1 and bundle.operations[0].kind == KIND


def liveness_bytes(
    cluster: bytes, epoch: int, member: str, executed: int, timestamp: int, newest: int
) -> bytes:
    """The bytes that the signature of a liveness proof covers; of one that names a version, that too."""
    said = (epoch, member, executed, timestamp)
    return b"dtvn/v1/alive\0" + cluster + canonical.encode((*said, newest) if newest else said)


def alive_at(wall: int, effective: int) -> int:
    """The date of a liveness proof (R36): the later of a node's wall clock and its last effective time, both
    microseconds. It is judged by batch time, which does not go back with the clocks."""
    return max(wall, effective)


def is_fresh(said: int, timestamp: int, parameters: Parameters) -> bool:
    """Whether a statement with the clock time `said` is fresh at batch time `timestamp` (both microseconds).

    Clocks may differ by the drift bound (R3). A statement from further in the future is not fresh: it would
    count for up to twice ALIVE_FOR after its member stopped.
    """
    return said - min(parameters.drift_bound, ALIVE_FOR) <= timestamp <= said + ALIVE_FOR


def succeed(
    now: Membership, change: Change, *, sequence: int, timestamp: int, cluster: bytes, verify: Verify
) -> Membership | str:
    """The membership that a change at `sequence` begins, or the code of why it is refused."""
    outlined = outline(now, change)
    if isinstance(outlined, str):
        return outlined
    members, parameters = outlined
    living = _living(now, members, change.alive, timestamp, cluster, verify)
    if parameters.version != now.version and not all(
        member.id in living and living[member.id].newest >= parameters.version for member in members
    ):
        return "needs_version"
    if len(living) < quorum.quorum(len(members), now.mode):
        return "not_ready"
    least = sequence - window(now.parameters)
    newcomers = [member.id for member in members if member not in now.members]
    if not all(name in living and living[name].executed >= least for name in newcomers):
        return "not_ready"
    if not all(now.version <= FIRST or living[name].newest >= now.version for name in newcomers):
        return "needs_version"
    return now.followed_by(sequence, members, parameters)


def outline(now: Membership, change: Change) -> tuple[tuple[Member, ...], Parameters] | str:
    """Members and parameters that a change would result in, without checking which members are alive; or the
    code of why it is refused."""
    if change.epoch != now.epoch:
        return "wrong_epoch"
    shaped = _shape(now, change)
    if isinstance(shaped, str):
        return shaped
    members, parameters = shaped
    try:
        check_terms("any", parameters, len(members))
    except GenesisError:
        return "malformed" if change.parameters else "full"  # no cluster can run with these terms (R20)
    liars, left = quorum.faults(len(now.members), now.mode), quorum.faults(len(members), now.mode)
    if liars and not left and not change.allow_small:
        return "too_few_members"
    return shaped


def _shape(now: Membership, change: Change) -> tuple[tuple[Member, ...], Parameters] | str:
    """Members and parameters after exactly one change."""
    asked = bool(change.leaves or change.joins)
    if asked == bool(change.parameters):
        return "malformed"
    if change.parameters:
        return _parameters(now, change.parameters[0])
    members = list(now.members)
    place = None
    if change.leaves:
        place = now.find(change.leaves)
        if place is None:
            return "member_not_found"
    for newcomer in change.joins:
        others = [member for member in members if member.id != change.leaves]
        if any(member.id == newcomer.id for member in others):
            return "member_exists"
        if newcomer in now.members or not 1 <= newcomer.port <= PORT_MAX or not newcomer.host:
            return "malformed"
        if any(member.public_key == newcomer.public_key for member in others):
            return "key_in_use"
    if place is None:
        members += change.joins
    else:
        members[place : place + 1] = change.joins
    if not members:
        return "too_few_members"
    return (tuple(members), now.parameters) if len(members) <= quorum.MEMBERS_MAX else "full"


def _parameters(now: Membership, wanted: Parameters) -> tuple[tuple[Member, ...], Parameters] | str:
    if wanted == now.parameters or any(getattr(wanted, f) != getattr(now.parameters, f) for f in FIXED):
        return "malformed"
    raised = msgspec.structs.replace(now.parameters, version=now.version + 1)
    if wanted.version != now.version and wanted != raised:
        return "malformed"  # a version is raised by one, and alone; nothing lowers it (R47)
    return now.members, wanted


def _living(
    now: Membership,
    members: tuple[Member, ...],
    alive: tuple[LivenessProof, ...],
    timestamp: int,
    cluster: bytes,
    verify: Verify,
) -> dict[str, LivenessProof]:
    """Id -> liveness proof of the members of the next epoch that signed one which is fresh at batch time."""
    keys = {member.id: member.public_key for member in members}
    living: dict[str, LivenessProof] = {}
    for said in alive:
        key = keys.get(said.member)
        if key is None or not is_fresh(said.timestamp, timestamp, now.parameters):
            continue
        signed = liveness_bytes(cluster, now.epoch, said.member, said.executed, said.timestamp, said.newest)
        if verify(key, signed, said.signature):
            living[said.member] = said
    return living
