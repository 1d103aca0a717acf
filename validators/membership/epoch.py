"""The current epoch for users: its members, who runs them, the faults it survives, its parameters."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from django.db.models import Max
from django.utils import timezone

from dtvn.api.errors import Unavailable
from dtvn.gateway import NO_ANSWER, releases_of, waits_sentence
from dtvn.protocol.genesis import Parameters
from dtvn.waiting import look_until
from validators.membership.change_limits import unfinished
from validators.membership.change_request import Strength, strength
from validators.membership.roster import MemberNode, list_members
from validators.models import ChangeState, ManagedNode, MembershipChange, NodePart, NodeStatus
from validators.services.network import gateway

MET_WITHIN = 5.0
"""Seconds to wait until this process's gateway knows an epoch that another process saw begin (usually at
once)."""
RECENT = timedelta(minutes=1)
"""Age of a done change up to which its epoch is waited for: an older one may be of a cluster that was moved
aside."""
UNDER_WAY = frozenset({NodeStatus.STARTING, NodeStatus.STOPPING})


class ShownMember(msgspec.Struct, frozen=True):
    """One member: its place in the epoch, and the node as the platform sees it."""

    seat: int
    public_key: str
    """Hex digits."""
    node: MemberNode
    release: str
    """See gateway.releases."""


class PresentEpoch(msgspec.Struct, frozen=True):
    """The current epoch. `after`: the sequence that began it."""

    epoch: int
    after: int
    strength: Strength
    parameters: Parameters
    waits: str
    """Whom the cluster's next version waits for, in a sentence; "" if all members run it."""
    members: tuple[ShownMember, ...]
    joining: tuple[ManagedNode, ...]
    """Newcomers of this platform that follow without a vote."""
    overtaken: bool
    """Whether a later epoch has begun that this process does not know yet."""
    changing: bool
    """Whether a change that was requested from this platform is in progress."""

    @property
    def settling(self) -> bool:
        """Whether the shown state is about to change."""
        moving = any(each.node.status in UNDER_WAY for each in self.members)
        return self.overtaken or self.changing or moving


def present_epoch() -> PresentEpoch:
    """The epoch as the gateway knows it, at least as new as the changes just reported as done.

    Raises Unavailable while no cluster has been created.
    """
    network, met = gateway(), met_newest()
    present = network.present
    keys = {member.id: member.public_key.hex() for member in present.members}
    releases = releases_of(network.members())
    runs = {each.id: each.release for each in releases}
    return PresentEpoch(
        epoch=present.epoch,
        after=present.after,
        strength=strength(len(present.members), present.mode),
        parameters=present.parameters,
        waits=waits_sentence(present.version, releases),
        members=tuple(
            ShownMember(node.index, keys[node.id], node, runs.get(node.id, NO_ANSWER))
            for node in list_members()
            if node.id in keys
        ),
        joining=tuple(ManagedNode.objects.filter(part=NodePart.JOINING)),
        overtaken=not met,
        changing=unfinished().exists(),
    )


def met_newest() -> bool:
    """Wait briefly until this process knows the epoch of the most recently completed change; False: not yet.

    A caller that got "done" then sees the epoch that it began, whichever process carried the change out.
    """
    try:
        network = gateway()
    except Unavailable:
        return False
    done = MembershipChange.objects.filter(state=ChangeState.DONE, finished_at__gt=timezone.now() - RECENT)
    begun = done.aggregate(newest=Max("epoch"))["newest"] or 0
    return look_until(lambda: network.present.epoch >= begun, MET_WITHIN, pause=0.05)
