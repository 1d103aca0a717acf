"""The state of a cluster in one sentence: how many members agree, and how many more it can lose. Pure.

`agreement` is the only place that decides it. Pages, admin, REST and refusals show its sentence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from dtvn.gateway.face import GatewayFace, MemberView
from dtvn.protocol import quorum
from dtvn.protocol.genesis import window
from dtvn.protocol.log_time import ahead_sentence, log_time_ahead, withheld_sentence
from dtvn.protocol.quorum import Mode

HEARD_WITHIN = 5.0
"""Seconds after which a member that is connected and does not answer counts as unreachable."""
CHANGE_USUAL = 10.0
"""Seconds within which a returned quorum decides again (R31): a longer change of view or members is
trouble."""
WAIT_A_MOMENT = "scans wait a moment"
NO_LIAR = "no liar is tolerated"
NAMED_MAX = 2
"""Members that withhold their votes which the sentence names."""
SECONDS_TOLD_MAX = 1e10
"""No difference between two times is larger: 317 years."""

Level = Literal["ok", "tight", "stuck", "none"]
"""`ok`: the cluster can lose a member; `tight`: it decides, but can lose none, or log time is ahead of this
clock, or it is `Agreement.changing`; `stuck`: no quorum, or such a change does not end; `none`: no
cluster."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One member: whether it answers, and what it says about itself."""

    id: str
    reachable: bool = False
    voting: bool = False
    """It has a vote and casts it: neither a follower, nor waiting for others, nor stopped."""
    changing: bool = False
    """It has left its view and not entered `view` yet."""
    epoch: int = 0
    view: int = 0
    sequence: int = 0
    """Last executed sequence."""
    stable: int = 0
    """Sequence of its newest stable checkpoint, which q members signed."""
    log_time: int = 0
    """Last effective time that it executed, Unix microseconds; 0: unknown."""
    withheld_ahead: float = 0.0
    """Seconds by which the time of a proposal from which it withholds its vote is ahead of its clock."""
    entering: int = 0
    """The epoch that the gateway has entered and in which this member has not reported a vote yet, or 0."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a cluster; all counts are of members. The fields from `reachable` to `agreeing` are each
    a subset of the one before."""

    sentence: str
    """Without a full stop, so that other sentences can include it."""
    level: Level
    consensus: str = ""
    """How the members agree, a word of quorum.Mode; "" without a cluster."""
    members: int = 0
    needed: int = 0
    """The quorum."""
    reachable: int = 0
    voting: int = 0
    current: int = 0
    """Voting members whose sequence lies at most one window below `certified`, or above it."""
    agreeing: int = 0
    """Current members in the same view of the same epoch."""
    can_lose: int = 0
    """How many of those that agree may fail while the rest is still a quorum, without those that withhold
    their votes for time."""
    liars_tolerated: int = 0
    certified: int = 0
    """The highest sequence that a stable checkpoint certifies, as f + 1 members report it."""
    view: int = 0
    """The view of those that agree."""
    agreeing_members: tuple[str, ...] = ()
    log_time_ahead: float = 0.0
    """Seconds by which log time, as f + 1 members report it, is ahead of the clock that it was compared with;
    0.0 within the drift bound, or without a clock."""
    changing: bool = False
    """Nothing is decided for a moment: a quorum is there, and enters another view or epoch."""


class Clock(msgspec.Struct, frozen=True):
    """The clock to compare log time with; both in microseconds."""

    wall: int
    drift_bound: int


NO_CLUSTER = Agreement(sentence="No cluster yet", level="none")


def agreement(
    reports: Sequence[Report],
    *,
    mode: Mode,
    window: int,
    without: Collection[str] = (),
    clock: Clock | None = None,
    changing_for: float = 0.0,
) -> Agreement:
    """The state of the cluster of these members. Members in `without` count as unreachable: the state after
    their failure. `mode`: how they agree. `window`: parameter L of the cluster, in sequences. `clock`: None
    to compare log time with none. `changing_for`: seconds for which the state has been `changing`."""
    if not reports:
        return NO_CLUSTER
    members = len(reports)
    needed, liars = quorum.quorum(members, mode), quorum.faults(members, mode)
    reachable = [each for each in reports if each.reachable and each.id not in without]
    voting = [each for each in reachable if each.voting]
    certified = _vouched((each.stable for each in reachable), liars)
    log_time = _vouched((each.log_time for each in reachable), liars)
    ahead = 0.0 if clock is None else log_time_ahead(log_time, clock.wall, clock.drift_bound)
    current = [each for each in voting if each.sequence >= certified - window]
    agreeing = _in_one_view(current)
    count = len(agreeing)
    stages = [(len(reachable), "reachable"), (len(voting), "voting"), (len(current), "up to date")]
    withholding = [each for each in agreeing if each.withheld_ahead]
    can_lose = max(0, count - len(withholding) - needed)
    level: Level = "ok" if can_lose and not (ahead or withholding) else "tight"
    text, changes = _quorum(count, members, can_lose), False
    if count < needed:
        present = [each for each in reports if each.id not in without]
        entering = _entering(present, liars, members, needed)
        changes = bool(entering or len(current) >= needed) and changing_for < CHANGE_USUAL
        level = "tight" if changes else "stuck"
        text = entering or (f"Choosing a new {quorum.WORDS[mode].owner}" if changes else "")
        text = text or _no_quorum(stages, count, members, needed)
        text = f"{text}; {WAIT_A_MOMENT}" if changes else text
    return Agreement(
        sentence="; ".join(
            filter(None, (text, _no_liar(liars, mode), _withheld(withholding), ahead_sentence(ahead)))
        ),
        level=level,
        consensus=mode.value,
        members=members,
        needed=needed,
        reachable=len(reachable),
        voting=len(voting),
        current=len(current),
        agreeing=count,
        can_lose=can_lose,
        liars_tolerated=liars,
        certified=certified,
        view=agreeing[0].view if agreeing else 0,
        agreeing_members=tuple(each.id for each in agreeing),
        log_time_ahead=ahead,
        changing=changes,
    )


def agreement_of(
    gateway: GatewayFace,
    *,
    members: Sequence[MemberView] = (),
    without: Collection[str] = (),
    wall: int | None = None,
    changing_for: float = 0.0,
) -> Agreement:
    """`agreement` of these members, or of all as this gateway sees them now; no member is asked. `wall`: the
    clock to compare log time with, Unix microseconds."""
    reports = [report_of(view) for view in members or gateway.members()]
    parameters = gateway.present.parameters
    clock = None if wall is None else Clock(wall, parameters.drift_bound)
    return agreement(
        reports,
        mode=gateway.present.mode,
        window=window(parameters),
        without=without,
        clock=clock,
        changing_for=changing_for,
    )


def report_of(view: MemberView) -> Report:
    """The report on one member, from its status answer. A field that is missing or of another type counts as
    0 or False, since a member may answer anything."""
    told = view.status
    return Report(
        id=view.id,
        reachable=view.connected and (view.heard is None or view.heard <= HEARD_WITHIN),
        voting=told.get("voting") is True,
        changing=told.get("changing") is True,
        epoch=_number(told.get("epoch")),
        view=view.view,
        sequence=view.sequence,
        stable=_number(told.get("stable")),
        log_time=_number(told.get("log_time")),
        withheld_ahead=seconds_told(told, "withheld_ahead"),
        entering=view.entering,
    )


def _vouched(reported: Iterable[int], liars: int) -> int:
    """The highest number that at least `liars` + 1 members report or exceed, one of them honest: liars cannot
    raise it, to make others count as lagging or clocks as wrong."""
    told = sorted(reported, reverse=True)
    return told[liars] if len(told) > liars else 0


def _no_liar(liars: int, mode: Mode) -> str:
    """The part of the sentence for a cluster in which no member may lie; "" where one may."""
    if liars:
        return ""
    return quorum.RAFT_LABEL if mode is Mode.RAFT else NO_LIAR


def _in_one_view(current: Sequence[Report]) -> list[Report]:
    """The largest group in one view of one epoch; of two such groups the one in the later view."""
    groups: dict[tuple[int, int], list[Report]] = defaultdict(list)
    for each in current:
        if not each.changing:
            groups[each.epoch, each.view].append(each)
    return max(groups.items(), key=lambda item: (len(item[1]), item[0]))[1] if groups else []


def _quorum(agreeing: int, members: int, can_lose: int) -> str:
    more = f"{can_lose} more" if can_lose else "none"
    return f"{agreeing} of {members} {'agrees' if agreeing == 1 else 'agree'}, can lose {more}"


def _withheld(withholding: Sequence[Report]) -> str:
    """Which members withhold their votes from proposals, and why; "" if none does."""
    said = [withheld_sentence(each.withheld_ahead, each.id) for each in withholding[:NAMED_MAX]]
    more = len(withholding) - len(said)
    return "; ".join([*said, *([f"and {more} more withhold theirs"] if more > 0 else [])])


def _entering(present: Sequence[Report], liars: int, members: int, needed: int) -> str:
    """The sentence while a quorum enters the next epoch; "" otherwise. The epoch is the gateway's, or one
    that at least one honest member reports."""
    voting = [each for each in present if each.reachable and each.voting and not each.entering]
    epochs = sorted((each.epoch for each in voting), reverse=True)
    epoch = max((each.entering for each in present), default=0) or (epochs[liars:] or [0])[0]
    inside = sum(each.epoch >= epoch for each in voting)
    coming = len(voting) - inside + sum(each.entering > 0 for each in present)
    if not inside < needed <= inside + coming:
        return ""
    verb = "is" if inside == 1 else "are"
    return f"Changing members: {inside} of {members} {verb} in epoch {epoch}, {needed} needed"


def _no_quorum(stages: Sequence[tuple[int, str]], agreeing: int, members: int, needed: int) -> str:
    """The sentence without a quorum; names the first of `stages` (count, condition) that too few members
    meet."""
    reachable = stages[0][0]
    short = next(((count, what) for count, what in stages if count < needed), (agreeing, "in one view"))
    more = "" if short == stages[0] else f", {short[0]} {short[1]}"
    return f"No quorum: {reachable} of {members} reachable{more}, {needed} needed; nothing can be decided"


def _number(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def seconds_told(told: Mapping[str, Any], name: str) -> float:
    """The seconds that a member reports under this name; 0.0 if it reports none, or no possible number."""
    value = told.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < SECONDS_TOLD_MAX:
        return 0.0
    return float(value)
