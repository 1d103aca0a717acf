"""The state of the cluster as pages, admin and REST show it: one sentence, and what is under way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from django.utils import timezone

from dtvn.api.errors import Unavailable
from dtvn.gateway import GatewayFace
from dtvn.node.process import FOLLOWING
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from dtvn.watch import NO_CLUSTER, Agreement, Cut, MemberReport, is_reachable
from validators.models import FINISHED, DesiredState, MembershipChange, NetworkCut
from validators.services import following
from validators.services.cluster import (
    START_PATIENCE,
    Progress,
    cluster_now,
    own_members,
    rolls,
    stopped_nodes,
    under_way,
)
from validators.services.mode import cluster_mode
from validators.services.network import informed_gateway

GATES_WAIT = "gates wait for 0.2 seconds at most (measured on a quiet machine; 0.3 on a busy one)."
OFTEN, OFTEN_WITHIN = 3, timedelta(minutes=10)
"""So many cuts in so short a time are a line that comes and goes."""
CUT_FRESH = timedelta(minutes=1)
"""Time after which a cut that nobody has seen any more is not told: it is seen every ten seconds."""
RESTART_USUAL = "5 to 15"
"""Seconds from the first stop to the next decision when all nodes restart: an estimate for four nodes."""


def cluster_state(*, without: Collection[str] = ()) -> Agreement:
    """How many members agree now, as this process sees them, whether log time is ahead of its clock, and
    which change of members is under way; with `without`, how many would agree if these members failed. Of a
    follower: how old its copy is."""
    if following.is_follower():
        return following.state()
    try:
        gateway = informed_gateway()
        if without:
            return gateway.agreement(without=without)
        found = gateway.agreement(reports=_known(gateway), cut=cut_now())
        changes = "" if found.changing else _change_of_members()
        return msgspec.structs.replace(found, sentence="; ".join(filter(None, (found.sentence, changes))))
    except Unavailable as error:
        return msgspec.structs.replace(NO_CLUSTER, sentence=str(error).removesuffix("."))


def _known(gateway: GatewayFace) -> list[MemberReport]:
    """The members' reports; one that this platform stops is away once its link is, not only when it has been
    silent for long."""
    ending = set(own_members().filter(desired=DesiredState.STOPPED).values_list("node_id", flat=True))
    return [
        msgspec.structs.replace(each, heard=None) if each.id in ending and not each.connected else each
        for each in gateway.members()
    ]


def cut_now() -> Cut:
    """What is cut between members, or was again and again of late, as the web process of this platform last
    saw it."""
    rows = list(NetworkCut.objects.filter(seen_at__gt=timezone.now() - OFTEN_WITHIN)[: 2 * OFTEN])
    row = next((row for row in rows if row.ended_at is None and row.present), None)
    if row is not None and timezone.now() - row.seen_at < CUT_FRESH:
        return Cut(often_cut(rows) or row.present, tuple(map(tuple, row.groups)), row.certain)
    return Cut(often_cut(rows))


def often_cut(rows: Sequence[NetworkCut]) -> str:
    """What was cut OFTEN within OFTEN_WITHIN, in words without a full stop; "" for nothing. `rows`: newest
    first. It is told until that time has passed, so that the sentence does not come and go with the line."""
    since = timezone.now() - OFTEN_WITHIN
    cuts = [row for row in rows if row.seen_at > since]
    return f"{cuts[0]}, again and again" if len(cuts) >= OFTEN else ""


def _change_of_members() -> str:
    """The change of members or parameters that this platform carries out now; "" for none."""
    row = MembershipChange.objects.exclude(state__in=FINISHED).order_by("pk").first()
    return "" if row is None else f"changing members: {row}, {row.get_state_display().lower()}"


def state_without(names: Collection[str]) -> Agreement:
    """The state once these members, and those of this platform that are to stop already, have stopped."""
    ending = own_members().filter(desired=DesiredState.STOPPED).values_list("node_id", flat=True)
    return cluster_state(without={*names, *ending})


def missing_now() -> list[str]:
    """The members that a start waits for, as this process sees them (R11): those that give no word about
    others' votes, or are to stop. Empty where a start waits for no member by name."""
    try:
        network = informed_gateway()
    except Unavailable:
        return []
    members = network.members()
    if not quorum.starts_wait_for_all(len(members), network.present.mode):
        return []
    ending = set(own_members().filter(desired=DesiredState.STOPPED).values_list("node_id", flat=True))
    return [view.id for view in members if view.id in ending or _is_away(view)]


def start_waits(missing: Iterable[str], *, started: Collection[str] = (), stopped: str = "") -> str:
    """What a member that is started waits for with `missing_now`, once `started` run and `stopped` does not;
    a sentence without a full stop, "" where nothing holds it up."""
    try:
        present = informed_gateway().present
    except Unavailable:
        return ""
    gone = {*missing, stopped} - set(started)
    names = [member.id for member in present.members if member.id in gone]
    return quorum.start_waits_sentence(names, len(present.members), present.mode)


def _is_away(report: MemberReport) -> bool:
    """Whether a member gives no word about others' votes: it does not answer, or has lost its ledger."""
    return not is_reachable(report) or report.state == FOLLOWING


def describe_state(state: Agreement) -> dict[str, Any]:
    """The state as JSON: `Agreement`, and the processes that this platform runs."""
    return msgspec.to_builtins(state) | {
        "stopped": stopped_nodes(),
        "under_way": describe_progress(under_way()),
        "cut": cut_now().what,
        "error": cluster_now().error,
    }


def gates_wait(*, newcomer: bool) -> str:
    """How long gates wait for a change of members, with or without one that comes in; a sentence."""
    before = "The newcomer follows the log first, then " if newcomer else "When the change begins, "
    return f"{before}{GATES_WAIT}"


def if_added(members: int, mode: Mode) -> str:
    """What one more member than `members` gives a cluster, by the quorum calculator, and how long gates wait
    for it; sentences."""
    if not 1 <= members < quorum.MEMBERS_MAX:
        return f"A cluster has at most {quorum.MEMBERS_MAX} members." if members else ""
    now, then = (quorum.fault_tolerance_sentence(count, mode) for count in (members, members + 1))
    told = (f"Now {now}.", f"Then {then}.", gained(members, members + 1, mode), gates_wait(newcomer=True))
    return " ".join(filter(None, told))


def gained(members: int, then: int, mode: Mode) -> str:
    """What a change of the number of members gives, a sentence; where it gives nothing, which number does."""

    def strength(count: int) -> tuple[int, int]:
        return quorum.faults(count, mode), quorum.crashes_tolerated(count, mode)

    if then <= members or strength(then) != strength(members):
        return ""
    better = next(
        (count for count in range(then, quorum.MEMBERS_MAX + 1) if strength(count) > strength(members)), 0
    )
    more = f" {better} members are the next that tolerate more." if better else ""
    return f"Nothing is gained: it tolerates no more, and each decision needs one vote more.{more}"


def describe_progress(progress: Progress | None) -> dict[str, Any] | None:
    """A start or stop under way as JSON, with `text`: how far it is."""
    return None if progress is None else msgspec.to_builtins(progress) | {"text": str(progress)}


def consequences() -> dict[str, Any]:
    """What would follow if a node of this platform stopped, or restarted, by its name; if all of them
    stopped; while all of them restart; and if a member joined. Sentences without a full stop, but for the
    last."""
    names = list(own_members().values_list("node_id", flat=True))
    gone = state_without(names)
    restart = f"until they run again: {gone.sentence}"
    if rolls():
        restart = "one after the other, each while a quorum votes without it, so that decisions go on"
    elif gone.level == "stuck":
        minutes = 2 * START_PATIENCE / 60  # the stop and the start have this patience each
        restart = (
            "nothing is decided from the first stop until a quorum runs again: usually "
            f"{RESTART_USUAL} seconds; if no quorum runs after {minutes:.0f} minutes, all stay stopped"
        )
    missing = missing_now()
    without = {name: state_without([name]).sentence for name in names}
    return {
        "if_added": if_added(gone.members, cluster_mode()),
        "if_stopped": {name: _joined(without[name], start_waits(missing, stopped=name)) for name in names},
        "if_restarted": {name: _restarted(without[name], missing, name) for name in names},
        "if_all_stopped": gone.sentence,
        "if_all_restarted": _joined(restart, start_waits(missing, started=names)),
    }


def _restarted(sentence: str, missing: Sequence[str], name: str) -> str:
    """What follows from a restart of a member, a sentence without a full stop; `sentence`: from its stop."""
    waits = start_waits(missing, started=[name])
    return f"Until it {'votes' if waits else 'runs'} again: {_joined(sentence, waits)}"


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))
