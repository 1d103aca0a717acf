"""Explains why the cluster is stuck: asks every node for its position, and draws a conclusion.

Each row is one node's own report (its consensus snapshot). The verdict is a sentence for the operator,
derived from all reports, the most important reason first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC
from typing import Any

import msgspec

from dtvn.api.errors import Unavailable
from dtvn.gateway import (
    NO_CLUSTER,
    Agreement,
    Answered,
    GatewayFace,
    MemberView,
    agreement_of,
    seconds_told,
)
from dtvn.protocol import quorum
from dtvn.protocol.log_time import ahead_sentence, withheld_sentence
from dtvn.protocol.quorum import Mode
from dtvn.wording import counted
from validators.feed.rows import read_applied
from validators.membership import CONTRADICTION, DISK_FULL, WAITING, error_of
from validators.models import ManagedNode, NodeRole, NodeStatus
from validators.services import network
from validators.services.cluster_state import cluster_state
from validators.services.following import is_follower
from validators.services.following import state as following_state

ANSWER_WAIT = 1.0
"""Seconds that a node has to answer."""
SLOW = 1.0
"""Seconds after which an undecided sequence counts as stuck; a healthy one takes milliseconds."""
NANOSECONDS = 1_000_000_000
PROBLEMS = {
    "timeout": "no answer",
    "down": "not connected",
    DISK_FULL: "its disk is full",
    CONTRADICTION: "it has stopped permanently",
}
"""Messages for the error codes of requests that were not answered."""
BAD_TIMESTAMP = "bad_timestamp"
"""A node's reason to withhold its vote from a proposal whose time is too far from its clock."""
TOLD = ("voting", "changing", "epoch", "stable", "log_time")
"""Fields of a node's report that its status answer has too."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """The lowest undecided sequence on one node, and the members whose votes it lacks."""

    sequence: int
    view: int
    phase: str
    prepares: list[str]
    commits: list[str]
    abstain_reason: str
    open_for: float
    """Seconds."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node's report; only `id` and `problem` if it sent none."""

    id: str
    problem: str = ""
    epoch: int = 0
    view: int = 0
    changing: bool = False
    primary: str = ""
    voting: bool = False
    voting_reason: str = ""
    waiting: bool = False
    """It votes only after others have answered (R11): its vote is not lost."""
    executed: int = 0
    stable: int = 0
    """Sequence of its newest stable checkpoint."""
    pending: int = 0
    catching_up_to: int = 0
    suspicion: str = ""
    heartbeat_age: float | None = None
    """Seconds since the last message of the primary; None: this node is the primary."""
    log_time: int = 0
    """Last effective time that it executed, Unix microseconds."""
    withheld_ahead: float = 0.0
    """Seconds by which the time of a proposal from which it withholds its vote is ahead of its clock."""
    slot: Slot | None = None


def explain() -> dict[str, Any]:
    """The verdict and every node's report, for the page."""
    if is_follower():  # its own line on each page says all that it knows
        told = {"level": "ok", "verdict": following_state().sentence}
        return told | {"quorum": 0, "nodes": [], "log_time_ahead": 0.0}
    try:
        gateway = network.informed_gateway()
    except Unavailable as error:
        return {"level": "stuck", "verdict": str(error), "quorum": 0, "nodes": [], "log_time_ahead": 0.0}
    members = gateway.members()
    asked: list[Future[Answered] | None] = [
        gateway.query(member.index, "consensus", wait=ANSWER_WAIT) if member.connected else None
        for member in members
    ]
    ids = [member.id for member in members]
    nodes = [_node(member, future, ids) for member, future in zip(members, asked, strict=True)]
    state = _state(gateway, members, nodes)
    level, verdict = judge(nodes, gateway.present.mode, state=state, reading=_reading())
    return {
        "level": level,
        "verdict": verdict,
        "quorum": quorum.quorum(len(nodes), gateway.present.mode),
        "nodes": msgspec.to_builtins(nodes),
        "log_time_ahead": state.log_time_ahead,
    }


def _state(gateway: GatewayFace, members: Sequence[MemberView], nodes: Sequence[Node]) -> Agreement:
    """The state of the cluster by the statuses that the gateway has polled, unless a quorum agrees by the
    nodes' own answers: the statuses are up to a second old, and may be from both sides of a view change."""
    told = [
        msgspec.structs.replace(
            member,
            connected=not node.problem,
            heard=0.0,
            view=node.view,
            sequence=node.executed,
            status={name: getattr(node, name) for name in TOLD},
        )
        for member, node in zip(members, nodes, strict=True)
    ]
    now = agreement_of(gateway, members=told, wall=time.time_ns() // 1_000)
    return cluster_state() if now.agreeing < now.needed else now


def judge(
    nodes: Sequence[Node], mode: Mode, *, state: Agreement = NO_CLUSTER, reading: str = ""
) -> tuple[str, str]:
    """("ok", "slow" or "stuck", a sentence). `state`: that of the cluster; if it is stuck and the nodes give
    no reason, its sentence is the verdict. `reading`: why the learner does not follow the log for the pages.
    Pure."""
    needed, words = quorum.quorum(len(nodes), mode), quorum.WORDS[mode]
    silent = [f"{node.id} ({node.problem})" for node in nodes if node.problem]
    mute = [f"{node.id} ({node.voting_reason or 'not voting'})" for node in nodes if _follows(node)]
    voting = [node for node in nodes if not node.problem and node.voting]
    if stopped := [node.id for node in nodes if node.problem == PROBLEMS[CONTRADICTION]]:
        text = "has stopped permanently: two certificates contradict each other, and the log may have forked"
        return "stuck", f"{', '.join(stopped)} {text}. See the runbook, DtvnContradiction."
    if len(voting) < needed:
        absent = ", ".join(silent + mute) or "none"
        lost = sum(_follows(node) and not node.waiting for node in nodes)
        verdict = f"Voting: {len(voting)} of {len(nodes)}, {needed} needed. Missing: {absent}."
        return "stuck", f"{verdict} {quorum.lost_votes_sentence(len(nodes), lost, mode)}".rstrip()
    changing = [node for node in voting if node.changing]
    if len(changing) > len(voting) - needed:
        ids = ", ".join(node.id for node in changing)
        view = max(node.view for node in changing)
        if state.level == "stuck":
            return "stuck", f"The {words.change} {view} does not end ({ids})."
        return "slow", f"In progress: the {words.change} {view} ({ids}); it takes a second or two."
    if state.changing:
        return "slow", f"{state.sentence}."
    if found := _undecided(voting, nodes, words):
        return found
    if state.level == "stuck":
        return "stuck", f"{state.sentence}."
    waiting = max(voting, key=lambda node: node.pending)
    if waiting.pending and waiting.suspicion:
        text = (
            f"{waiting.id} has {counted(waiting.pending, 'request')} waiting and suspects {waiting.primary}"
        )
        return "slow", f"{text}: {waiting.suspicion}."
    lagging = [node for node in voting if node.catching_up_to]
    remarks = [f"{node.id} is catching up, at {node.executed} of {node.catching_up_to}" for node in lagging]
    remarks += [f"{name} is missing, but the others are enough" for name in silent + mute]
    remarks += [withheld_sentence(node.withheld_ahead, node.id) for node in voting if node.withheld_ahead]
    remarks += filter(None, [ahead_sentence(state.log_time_ahead)])
    executed = max(node.executed for node in voting)
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


def _undecided(voting: Sequence[Node], nodes: Sequence[Node], words: quorum.Words) -> tuple[str, str] | None:
    """The oldest sequence that some node has waited for too long, and the members whose votes it lacks."""
    slow = [node for node in voting if node.slot is not None and node.slot.open_for > SLOW]
    if not slow:
        return None
    node = min(slow, key=lambda node: node.slot.sequence if node.slot else 0)
    slot = node.slot
    if slot is None:
        return None
    held, kind = (slot.commits, "commits") if slot.phase == "prepared" else (slot.prepares, "prepares")
    voters = [other.id for other in nodes if kind == "commits" or other.id != node.primary]
    missing = [name for name in voters if name not in held]
    if slot.phase == "waiting":
        cause = f"no proposal from {node.primary} has arrived"
    elif slot.abstain_reason:
        ahead = node.withheld_ahead if slot.abstain_reason == BAD_TIMESTAMP else 0.0
        said = f"{node.id} withholds its own vote ({slot.abstain_reason})"
        cause = withheld_sentence(ahead, node.id) or said
    else:
        cause = f"{kind} are missing from {', '.join(missing)}"
    where = (
        f"Sequence {slot.sequence} in {words.view} {slot.view} is undecided on {node.id} "
        f"after {slot.open_for:.1f} s"
    )
    return "stuck", f"{where}: {cause}."


def _follows(node: Node) -> bool:
    return not node.problem and not node.voting


def _node(member: MemberView, future: Future[Answered] | None, ids: Sequence[str]) -> Node:
    if future is None:
        return Node(id=member.id, problem="not connected")
    try:
        answered = future.result(ANSWER_WAIT + 0.5)
    except TimeoutError:
        return Node(id=member.id, problem="no answer")
    if answered.code:
        return Node(id=member.id, problem=PROBLEMS.get(answered.code, answered.code))
    told = _told(member.id, msgspec.json.decode(answered.text), ids)
    return msgspec.structs.replace(
        told,
        waiting=member.status.get("state") == WAITING,
        withheld_ahead=seconds_told(member.status, "withheld_ahead"),
    )


def _told(node_id: str, said: dict[str, Any], ids: Sequence[str]) -> Node:
    """A consensus snapshot with names instead of indices and ages instead of timestamps."""
    taken_at, executed = said["taken_at"], said["executed"]
    primary = ids[said["primary"]]
    heard = said["last_heartbeat"]
    slots = [slot for slot in said["slots"] if slot["sequence"] > executed]
    lowest = min(slots, key=lambda slot: slot["sequence"], default=None)
    return Node(
        id=node_id,
        epoch=said["epoch"],
        view=said["view"],
        changing=said["changing"],
        primary=primary,
        voting=said["voting"],
        voting_reason=said["voting_reason"],
        executed=executed,
        stable=said["stable"],
        pending=said["pending"],
        catching_up_to=said["catching_up_to"],
        log_time=said["timestamp"],
        suspicion=said["suspicion"],
        heartbeat_age=None if primary == node_id else max(0.0, (taken_at - heard) / NANOSECONDS),
        slot=None
        if lowest is None
        else Slot(
            sequence=lowest["sequence"],
            view=lowest["view"],
            phase=lowest["phase"],
            prepares=[ids[index] for index in lowest["prepares"]],
            commits=[ids[index] for index in lowest["commits"]],
            abstain_reason=lowest["withheld"],
            open_for=max(0.0, (taken_at - lowest["opened"]) / NANOSECONDS),
        ),
    )
