"""The epoch that runs now, for people: its members, who runs them, what it survives, its parameters."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from django.db.models import Max
from django.utils import timezone

from tickets.services.errors import Unavailable
from tickets.services.network import gateway
from validators.genesis import Parameters
from validators.models import FINISHED, ChangeState, ManagedNode, MembershipChange, NodePart, NodeStatus
from validators.services.membership import Strength, strength
from validators.services.roster import MemberNode, list_members
from validators.waiting import look_until

__all__ = ["PresentEpoch", "ShownMember", "met_newest", "present_epoch"]

MET_WITHIN = 5.0
"""Seconds until this process's gateway has met, usually at once, an epoch that another process saw begin."""
RECENT = timedelta(minutes=1)
"""Since a change was done: an older one is not waited for, it may be of a cluster that was put aside."""
UNDER_WAY = frozenset({NodeStatus.STARTING, NodeStatus.STOPPING})


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
    overtaken: bool
    """Whether a later epoch has begun that this process has not met yet."""
    changing: bool
    """Whether a change that was asked of this platform is under way."""

    @property
    def settling(self) -> bool:
        """Whether a page of it is soon another one."""
        moving = any(each.node.status in UNDER_WAY for each in self.members)
        return self.overtaken or self.changing or moving


def present_epoch() -> PresentEpoch:
    """As the gateway knows it, not older than the changes that were just told to be done.

    Raises Unavailable while no cluster has been made.
    """
    network, met = gateway(), met_newest()
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
        overtaken=not met,
        changing=MembershipChange.objects.exclude(state__in=FINISHED).exists(),
    )


def met_newest() -> bool:
    """Wait a little until this process knows the epoch of what was told to be done lately; False: not yet.

    Whoever was told "done" sees the epoch that it began, whichever process carried the change out.
    """
    try:
        network = gateway()
    except Unavailable:
        return False
    done = MembershipChange.objects.filter(state=ChangeState.DONE, finished_at__gt=timezone.now() - RECENT)
    begun = done.aggregate(newest=Max("epoch"))["newest"] or 0
    return look_until(lambda: network.present.epoch >= begun, MET_WITHIN, pause=0.05)
