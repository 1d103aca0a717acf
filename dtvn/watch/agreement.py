"""The state of a cluster in one sentence: how many members agree, how many more it can lose, and whether it
decides. Pure.

`verdict` is the only place that decides it. Gateway, pages, doctor, probes, metrics and refusals show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.log_time import (
    ahead_sentence,
    behind_sentence,
    doubtful_sentence,
    log_time_ahead,
    span,
    withheld_sentence,
)
from dtvn.protocol.quorum import Mode
from dtvn.watch.report import MemberReport

HEARD_WITHIN = 6.0
"""Seconds after which a member that does not answer counts as unreachable, whatever its link does: one over a
line that loses frames is made anew now and then."""
COMPARED_WITHIN = 2.0
"""Seconds for which a report is compared with those of others; an older one was true when it was made."""
PATIENCE_MIN, PATIENCE_MAX = 0.8, 5.0
"""Seconds: the bounds of T (R31) without doubling, after which a request that waits is a trouble."""
CHANGE_USUAL = 10.0
"""Seconds within which a returned quorum decides again (R31): a longer change of view or members is
trouble, and so is a request that waits for longer."""
WAIT_A_MOMENT = "scans wait a moment"
NO_LIAR = "no liar is tolerated"
MEMBERS_CLOCKS = "the members' clocks"
STAGES = ("reachable", "voting", "up to date")
"""What too few members are, where there is no quorum."""
NAMED_MAX = 2
"""Members of which one thing is said by name."""

Level = Literal["ok", "tight", "stuck", "none"]
"""`ok`: the cluster can lose a member; `tight`: it decides, but can lose none, or a clock is wrong, or it is
`Agreement.changing`, or a request has just begun to wait too long; `stuck`: no quorum, or such a change or
wait does not end; `none`: no cluster."""


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
    log_time_behind: float = 0.0
    """Seconds by which the newest proposals were behind the clocks of f + 1 members, 0.0 within bounds."""
    changing: bool = False
    """Nothing is decided for a moment: a quorum is there, and enters another view or epoch."""
    decides: bool = False
    """A quorum agrees, and no request waits for longer than T."""
    waits: float = 0.0
    """Seconds for which the oldest unanswered request has waited, as its sender or f + 1 members say."""
    reasons: tuple[str, ...] = ()
    """What else there is to be said, each a part of the sentence: clocks, votes that are withheld, cuts."""
    cut: str = ""
    """What is cut between members that are known to run, in words; "" for nothing."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Members that reach each other, where something is cut; the largest group first."""

    @property
    def has_quorum(self) -> bool:
        """Whether enough members agree to decide."""
        return 0 < self.needed <= self.agreeing


class Clock(msgspec.Struct, frozen=True):
    """The clock to compare log time and the members' clocks with; both in microseconds."""

    wall: int
    drift_bound: int


class Cut(msgspec.Struct, frozen=True):
    """What is cut between members, in words without a full stop, and the groups that it makes."""

    what: str = ""
    groups: tuple[tuple[str, ...], ...] = ()
    certain: bool = True
    """Whether all that are cut off are known to run."""


class Times(msgspec.Struct, frozen=True):
    """What is wrong with clocks and log time."""

    clocks: Sequence[str]
    """Of each wrong clock what is wrong with it, in words."""
    ahead: float
    """See Agreement.log_time_ahead."""
    behind: float
    """See Agreement.log_time_behind."""

    def __bool__(self) -> bool:
        return bool(self.clocks or self.ahead or self.behind)


NO_CUT = Cut()
NO_CLUSTER = Agreement(sentence="No cluster yet", level="none")


def verdict(
    reports: Sequence[MemberReport],
    *,
    mode: Mode,
    window: int,
    waits: float = 0.0,
    cut: Cut = NO_CUT,
    without: Collection[str] = (),
    clock: Clock | None = None,
    changing_for: float = 0.0,
) -> Agreement:
    """The state of the cluster of these members. `mode`: how they agree. `window`: its parameter L, in
    sequences. `waits`: seconds for which the asker's oldest request has had no answer. `cut`: what is cut.
    Members in `without` count as unreachable: the state after their failure. `clock`: None to compare none.
    `changing_for`: seconds for which the state has been `changing`."""
    if not reports:
        return NO_CLUSTER
    members = len(reports)
    needed, liars = quorum.quorum(members, mode), quorum.faults(members, mode)
    reachable = [each for each in reports if is_reachable(each) and each.id not in without]
    voting = [each for each in reachable if each.voting]
    certified = int(_vouched((each.stable for each in reachable), liars))
    times = _times(reachable, liars, clock)
    current = [each for each in voting if not _is_fresh(each) or each.sequence >= certified - window]
    count = len(agreeing := _in_one_view(current))
    withholding = [each for each in agreeing if each.withheld_ahead]
    can_lose = max(0, count - len(withholding) - needed)
    level: Level = "ok" if can_lose and not (times or withholding) else "tight"
    waits = 0.0 if without else max(waits, _vouched((each.waits for each in reachable), liars))
    patience = min(max(PATIENCE_MIN, _vouched((each.patience for each in reachable), liars)), PATIENCE_MAX)
    text, changes = _quorum(count, members, can_lose), False
    if count < needed:
        present = [each for each in reports if each.id not in without]
        stages = list(zip(map(len, (reachable, voting, current)), STAGES, strict=True))
        text, changes = _lacking(present, stages, count, (members, mode), changing_for)
        level = "tight" if changes else "stuck"
    elif waits > patience:
        level = "tight" if waits < CHANGE_USUAL else "stuck"
        text = _waiting(patience, waits, count, members)
    reasons = _reasons(times, withholding, cut)
    return Agreement(
        sentence="; ".join(filter(None, (text, _no_liar(liars, mode), *reasons))),
        level=level,
        consensus=mode.value,
        members=members,
        needed=needed,
        can_lose=can_lose,
        liars_tolerated=liars,
        certified=certified,
        **_counted(reachable, voting, current, agreeing),
        log_time_ahead=times.ahead,
        log_time_behind=times.behind,
        changing=changes,
        decides=count >= needed and waits <= patience,
        waits=waits,
        reasons=reasons,
        cut=cut.what if cut.certain else "",
        groups=cut.groups,
    )


def _counted(*groups: Sequence[MemberReport]) -> dict[str, Any]:
    """The fields of those that are reachable, vote, are current, and agree."""
    counts = zip(("reachable", "voting", "current", "agreeing"), map(len, groups), strict=True)
    agreeing = groups[-1]
    view = max((each.view for each in agreeing), default=0)
    return dict(counts) | {"view": view, "agreeing_members": tuple(each.id for each in agreeing)}


def is_reachable(report: MemberReport) -> bool:
    """Whether a member has answered within HEARD_WITHIN; one that was never asked, whether it is linked."""
    if report.problem or report.heard is None:
        return report.connected and not report.problem
    return report.heard <= HEARD_WITHIN


def _times(reachable: Sequence[MemberReport], liars: int, clock: Clock | None) -> Times:
    behind = _vouched((each.log_time_behind for each in reachable), liars)
    return Times(_clocks(reachable, clock), _log_time_ahead(reachable, liars, clock), behind)


def _reasons(times: Times, withholding: Sequence[MemberReport], cut: Cut) -> tuple[str, ...]:
    """What else there is to be said. A wrong clock is why votes are withheld."""
    why = times.clocks or _withheld(withholding)
    log_time = ahead_sentence(times.ahead), behind_sentence(times.behind, clock=MEMBERS_CLOCKS)
    return tuple(filter(None, (*why, *log_time, cut.what)))


def _log_time_ahead(reachable: Sequence[MemberReport], liars: int, clock: Clock | None) -> float:
    if clock is None:
        return 0.0
    log_time = int(_vouched((each.log_time for each in reachable), liars))
    return log_time_ahead(log_time, clock.wall, clock.drift_bound)


def _is_fresh(report: MemberReport) -> bool:
    return report.heard is None or report.heard <= COMPARED_WITHIN


def _lacking(
    present: Sequence[MemberReport],
    stages: Sequence[tuple[int, str]],
    count: int,
    of: tuple[int, Mode],
    changing_for: float,
) -> tuple[str, bool]:
    """The sentence without a quorum, and whether that is so for a moment only. `of`: all members, and how
    they agree."""
    members, mode = of
    needed, liars = quorum.quorum(members, mode), quorum.faults(members, mode)
    entering = _entering(present, liars, members, needed)
    if (entering or stages[-1][0] >= needed) and changing_for < CHANGE_USUAL:
        return f"{entering or f'Choosing a new {quorum.WORDS[mode].owner}'}; {WAIT_A_MOMENT}", True
    return entering or _no_quorum(stages, count, members, needed), False


def _waiting(patience: float, waits: float, agreeing: int, members: int) -> str:
    """The sentence while a request waits, in few steps of its time, so that it stays."""
    least = max(step for step in (patience, CHANGE_USUAL, 60.0) if step == patience or step <= waits)
    told = f"A request has waited for more than {least:.3g} s"
    return f"{told}, though {agreeing} of {members} members are in one view"


def wrong_clocks(reports: Sequence[MemberReport], bound: float) -> list[tuple[str, float]]:
    """The clocks that differ by more than `bound` seconds from the one in the middle of all, the asker's
    among them ("this platform"), and by how many seconds each is ahead."""
    answering = (each for each in reports if not each.problem)
    ahead = {each.id: each.clock_ahead for each in answering if each.clock_ahead is not None}
    ascending = sorted((*ahead.values(), 0.0))
    middle = min(ascending[(len(ascending) - 1) // 2 : len(ascending) // 2 + 1], key=abs)
    differences = [*((name, seconds - middle) for name, seconds in ahead.items()), ("this platform", -middle)]
    return [(name, seconds) for name, seconds in differences if abs(seconds) > bound]


def _clocks(reachable: Sequence[MemberReport], clock: Clock | None) -> list[str]:
    wrong = [] if clock is None else wrong_clocks(reachable, clock.drift_bound / 1e6)
    told = [clock_sentence(name, seconds, reachable) for name, seconds in wrong[:NAMED_MAX]]
    return [*told, *([f"and {len(wrong) - NAMED_MAX} more are wrong"] if len(wrong) > NAMED_MAX else [])]


def clock_sentence(name: str, seconds: float, reports: Sequence[MemberReport]) -> str:
    """What is wrong with the clock of `name`, which is so many seconds ahead; without a full stop. A member
    that holds a step of it back says so itself."""
    doubtful = next((each.own_clock_doubtful for each in reports if each.id == name), 0.0)
    if doubtful:
        return doubtful_sentence(doubtful, name)
    return f"the clock of {name} is {span(abs(seconds))} {'ahead' if seconds > 0 else 'behind'}"


def _vouched(reported: Iterable[float], liars: int) -> float:
    """The highest number that at least `liars` + 1 members report or exceed, one of them honest: liars cannot
    raise it, to make others count as lagging or clocks as wrong."""
    told = sorted(reported, reverse=True)
    return told[liars] if len(told) > liars else 0


def _no_liar(liars: int, mode: Mode) -> str:
    """The part of the sentence for a cluster in which no member may lie; "" where one may."""
    if liars:
        return ""
    return quorum.RAFT_LABEL if mode is Mode.RAFT else NO_LIAR


def _in_one_view(current: Sequence[MemberReport]) -> list[MemberReport]:
    """The largest group in one view of one epoch; of two such groups the one in the later view. Whose report
    is too old to be compared is with those that have gone on since."""
    groups: dict[tuple[int, int], list[MemberReport]] = defaultdict(list)
    settled = [each for each in current if not each.changing]
    fresh = [each for each in settled if _is_fresh(each)]
    for each in fresh or settled:
        groups[each.epoch, each.view].append(each)
    if not groups:
        return []
    place, group = max(groups.items(), key=lambda item: (len(item[1]), item[0]))
    if not fresh:
        return group
    late = [each for each in settled if not _is_fresh(each) and (each.epoch, each.view) <= place]
    return [each for each in settled if each in group or each in late]


def _quorum(agreeing: int, members: int, can_lose: int) -> str:
    more = f"{can_lose} more" if can_lose else "none"
    return f"{agreeing} of {members} {'agrees' if agreeing == 1 else 'agree'}, can lose {more}"


def _withheld(withholding: Sequence[MemberReport]) -> list[str]:
    """Which members withhold their votes from proposals, and why."""
    told = [withheld_sentence(each.withheld_ahead, each.id) for each in withholding[:NAMED_MAX]]
    more = len(withholding) - len(told)
    return [*told, *([f"and {more} more withhold theirs"] if more > 0 else [])]


def _entering(present: Sequence[MemberReport], liars: int, members: int, needed: int) -> str:
    """The sentence while a quorum enters the next epoch; "" otherwise. The epoch is the gateway's, or one
    that at least one honest member reports."""
    voting = [each for each in present if is_reachable(each) and each.voting and not each.entering]
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
