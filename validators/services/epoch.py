"""The epoch that runs now, for people: its members, who runs them, what it survives, its parameters."""

from __future__ import annotations

import msgspec

from tickets.services.network import gateway
from validators.genesis import Parameters
from validators.models import ManagedNode, NodePart
from validators.services.membership import Strength, strength
from validators.services.roster import MemberNode, list_members

__all__ = ["PresentEpoch", "ShownMember", "present_epoch"]


class ShownMember(msgspec.Struct, frozen=True):
    """One member: its place in the epoch, and the node as the platform sees it."""

    seat: int
    public_key: str
    """Hex digits."""
    node: MemberNode


class PresentEpoch(msgspec.Struct, frozen=True):
    """What runs now. `after`: the sequence that began it."""

    epoch: int
    after: int
    strength: Strength
    parameters: Parameters
    members: tuple[ShownMember, ...]
    joining: tuple[ManagedNode, ...]
    """Newcomers of this platform that follow without a vote."""


def present_epoch() -> PresentEpoch:
    """As the gateway knows it; raise Unavailable while no cluster has been made."""
    network = gateway()
    present = network.present
    keys = {member.id: member.public_key.hex() for member in present.members}
    return PresentEpoch(
        epoch=present.epoch,
        after=present.after,
        strength=strength(len(present.members)),
        parameters=present.parameters,
        members=tuple(
            ShownMember(node.index, keys[node.id], node) for node in list_members() if node.id in keys
        ),
        joining=tuple(ManagedNode.objects.filter(part=NodePart.JOINING)),
    )
