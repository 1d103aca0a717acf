"""Who the members are, epoch by epoch, and what may change them: pure values and one function (R35-R37).

A change is an ordered operation, alone in its batch, that adds, removes, replaces or re-keys one member, or
changes parameters. What it must bring with it is signed and judged by batch time: replicas look at nothing
local. Its sequence is the last of its epoch (`succession` has what replicas do about that).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from validators import canonical, quorum
from validators.consensus.messages import Bundle
from validators.genesis import (
    PORT_MAX,
    Genesis,
    GenesisError,
    Member,
    Parameters,
    check_terms,
    continued,
    window,
)

__all__ = [
    "ALIVE_FOR",
    "FIXED",
    "KIND",
    "RECOVER",
    "RECOVERY",
    "Alive",
    "Change",
    "Membership",
    "alive_bytes",
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
"""Who asks for it, on paper. It is no principal's name and has no key, so the door lets no such request into
a pool or a proposal: it stands only where all members signed the log that holds it (continuation.py)."""

ALIVE_FOR = 30_000_000
"""Microseconds of batch time for which a statement of life counts (R36), see `is_fresh`."""

FIXED = ("sessions_max", "nonces_max")
"""Parameters that size what the state holds already; a change keeps them."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, data, signature): whether the signature is good."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Membership(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One epoch. It holds the sequences above `after`."""

    epoch: int
    after: int
    """Sequence of the operation that began it; 0 for genesis."""
    members: tuple[Member, ...]
    """In order of their index."""
    parameters: Parameters

    def find(self, member_id: str) -> int | None:
        """Index of a member, or None."""
        return next((i for i, member in enumerate(self.members) if member.id == member_id), None)


class Alive(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node's signed word that it lives, and how far it has executed (R36)."""

    member: Annotated[str, msgspec.Meta(max_length=64)]
    executed: Count
    timestamp: Count
    """By its wall clock, Unix microseconds."""
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Change(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One change. Who joins in the place of one that leaves replaces it; under the same id, it has a new
    key or address."""

    epoch: Count
    """The epoch that it ends: it can be done once."""
    leaves: Annotated[str, msgspec.Meta(max_length=64)] = ""
    joins: Annotated[tuple[Member, ...], msgspec.Meta(max_length=1)] = ()
    parameters: Annotated[tuple[Parameters, ...], msgspec.Meta(max_length=1)] = ()
    allow_small: bool = False
    """Take leave of n >= 4, and with it of every liar tolerated (R37)."""
    alive: Annotated[tuple[Alive, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)] = ()


def founding(genesis: Genesis) -> Membership:
    """Epoch 0. In a cluster that continues another one it begins behind what was certified there (R11)."""
    continues = continued(genesis)
    after = 0 if continues is None else continues.sequence
    return Membership(epoch=0, after=after, members=genesis.members, parameters=genesis.parameters)


def is_reconfiguration(bundle: Bundle) -> bool:
    """Whether a request asks for a change of the membership; beside other operations it does nothing."""
    return len(bundle.operations) == 1 and bundle.operations[0].kind == KIND


def alive_bytes(cluster: bytes, epoch: int, member: str, executed: int, timestamp: int) -> bytes:
    """What the signature of an Alive covers."""
    return b"dtvn/v1/alive\0" + cluster + canonical.encode((epoch, member, executed, timestamp))


def is_fresh(said: int, timestamp: int, parameters: Parameters) -> bool:
    """Whether what a clock said at `said` was said lately, at batch time `timestamp` (both microseconds).

    Clocks may differ by the drift bound (R3). A word from further ahead is none: it would count for up to
    twice ALIVE_FOR after its member fell silent.
    """
    return said - min(parameters.drift_bound, ALIVE_FOR) <= timestamp <= said + ALIVE_FOR


def succeed(
    now: Membership, change: Change, *, sequence: int, timestamp: int, cluster: bytes, verify: Verify
) -> Membership | str:
    """The membership that a change at `sequence` begins, or the code of why it does not."""
    outlined = outline(now, change)
    if isinstance(outlined, str):
        return outlined
    members, parameters = outlined
    newcomers = [member for member in members if member not in now.members]
    if not _shows_life(now, members, newcomers, change.alive, sequence, timestamp, cluster, verify):
        return "not_ready"
    return Membership(epoch=now.epoch + 1, after=sequence, members=members, parameters=parameters)


def outline(now: Membership, change: Change) -> tuple[tuple[Member, ...], Parameters] | str:
    """Members and parameters that a change would leave, whoever lives; or the code of why it cannot be."""
    if change.epoch != now.epoch:
        return "wrong_epoch"
    shaped = _shape(now, change)
    if isinstance(shaped, str):
        return shaped
    members, parameters = shaped
    try:
        check_terms("any", parameters, len(members))
    except GenesisError:
        return "malformed" if change.parameters else "full"  # nobody could live in that epoch (R20)
    if len(members) < 4 <= len(now.members) and not change.allow_small:
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
    return now.members, wanted


def _shows_life(
    now: Membership,
    members: tuple[Member, ...],
    newcomers: list[Member],
    alive: tuple[Alive, ...],
    sequence: int,
    timestamp: int,
    cluster: bytes,
    verify: Verify,
) -> bool:
    """Whether a quorum of the new members lives, and whoever is new has nearly the whole log."""
    keys = {member.id: member.public_key for member in members}
    living: dict[str, int] = {}
    for said in alive:
        key = keys.get(said.member)
        if key is None or not is_fresh(said.timestamp, timestamp, now.parameters):
            continue
        if verify(
            key, alive_bytes(cluster, now.epoch, said.member, said.executed, said.timestamp), said.signature
        ):
            living[said.member] = said.executed
    if len(living) < quorum.quorum(len(members)):
        return False
    least = sequence - window(now.parameters)
    return all(newcomer.id in living and living[newcomer.id] >= least for newcomer in newcomers)
