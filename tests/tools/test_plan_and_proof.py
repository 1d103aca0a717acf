"""The plan of a rehearsal, and the proof of its record."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets.scanning import Outcome, Scan, make_plan, prove
from tickets.scanning.proof import percentile
from tickets.scanning.rehearsal import expectation


def outcome(number: int, ticket: str, code: str, *, gate: str = "gate-1", sequence: int = 0) -> Outcome:
    scan = Scan(number, ticket, f"code of {ticket}", gate, f"scan-{number}")
    return Outcome(scan=scan, code=code, sequence=sequence, attempts=1, latency=0.01)


HONEST = [
    outcome(0, "A", "ok", sequence=5),
    outcome(1, "B", "ok", sequence=6),
    outcome(2, "A", "already_consumed", gate="gate-2"),
]
PLANNED = [one.scan for one in HONEST]


def faults(*record: Outcome) -> tuple[str, ...]:
    return prove(PLANNED, record).faults


def test_an_honest_record_is_proved() -> None:
    verdict = prove(PLANNED, HONEST)
    assert (verdict.faults, verdict.tickets, verdict.admitted, verdict.refused) == ((), 2, 2, 1)


def test_a_forged_second_admission_is_caught() -> None:
    """The one thing this command is for."""
    forged = msgspec.structs.replace(HONEST[2], code="ok", sequence=9)
    assert faults(*HONEST[:2], forged) == (
        "A: admitted 2 times (gate-1 at sequence 5, gate-2 at sequence 9)",
    )


@pytest.mark.parametrize(
    ("persons", "fault"),
    [
        (1, "A: admitted 2 times (gate-1 at sequence 5, gate-2 at sequence 9)"),
        (2, ""),
        (3, "A: admitted 2 times, and is for 3 persons"),
    ],
)
def test_a_ticket_admits_as_many_as_it_is_for(persons: int, fault: str) -> None:
    second = msgspec.structs.replace(HONEST[2], code="ok", sequence=9)
    found = prove(PLANNED, [*HONEST[:2], second], persons={"A": persons}).faults
    assert found == ((fault,) if fault else ())


def test_a_plan_scans_a_ticket_once_for_each_person() -> None:
    codes = {f"T-{number}": ["a", "b"] for number in range(20)}
    plan = make_plan(codes, gates=3, duplicates=0.5, seed=1, run="r", persons={"T-1": 4, "T-2": 9})
    scans = [scan.ticket_id for scan in plan.scans]
    assert len(scans) == 20 + 3 + 8 + 10
    assert scans.count("T-2") in (9, 10)


def test_a_ticket_that_was_never_admitted_is_a_fault() -> None:
    lost = msgspec.structs.replace(HONEST[1], code="already_consumed")
    assert faults(HONEST[0], lost, HONEST[2]) == ("B: never admitted: it had been consumed before this run",)


def test_a_scan_that_was_never_decided_is_a_fault() -> None:
    silent = msgspec.structs.replace(HONEST[2], code="", remark="status 504")
    assert faults(*HONEST[:2], silent) == ("A: a scan at gate-2 was never decided (status 504)",)


@pytest.mark.parametrize("code", ["ticket_not_found", "disputed", "not_yet_valid", "nonce_reused"])
def test_an_answer_that_a_valid_ticket_cannot_get_is_a_fault(code: str) -> None:
    strange = msgspec.structs.replace(HONEST[2], code=code)
    assert faults(*HONEST[:2], strange) == (f"A: refused with {code} at gate-2",)


def test_a_scan_missing_from_the_record_is_a_fault() -> None:
    assert faults(*HONEST[:2]) == ("A: a planned scan is not in the record",)


def test_a_repeated_or_unplanned_scan_is_a_fault() -> None:
    assert "is recorded twice" in faults(*HONEST, HONEST[2])[0]
    assert "was not planned" in faults(*HONEST, outcome(9, "C", "ok"))[0]


def test_a_hidden_admission_of_an_unplanned_scan_is_caught_as_double() -> None:
    assert any("admitted 2 times" in fault for fault in faults(*HONEST, outcome(9, "A", "ok")))


RECORDS = st.lists(st.sampled_from(("ok", "already_consumed", "", "disputed")), min_size=1, max_size=4)


@settings(deadline=None, print_blob=True)
@given(codes=st.lists(RECORDS, min_size=1, max_size=5))
def test_proved_means_one_ok_and_otherwise_only_refusals(codes: list[list[str]]) -> None:
    numbers = iter(range(1_000))
    record = [outcome(next(numbers), f"T-{ticket}", code) for ticket, row in enumerate(codes) for code in row]
    proved = not prove([one.scan for one in record], record).faults
    assert proved == all(sorted(row) == ["already_consumed"] * (len(row) - 1) + ["ok"] for row in codes)


# --- what was foretold -----------------------------------------------------------------------------


def test_a_ticket_that_is_refused_as_foretold_is_proved_but_not_admitted() -> None:
    shut = [msgspec.structs.replace(one, code="blocked") for one in (HONEST[0], HONEST[2])]
    verdict = prove(PLANNED, [*shut, HONEST[1]], {"A": "blocked"})
    assert (verdict.faults, verdict.admitted, verdict.foretold) == ((), 1, 1)


def test_another_refusal_than_the_foretold_one_is_a_fault() -> None:
    other = [msgspec.structs.replace(one, code="revoked") for one in (HONEST[0], HONEST[2])]
    assert prove(PLANNED, [*other, HONEST[1]], {"A": "blocked"}).faults == (
        "A: refused with revoked at gate-1",
    )


def test_a_block_that_does_not_hold_is_a_fault() -> None:
    assert prove(PLANNED, HONEST, {"A": "blocked"}).faults == (
        "A: blocked was foretold, but it was admitted",
    )


def test_a_window_may_begin_during_the_run() -> None:
    early = msgspec.structs.replace(HONEST[2], code="not_yet_valid")
    verdict = prove(PLANNED, [early, *HONEST[:2]], {"A": "not_yet_valid"})
    assert (verdict.faults, verdict.admitted, verdict.foretold) == ((), 2, 0)


# --- the plan --------------------------------------------------------------------------------------


def coded(ids: list[str]) -> dict[str, list[str]]:
    return {name: [f"code of {name}"] for name in ids}


@settings(deadline=None, print_blob=True)
@given(
    tickets=st.integers(1, 60),
    gates=st.integers(1, 9),
    duplicates=st.floats(0, 1),
    seed=st.integers(0, 1_000),
)
def test_every_ticket_is_scanned_once_and_a_share_twice(
    tickets: int, gates: int, duplicates: float, seed: int
) -> None:
    ids = [f"T-{number}" for number in range(tickets)]
    plan = make_plan(coded(ids), gates=gates, duplicates=duplicates, seed=seed, run="x")
    scans = plan.scans
    counts = {ticket: sum(scan.ticket_id == ticket for scan in scans) for ticket in ids}
    assert set(counts.values()) <= {1, 2}
    assert sum(counts.values()) == tickets + round(tickets * duplicates)
    assert len({scan.nonce for scan in scans}) == len(scans)
    assert [scan.number for scan in scans] == list(range(len(scans)))
    assert {scan.code for scan in scans} == {code for codes in coded(ids).values() for code in codes}
    for scan in scans:
        pair = [other for other in scans if other.ticket_id == scan.ticket_id and other.races]
        assert not scan.races or len({other.gate for other in pair}) == 2, "a race is run at two gates"


def test_a_ticket_of_several_codes_is_shown_with_each_of_them() -> None:
    plan = make_plan({"A": ["on paper", "on the wristband"]}, gates=1, duplicates=1, seed=1, run="x")
    assert [scan.code for scan in plan.scans] == ["on paper", "on the wristband"]


def test_the_same_seed_makes_the_same_plan() -> None:
    ids = coded([f"T-{number}" for number in range(50)])
    plans = [make_plan(ids, gates=4, duplicates=0.3, seed=11, run="x") for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0] != make_plan(ids, gates=4, duplicates=0.3, seed=12, run="x")


def test_two_runs_share_no_nonce() -> None:
    nonces = [
        {scan.nonce for scan in make_plan(coded(["A", "B"]), gates=1, duplicates=0, seed=1, run=run).scans}
        for run in ("first", "second")
    ]
    assert nonces[0].isdisjoint(nonces[1])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_percentiles_are_measured_values(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_a_percentile_of_no_values_is_zero() -> None:
    assert percentile([], 0.99) == 0.0


def test_a_rehearsal_of_one_scan_at_one_gate_is_foretold_in_the_singular() -> None:
    said = expectation(1, 1, seconds=2)
    assert said == "1 scan at 1 gate: about 2 s, at the rate of the first 1: 0 per second."
