"""The doctor's findings: each trouble is named with its node and a remedy."""

from __future__ import annotations

import mmap
from typing import Any

import msgspec
import pytest

from dtvn.memory import resident_bytes
from dtvn.protocol.quorum import Mode
from dtvn.watch import Agreement, Cut, MemberReport, verdict
from tests.support.table import table
from validators.dashboard.doctor import examine, report_of
from validators.dashboard.findings import REMEDIES, filling, find
from validators.membership import WAITING

NAMES = ("r0", "r1", "r2", "r3")
MIB = 1024 * 1024


def look(name: str, **fields: Any) -> MemberReport:
    linked = tuple(other for other in NAMES if other != name)
    fine = {"id": name, "cluster": "c0", "peers": linked, "sequence": 40, "memory": 90 * MIB}
    fine |= {"connected": True, "heard": 0.0, "voting": True}
    return MemberReport(**{**fine, **fields})


def state(looks: list[MemberReport], **known: Any) -> Agreement:
    return verdict(looks, **{"mode": Mode.PBFT, "window": 1_000} | known)


def four(**changed: dict[str, Any]) -> list[MemberReport]:
    return [look(name, **changed.get(name, {})) for name in NAMES]


def silent(*names: str) -> list[MemberReport]:
    return [MemberReport(id=name, problem="no answer") if name in names else look(name) for name in NAMES]


TROUBLES: list[tuple[str, list[MemberReport], list[MemberReport], dict[str, Any], str]] = [
    ("not_registered", four(), silent("r3"), {}, "r3 cannot be reached: no answer."),
    ("not_registered", four(), four(r3={"peers": ("r0", "r1")}), {}, "r3 runs, but has no link to r2."),
    ("not_registered", four(), four(r3={"cluster": "c1"}), {}, "r2 and r3 belong to different clusters."),
    (
        "no_quorum",
        four(),
        silent("r2", "r3"),
        {},
        "No quorum: 2 of 4 reachable, 3 needed; nothing can be decided. "
        "Missing: r2 (no answer), r3 (no answer).",
    ),
    (
        "conflicting_verdicts",
        four(),
        four(),
        {"evidence": {"r3": 2}},
        "r3 signed statements that contradict each other: 2 proved.",
    ),
    (
        "split_brain",
        four(),
        four(r0={"stable": 32, "state_root": "aa"}, r1={"stable": 32, "state_root": "bb"}),
        {},
        "r0 and r1 hold different certified states of sequence 32.",
    ),
    (
        "split_brain",
        four(),
        four(r1={"contradiction": "two certificates"}),
        {},
        "r1 has stopped: two certificates contradict each other, the log may have forked.",
    ),
    (
        "waits_for_others",
        four(),
        four(r0={"voting": False, "state": WAITING, "awaits": ("r3",)}),
        {},
        "r0 waits for the word of r3 about its own votes.",
    ),
    (
        "no_quorum",
        four(),
        [
            look("r0", voting=False, state=WAITING, awaits=("r3",)),
            look("r1", voting=False, state=WAITING),
            *silent("r3")[2:],
        ],
        {},
        "No quorum: 3 of 4 reachable, 1 voting, 3 needed; nothing can be decided. "
        "Missing: r0 (waits for the word of r3), "
        "r1 (asks the others for its own votes), r3 (no answer).",
    ),
    (
        "partition_not_healed",
        four(),
        four(),
        {"cut": Cut("r0 and r1 | r2 and r3")},
        "Members that run do not hear each other: r0 and r1 | r2 and r3.",
    ),
    (
        "not_converging",
        four(r3={"sequence": 10}),
        four(r3={"sequence": 10}),
        {},
        "r3 stays at sequence 10 where others were at 40.",
    ),
    (
        "checksum_mismatch",
        four(),
        four(r2={"events": {"checkpoint_differs": 3}}),
        {},
        "r2 has seen checkpoints whose checksum does not match, 3 times.",
    ),
    (
        "slow_or_uneven",
        four(),
        four(r1={"round_trip_ms": 250.0}),
        {},
        "r1 waits 250 ms for a quorum's answer.",
    ),
    (
        "slow_or_uneven",
        four(),
        four(r1={"pending": 500}),
        {},
        "r1 has 500 requests waiting, where 0 are usual.",
    ),
    (
        "breaker_open",
        four(),
        four(),
        {"breakers": {"r2": "open", "r3": "closed"}},
        "The circuit breaker of r2 is open: it leaves questions unanswered.",
    ),
    (
        "memory_grows",
        four(),
        four(r0={"memory": 120 * MIB}),
        {},
        "The memory of r0 grew from 90 to 120 MiB.",
    ),
    (
        "clock_off",
        four(),
        four(r0={"clock_ahead": 0.1}, r3={"clock_ahead": -2.0}),
        {},
        "The clock of r3 is 2.0 s behind.",
    ),
    (
        "clock_off",
        four(),
        four(r3={"clock_ahead": -2.0, "own_clock_doubtful": -2.0}),
        {},
        "The clock of r3 was set 2 s back, and others do not agree: it goes by the time that they share.",
    ),
    (
        "log_time_behind",
        four(r2={"log_time_behind": 30.0}, r3={"log_time_behind": 31.0}),
        four(r2={"log_time_behind": 30.0}, r3={"log_time_behind": 31.0}),
        {},
        "Log time is 30 s behind the members' clocks; windows, leases and locks wait for it.",
    ),
    (
        "log_time_ahead",
        four(),
        four(),
        {"log_time_ahead": 35.0},
        "Log time is 35 s ahead of this platform's clock; windows of validity are judged by it.",
    ),
    (
        "request_waits",
        four(),
        four(),
        {"waits": 3.0},
        "A request has waited for more than 0.8 s, though 4 of 4 members are in one view.",
    ),
    (
        "vote_withheld",
        four(),
        four(r3={"withheld_ahead": 3_600.0}),
        {},
        "r3 withholds its vote: the proposal's time is 3,600 s ahead of its clock.",
    ),
]


@table(("trouble", "first", "second", "more", "wrong"), TROUBLES, count=22)
def test_each_trouble_is_named_with_a_remedy(
    trouble: str, first: list[MemberReport], second: list[MemberReport], more: dict[str, Any], wrong: str
) -> None:
    given = {name: more[name] for name in ("evidence", "breakers") if name in more}
    known = {name: more[name] for name in ("waits", "cut") if name in more}
    now = msgspec.structs.replace(state(second, **known), log_time_ahead=more.get("log_time_ahead", 0.0))
    found = [each for each in find(first, second, state=now, **given) if each.trouble == trouble]
    assert wrong in [each.wrong for each in found]
    assert all(each.remedy == REMEDIES[trouble] for each in found)


def test_all_troubles_are_covered() -> None:
    assert {each[0] for each in TROUBLES} == set(REMEDIES)


def test_a_healthy_cluster_has_no_finding() -> None:
    later = [msgspec.structs.replace(each, sequence=90, memory=95 * MIB) for each in four()]
    assert find(four(), later, state=state(later), evidence={}, breakers={"r0": "closed"}) == []


def test_what_heals_between_the_looks_is_no_trouble() -> None:
    assert (
        find(four(r3={"sequence": 10}), four(r3={"sequence": 30}), state=state(four(r3={"sequence": 30})))
        == []
    )


def test_who_follows_without_a_vote_is_a_finding() -> None:
    report = report_of("slow", "Sequence 10 is executed; node3 is missing, but the others are enough.", [])
    assert not report.healthy
    assert "node3" in report.findings[0].wrong
    assert report_of("ok", "Nothing is stuck.", []).sentence == "Healthy. Nothing is stuck."


def test_memory_is_that_of_this_process_now() -> None:
    before = resident_bytes()
    with mmap.mmap(-1, 32 * MIB) as held:  # not from what this process has freed
        held.write(b"x" * len(held))
        assert resident_bytes() - before > 16 * MIB


def test_a_member_that_fetches_the_log_below_its_state_is_named_and_nothing_is_wrong() -> None:
    looks = four(r3={"complete_from": 1_201})
    assert filling(looks) == ["r3 lacks entries of the log below 1201; it fetches them in the background."]
    assert (filling(four()), filling(silent("r3"))) == ([], [])
    assert find(looks, looks, state=state(looks)) == []


@pytest.mark.parametrize("seconds", ["-1", "600.5", "nan", "inf"])
def test_a_doctor_that_would_wait_for_ever_is_refused(seconds: str) -> None:
    with pytest.raises(ValueError, match=f"--for: {float(seconds)} is not in 0 to 600 seconds"):
        examine(seconds=float(seconds))
