"""Explains why the cluster is stuck: asks every node for its position, and draws a conclusion.

Each row is one node's own report (its consensus snapshot). The verdict is a sentence for the operator,
derived from all reports, the most important reason first.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC
from typing import Any

import msgspec

from dtvn.api.errors import Unavailable
from dtvn.gateway import Answered, GatewayFace
from dtvn.protocol import quorum
from dtvn.protocol.log_time import withheld_sentence
from dtvn.protocol.quorum import Mode
from dtvn.watch import NO_CLUSTER, Agreement, MemberReport, read_report
from dtvn.wording import counted
from validators.feed.rows import read_applied
from validators.membership import CONTRADICTION, DISK_FULL, WAITING, error_of
from validators.models import ManagedNode, NodeRole, NodeStatus
from validators.services import network
from validators.services.cluster_state import cluster_state, cut_now
from validators.services.following import is_follower
from validators.services.following import state as following_state

ANSWER_WAIT = 1.0
"""Seconds that a node has to answer."""
SLOW = 1.0
"""Seconds after which an undecided sequence counts as stuck; a healthy one takes milliseconds."""
PROBLEMS = {
    "timeout": "no answer",
    "down": "not connected",
    DISK_FULL: "its disk is full",
    CONTRADICTION: "it has stopped permanently",
}
"""Messages for the error codes of requests that were not answered."""
BAD_TIMESTAMP = "bad_timestamp"
"""A node's reason to withhold its vote from a proposal whose time is too far from its clock."""


class Explained(msgspec.Struct, frozen=True):
    """Why the cluster is stuck, or that it is not."""

    level: str
    """ok, slow or stuck."""
    verdict: str
    """A sentence."""
    state: Agreement = NO_CLUSTER
    reports: Sequence[MemberReport] = ()
    """What each member just answered; with a `problem` where it did not."""


def explain() -> Explained:
    """Ask every member, and conclude."""
    if is_follower():  # its own line on each page says all that it knows
        return Explained("ok", following_state().sentence)
    try:
        gateway = network.informed_gateway()
    except Unavailable as error:
        return Explained("stuck", str(error))
    reports = ask_members(gateway)
    # The polled reports are up to a second old, and may be from both sides of a view change.
    state = gateway.agreement(reports=reports, cut=cut_now())
    state = state if state.has_quorum else cluster_state()
    level, verdict = judge(reports, gateway.present.mode, state=state, reading=_reading())
    return Explained(level, verdict, state, reports)


def describe(found: Explained) -> dict[str, Any]:
    """The verdict and every node's report, for the page."""
    return {
        "level": found.level,
        "verdict": found.verdict,
        "quorum": found.state.needed,
        "nodes": [_row(each) for each in found.reports],
        "log_time_ahead": found.state.log_time_ahead,
    }


def _row(report: MemberReport) -> dict[str, Any]:
    return {
        "id": report.id,
        "problem": report.problem,
        "view": report.view,
        "changing": report.changing,
        "primary": report.leader,
        "pending": report.pending,
        "suspicion": report.suspicion,
        "slot": msgspec.to_builtins(report.open),
    }


def ask_members(gateway: GatewayFace) -> list[MemberReport]:
    """What every member answers now about itself; all are asked at the same time."""
    members = gateway.members()
    asked = [
        gateway.query(member.index, "status", ("position",), wait=ANSWER_WAIT) if member.connected else None
        for member in members
    ]
    return [_report(member, future) for member, future in zip(members, asked, strict=True)]


def _report(member: MemberReport, future: Future[Answered] | None) -> MemberReport:
    known: dict[str, Any] = {"index": member.index, "connected": member.connected, "primary": member.primary}
    if future is None:
        return MemberReport(id=member.id, problem=PROBLEMS["down"], **known)
    try:
        answered = future.result(ANSWER_WAIT + 0.5)
        fields = {} if answered.code else msgspec.json.decode(answered.text, type=dict[str, Any])
    except TimeoutError:
        return MemberReport(id=member.id, problem=PROBLEMS["timeout"], **known)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return MemberReport(id=member.id, problem="an invalid answer", **known)
    if answered.code:
        return MemberReport(id=member.id, problem=PROBLEMS.get(answered.code, answered.code), **known)
    ahead = member.clock_ahead if member.connected else None
    report = read_report(member.id, fields, heard=0.0, entering=member.entering, clock_ahead=ahead, **known)
    stopped = CONTRADICTION if report.contradiction else report.state
    return msgspec.structs.replace(report, problem=PROBLEMS.get(stopped, ""))


def judge(
    reports: Sequence[MemberReport], mode: Mode, *, state: Agreement, reading: str = ""
) -> tuple[str, str]:
    """("ok", "slow" or "stuck", a sentence). `state`: the verdict on the cluster. `reading`: why the learner
    does not follow the log for the pages. Pure."""
    words = quorum.WORDS[mode]
    absent = [f"{each.id} ({each.problem})" for each in reports if each.problem]
    absent += [f"{each.id} ({each.voting_reason or 'not voting'})" for each in reports if _follows(each)]
    voting = [each for each in reports if not each.problem and each.voting]
    if stopped := [each.id for each in reports if each.problem == PROBLEMS[CONTRADICTION]]:
        text = "has stopped permanently: two certificates contradict each other, and the log may have forked"
        return "stuck", f"{', '.join(stopped)} {text}. See the runbook, DtvnContradiction."
    if state.changing:
        return "slow", f"{state.sentence}."
    if not (state.has_quorum and voting):
        missing = f" Missing: {', '.join(absent)}." if absent else ""
        lost = sum(_follows(each) and each.state != WAITING for each in reports)
        lost_votes = quorum.lost_votes_sentence(len(reports), lost, mode)
        return "stuck", f"{state.sentence}.{missing} {lost_votes}".rstrip()
    if found := _undecided(voting, reports, words):
        return found
    if state.level == "stuck":
        return "stuck", f"{state.sentence}."
    waiting = max(voting, key=lambda each: each.pending)
    if waiting.pending and waiting.suspicion:
        text = f"{waiting.id} has {counted(waiting.pending, 'request')} waiting and suspects {waiting.leader}"
        return "slow", f"{text}: {waiting.suspicion}."
    if not state.decides:
        return "slow", f"{state.sentence}."
    lagging = [each for each in voting if each.catching_up_to]
    remarks = [f"{each.id} is catching up, at {each.sequence} of {each.catching_up_to}" for each in lagging]
    remarks += [f"{name} is missing, but the others are enough" for name in absent]
    remarks += state.reasons
    executed = max(each.sequence for each in voting)
    if reading:
        text = f"The nodes agree on sequence {executed}, but pages and lists are not updated: {reading}"
        return "stuck", "; ".join([text, *remarks]) + "."
    text = f"Nothing is stuck. Sequence {executed} is executed"
    return ("slow" if remarks else "ok"), "; ".join([text, *remarks]) + "."


def _reading() -> str:
    """Why the learner's rows do not advance; "" while they do."""
    learner = ManagedNode.objects.filter(role=NodeRole.LEARNER).first()
    if learner is None:
        return ""
    if learner.status == NodeStatus.RUNNING:
        error = error_of(learner, None)
        return f"the learner cannot write: {error}; they show sequence {read_applied()}" if error else ""
    heard = learner.heartbeat_at
    since = "" if heard is None else f" since {heard.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"the learner has been {learner.status}{since}; they show sequence {read_applied()}"


def _undecided(
    voting: Sequence[MemberReport], reports: Sequence[MemberReport], words: quorum.Words
) -> tuple[str, str] | None:
    """The oldest sequence that some node has waited for too long, and the members whose votes it lacks."""
    slow = [(each.open, each) for each in voting if each.open is not None and each.open.open_for > SLOW]
    if not slow:
        return None
    slot, report = min(slow, key=lambda pair: pair[0].sequence)
    held, kind = (slot.commits, "commits") if slot.phase == "prepared" else (slot.prepares, "prepares")
    voters = [other.id for other in reports if kind == "commits" or other.id != report.leader]
    missing = [name for name in voters if name not in held]
    if slot.phase == "waiting":
        cause = f"no proposal from {report.leader} has arrived"
    elif slot.abstain_reason:
        ahead = report.withheld_ahead if slot.abstain_reason == BAD_TIMESTAMP else 0.0
        plain = f"{report.id} withholds its own vote ({slot.abstain_reason})"
        cause = withheld_sentence(ahead, report.id) or plain
    else:
        cause = f"{kind} are missing from {', '.join(missing)}"
    where = (
        f"Sequence {slot.sequence} in {words.view} {slot.view} is undecided on {report.id} "
        f"after {slot.open_for:.1f} s"
    )
    return "stuck", f"{where}: {cause}."


def _follows(report: MemberReport) -> bool:
    return not report.problem and not report.voting
