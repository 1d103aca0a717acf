"""What is wrong with a cluster, from two looks at its nodes: one finding for each trouble, with its remedy.

Pure. One look shows what is wrong now; what does not heal, converge or stop growing takes two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import msgspec

from dtvn.events.judging import Abstention
from dtvn.gateway import STATE_DIFFERS, Given, Judged, MemberAnswer
from dtvn.protocol import quorum
from dtvn.protocol.log_time import ahead_sentence, behind_sentence, doubtful_sentence, withheld_sentence
from dtvn.watch import MEMBERS_CLOCKS, Agreement, MemberReport, wrong_clocks
from validators.membership import WAITING

CLOCK_OFF = 0.5
"""Seconds between a clock and those of most, network delay included."""
ROUND_TRIP_SLOW_MS = 100.0
MEMORY_MAX = 500 * 1024 * 1024
"""Bytes; this and the round trip are the warning thresholds of the contract's metrics."""
MEMORY_GROWTH = 0.1
MEMORY_GROWTH_LEAST = 16 * 1024 * 1024
"""Growth of memory between two looks that is a finding: this fraction and these bytes must both be
exceeded."""
PENDING_MANY = 100
UNEVEN = 4
"""A node is uneven if its waiting requests exceed PENDING_MANY and this multiple of the median of all
nodes."""


class Finding(msgspec.Struct, frozen=True):
    """One trouble in words."""

    trouble: str
    wrong: str
    remedy: str


def find(
    first: Sequence[MemberReport],
    second: Sequence[MemberReport],
    *,
    state: Agreement,
    evidence: Mapping[str, int] | None = None,
    breakers: Mapping[str, str] | None = None,
    judged: Judged | None = None,
) -> list[Finding]:
    """All troubles, the gravest first; none: healthy. `state`: the verdict on the cluster; `evidence`: pieces
    of proved misbehaviour by member; `breakers`: state of each member's circuit breaker by id, "closed" where
    calls pass; `judged`: what all members said of events that are valid by the rules here."""
    wrongs = {
        "split_brain": _split_brain(second),
        "checksum_mismatch": _checksums(second),
        "conflicting_verdicts": [*_conflicts(evidence or {}), *_verdicts(judged)],
        "no_quorum": _no_quorum(second, state),
        "request_waits": _request_waits(state),
        "waits_for_others": _waits(second),
        "partition_not_healed": _cut(state),
        "not_registered": _not_registered(second),
        "not_converging": _not_converging(first, second),
        "log_time_ahead": _log_time(state),
        "log_time_behind": _log_time_behind(state),
        "vote_withheld": _withheld(second),
        "clock_off": _clocks(second),
        "breaker_open": _breakers(breakers or {}),
        "slow_or_uneven": [*_load(second), *_silent(second, judged)],
        "memory_grows": _memory(first, second),
    }
    return [
        Finding(trouble, wrong, REMEDIES[trouble])
        for trouble, found in wrongs.items()
        for wrong in dict.fromkeys(found)  # each once: pieces of a run repeat them
    ]


def filling(looks: Sequence[MemberReport]) -> list[str]:
    """What heals by itself: nodes that took a state, and fetch the log below it, a sentence each."""
    return [
        f"{look.id} lacks entries of the log below {look.complete_from}; it fetches them in the background."
        for look in _answering(looks)
        if look.complete_from
    ]


REMEDIES = {
    "split_brain": "Stop all writers, keep every ledger, and follow the runbook, DtvnContradiction.",
    "checksum_mismatch": "Stop the node named, keep its ledger for comparison, and replace the member.",
    "conflicting_verdicts": "Download the evidence on the nodes page, and replace the member; "
    "without evidence, bring all to one release.",
    "no_quorum": "Start the missing nodes that do not run; see the runbook, DtvnQuorumLost.",
    "request_waits": "Mend what the other findings name; see the runbook, DtvnNoProgress.",
    "waits_for_others": "Start those that it waits for; if one is gone for good or lost its ledger, see the "
    "runbook, DtvnNodeNotVoting (-others-are-gone).",
    "partition_not_healed": "Open the members' ports between the groups in both directions; see the runbook, "
    "DtvnNetworkCut.",
    "not_registered": "Start the node; check its address, its port, and that its genesis is this cluster's.",
    "not_converging": "Read the node's log and check its disk; restart it if it does not catch up.",
    "log_time_ahead": "Nothing is lost, and tickets without a window are admitted. Synchronise the clocks "
    "(chrony or ntpd), and see the runbook, DtvnLogTimeAhead.",
    "log_time_behind": "Nothing is lost. Synchronise the clocks that are behind (chrony or ntpd), and see "
    "the runbook, DtvnClockOffset.",
    "vote_withheld": "Synchronise the clock of the node named, or of the primary if several are named "
    "(chrony or ntpd).",
    "clock_off": "Synchronise the host's clock (chrony or ntpd).",
    "breaker_open": "Mend the node or its link; the breaker closes by itself once the node answers again.",
    "slow_or_uneven": "Check processor, disk and network of the node named; spread callers over all nodes.",
    "memory_grows": "Look again in a minute; if it still grows, restart the node and report its log.",
}
"""What to do about each trouble."""


def _answering(looks: Sequence[MemberReport]) -> list[MemberReport]:
    return [look for look in looks if not look.problem]


def _split_brain(looks: Sequence[MemberReport]) -> Iterator[str]:
    for look in looks:
        if look.contradiction:
            yield f"{look.id} has stopped: two certificates contradict each other, the log may have forked."
    roots: dict[int, dict[str, str]] = {}
    for look in looks:
        if look.stable:
            roots.setdefault(look.stable, {}).setdefault(look.state_root, look.id)
    for sequence, holders in sorted(roots.items()):
        if len(holders) > 1:
            yield f"{' and '.join(holders.values())} hold different certified states of sequence {sequence}."


def _checksums(looks: Sequence[MemberReport]) -> Iterator[str]:
    for look in looks:
        if differing := look.events.get("checkpoint_differs"):
            yield f"{look.id} has seen checkpoints whose checksum does not match, {differing} times."


def _conflicts(evidence: Mapping[str, int]) -> Iterator[str]:
    for name, count in sorted(evidence.items()):
        yield f"{name} signed statements that contradict each other: {count} proved."


def _verdicts(judged: Judged | None) -> Iterator[str]:
    """Members that do not judge events as the rules here do."""
    for piece in judged.pieces if judged else ():
        if piece.code == STATE_DIFFERS:
            yield "The members certify another state of the rules of events than this platform computes."
        for answer in piece.members:
            if said := _odd_verdict(answer):
                yield f"{answer.member} {said}."


def _odd_verdict(answer: MemberAnswer) -> str:
    if answer.given is Given.INVALID:
        codes = ", ".join(sorted({code for _index, code in answer.errors}))
        return f"refuses events that are valid by the rules here: {codes}"
    if answer.given is Given.CONTRADICTED:
        return "votes both ways on the same events"
    return {
        Abstention.OTHER_RULES.value: "judges events by other rules than this platform",
        Abstention.STATE_UNKNOWN.value: "begins runs in another state of the rules than this platform",
        Abstention.FAILED.value: "fails to judge events: see its log",
    }.get(answer.reason, "")


def _silent(looks: Sequence[MemberReport], judged: Judged | None) -> Iterator[str]:
    """Members that answer about themselves, and gave no vote in time."""
    answering = {look.id for look in _answering(looks)}
    for piece in judged.pieces if judged else ():
        for answer in piece.members:
            if answer.given is Given.SILENT and answer.member in answering:
                yield f"{answer.member} answers, but gave no vote on events in time."


def _no_quorum(looks: Sequence[MemberReport], state: Agreement) -> Iterator[str]:
    if not state.has_quorum:
        absent = [f"{look.id} ({_lacks(look)})" for look in looks if not _votes(look)]
        yield f"{state.sentence}. Missing: {', '.join(absent) or 'none'}."


def _request_waits(state: Agreement) -> Iterator[str]:
    if state.has_quorum and not state.decides:
        yield f"{state.sentence}."


def _lacks(look: MemberReport) -> str:
    """Why a node does not vote."""
    if look.state == WAITING and look.awaits:
        return f"waits for the word of {', '.join(look.awaits)}"
    return look.problem or ("asks the others for its own votes" if look.state == WAITING else "not voting")


def _waits(looks: Sequence[MemberReport]) -> Iterator[str]:
    for look in _answering(looks):
        if look.state == WAITING and look.awaits:
            yield f"{quorum.waits_sentence(look.id, look.awaits)}."


def _cut(state: Agreement) -> Iterator[str]:
    if state.cut:
        yield f"Members that run do not hear each other: {state.cut}."


def _votes(look: MemberReport) -> bool:
    return look.voting and not look.problem


def _not_registered(looks: Sequence[MemberReport]) -> Iterator[str]:
    answering = _answering(looks)
    for look in looks:
        if look.problem:
            yield f"{look.id} cannot be reached: {look.problem}."
            continue
        missing = [other.id for other in answering if other is not look and other.id not in look.peers]
        if missing:
            yield f"{look.id} runs, but has no link to {', '.join(missing)}."
    if len(clusters := {look.cluster: look.id for look in answering}) > 1:
        yield f"{' and '.join(clusters.values())} belong to different clusters."


def _not_converging(first: Sequence[MemberReport], second: Sequence[MemberReport]) -> Iterator[str]:
    """Nodes that were behind at the first look, and have executed nothing until the second."""
    before = {look.id: look for look in _answering(first)}
    reached = max((look.sequence for look in before.values()), default=0)
    for look in _answering(second):
        if look.id in before and look.sequence == before[look.id].sequence < reached:
            yield f"{look.id} stays at sequence {look.sequence} where others were at {reached}."


def _log_time(state: Agreement) -> Iterator[str]:
    if sentence := ahead_sentence(state.log_time_ahead, "this platform's clock"):
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _log_time_behind(state: Agreement) -> Iterator[str]:
    if sentence := behind_sentence(state.log_time_behind, clock=MEMBERS_CLOCKS):
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _withheld(looks: Sequence[MemberReport]) -> Iterator[str]:
    for look in _answering(looks):
        if look.withheld_ahead:
            yield f"{withheld_sentence(look.withheld_ahead, look.id)}."


def _clocks(looks: Sequence[MemberReport]) -> Iterator[str]:
    doubtful = {look.id: look.own_clock_doubtful for look in _answering(looks)}
    for name, seconds in wrong_clocks(looks, CLOCK_OFF):
        if sentence := doubtful_sentence(doubtful.get(name, 0.0), name):
            yield f"{sentence[0].upper()}{sentence[1:]}."
        else:
            yield f"The clock of {name} is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}."


def _breakers(breakers: Mapping[str, str]) -> Iterator[str]:
    for name, state in sorted(breakers.items()):
        if state != "closed":
            yield f"The circuit breaker of {name} is {state}: it leaves questions unanswered."


def _load(looks: Sequence[MemberReport]) -> Iterator[str]:
    answering = _answering(looks)
    usual = median([look.pending for look in answering]) if answering else 0
    for look in answering:
        if look.round_trip_ms > ROUND_TRIP_SLOW_MS:
            yield f"{look.id} waits {look.round_trip_ms:.0f} ms for a quorum's answer."
        if look.pending > PENDING_MANY and look.pending > UNEVEN * usual:
            yield f"{look.id} has {look.pending} requests waiting, where {usual:.0f} are usual."


def _memory(first: Sequence[MemberReport], second: Sequence[MemberReport]) -> Iterator[str]:
    before = {look.id: look.memory for look in _answering(first)}
    for look in _answering(second):
        if look.memory > MEMORY_MAX:
            yield f"{look.id} uses {look.memory >> 20} MiB of memory."
        elif (old := before.get(look.id, 0)) and look.memory - old > max(
            MEMORY_GROWTH_LEAST, MEMORY_GROWTH * old
        ):
            yield f"The memory of {look.id} grew from {old >> 20} to {look.memory >> 20} MiB."
