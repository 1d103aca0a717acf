"""Membership changes that this platform refuses itself: too many, or one that stops the cluster.

Each change ends an epoch, and nothing is proposed while one is decided (R35): a caller with unlimited changes
could keep the cluster from all other work.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from dtvn.api.errors import TicketError
from dtvn.gateway import NO_ANSWER
from dtvn.machine import reasons
from dtvn.protocol import versions
from dtvn.protocol.consensus.membership import Change, Membership, outline
from dtvn.protocol.quorum import Mode, faults
from validators.membership.change_request import ChangeRequest
from validators.models import FINISHED, MembershipChange
from validators.services.errors import ChangePending, TooManyChanges

OPEN_MAX = 8
"""Unfinished changes; they are carried out one after the other."""
ASKED_MAX = 30
ASKED_WITHIN = timedelta(minutes=10)
"""Period in which one caller may request ASKED_MAX changes, with any outcome."""
OPEN_RETRY = 10
"""Seconds after which an unfinished change may be done."""


def unfinished() -> QuerySet[MembershipChange]:
    """Unfinished changes."""
    return MembershipChange.objects.exclude(state__in=FINISHED)


def refuse_rivals(asked: ChangeRequest) -> None:
    """Raise ChangePending while another change of the same member, or of the parameters, is unfinished."""
    for other in unfinished():
        named = {other.request.get("node_id"), other.request.get("replaces")} - {"", None}
        both = asked.change == other.request["change"] == "parameters"
        if both or named & {asked.node_id, asked.replaces}:
            raise ChangePending(f"change {other.pk} ({other}) is in progress")


def refuse_flood(actor: str) -> None:
    """Raise TooManyChanges if too many changes are unfinished, or this caller requested too many within
    ASKED_WITHIN."""
    if unfinished().count() >= OPEN_MAX:
        raise TooManyChanges(f"{OPEN_MAX} changes are in progress: wait until one finishes.", OPEN_RETRY)
    now = timezone.now()
    asked = MembershipChange.objects.filter(actor=actor, created_at__gt=now - ASKED_WITHIN)
    times = list(asked.order_by("-id").values_list("created_at", flat=True)[:ASKED_MAX])
    if len(times) == ASKED_MAX:
        wait = int((times[-1] + ASKED_WITHIN - now).total_seconds()) + 1
        minutes = int(ASKED_WITHIN.total_seconds()) // 60
        raise TooManyChanges(f"At most {ASKED_MAX} changes in {minutes} minutes: each begins an epoch.", wait)


def refuse_version(now: Membership, change: Change) -> None:
    """Raise TicketError (needs_version) if the change raises the cluster's version beyond what this program
    or a member runs, with the names of these members (R47)."""
    wanted = change.parameters[0].version if change.parameters else now.version
    if wanted == now.version:
        return
    newest = {proof.member: proof.newest for proof in change.alive}
    runs = {name: versions.release(version or versions.FIRST) for name, version in newest.items()}
    waits = {
        member.id: runs.get(member.id, NO_ANSWER)
        for member in now.members
        if newest.get(member.id, 0) < wanted
    }
    if wanted > versions.NEWEST:
        sentence = f"This program runs version {versions.NEWEST} of a cluster at most: upgrade it first."
    elif waits:
        sentence = (
            f"{versions.waiting(wanted, waits)}: each member must run "
            f"{versions.release(wanted)} or later, and answer. Replace or remove one that is lost first."
        )
    else:
        return
    raise TicketError(reasons.NEEDS_VERSION, sentence)


def refuse_standstill(now: Membership, change: Change) -> None:
    """Raise TicketError (not_ready) if nothing could be decided after the change: in an epoch that tolerates
    no liar, each member waits for all others at its start (R11), and one did not answer."""
    found = outline(now, change)
    if isinstance(found, str) or faults(len(found[0]), now.mode):
        return
    living = {proof.member for proof in change.alive}
    silent = [member.id for member in found[0] if member.id not in living]
    if silent:
        names = " and ".join(silent)
        where = "In a Raft cluster" if now.mode is Mode.RAFT else "With fewer than four members"
        raise TicketError(
            reasons.NOT_READY,
            f"{names} did not answer. {where}, all must run when members or parameters "
            f"change: start {names}, or remove or replace a member that is permanently lost.",
        )
