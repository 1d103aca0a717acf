"""What gates plan, prove and tell: plans of several gates, verdicts of all kinds of records, and sentences.

No platform is asked: plans come from a seed, records are written here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tests.golden import Compare
from tests.importing.telling import each, section, told
from tickets.importing import ImportedTicket, ImportPlan
from tickets.importing.imported import LeftOut, WrongRow
from tickets.scanning import Foretold, Outcome, Scan, make_plan, prove
from tickets.scanning.foretelling import Standing, by_file, by_network, reason_of, windows_over
from tickets.scanning.proof import percentile
from tickets.scanning.rehearsal import expectation, measured_over
from tickets.scanning.steps import Played, Step, steps_lines, steps_object
from tickets.scanning.telling import foretold_lines, foretold_object, record_line, result_lines, result_object

GOLDEN = Path(__file__).parent / "golden"
CODES = {f"T-{number}": [f"c{number}", f"d{number}"][: 1 + number % 2] for number in range(1, 8)}
NOW = 1_780_680_600


def test_the_story_of_plans(golden: Compare) -> None:
    lines = []
    plays: list[dict[str, Any]] = [
        {"gates": 1, "duplicates": 0.0, "seed": 1},
        {"gates": 3, "duplicates": 0.5, "seed": 2},
        {"gates": 3, "duplicates": 1.0, "seed": 3, "persons": {"T-2": 3, "T-5": 2}},
        {"gates": 9, "duplicates": 0.3, "seed": 4},
        {"gates": 2, "duplicates": 0.6, "seed": 5},
        {"gates": 1, "duplicates": 0.6, "seed": 6, "persons": {"T-3": 2}},
    ]
    for how in plays:
        plan = make_plan(CODES, run="r", **how)
        lines.append(section("plan", how))
        for gate, scans in enumerate(plan.by_gate, 1):
            played = ", ".join(
                f"{one.number} {one.ticket_id} {one.code} {one.gate} {one.nonce}{' races' * one.races}"
                for one in scans
            )
            lines.append(f"  {gate}: {played}")
        lines.append(f"  in order: {[one.number for one in plan.scans]}")
    lines += [
        f"{values} {share}: {percentile(values, share)}"
        for values in PERCENTILES
        for share in (0.0, 0.5, 0.95, 1)
    ]
    for count, gates, seconds in (
        (3, 2, 0.0),
        (100, 4, 0.5),
        (100, 4, 5.0),
        (10_000, 4, 1.0),
        (10_000, 4, 0.25),
        *((10, 1, seconds) for seconds in (0.49, 0.5, 59.9, 60.0)),
    ):
        lines.append(f"{measured_over(count, gates)}: {expectation(count, gates, seconds=seconds)}")
    golden(GOLDEN / "scan-plans.txt", "\n".join(lines) + "\n")


PERCENTILES: list[list[float]] = [[], [3.0], [2.0, 1.0, 4.0, 3.0]]


def outcome(ticket: str, number: int, code: str, **fields: Any) -> Outcome:
    """What was recorded of a scan."""
    scan = Scan(number, ticket, "x", f"gate-{number % 3 + 1}", f"n-{number}")
    known = {"sequence": 10 + number, "attempts": 1 + number % 2, "latency": number / 100}
    return Outcome(scan=scan, code=code, **(known | fields))


RECORD = [
    outcome("ONCE", 0, "ok"),
    outcome("ONCE", 1, "already_consumed"),
    outcome("TWICE", 2, "ok"),
    outcome("TWICE", 3, "ok"),
    outcome("NEVER", 4, "already_consumed"),
    outcome("LOST", 5, "", remark="status 504"),
    outcome("SILENT", 6, ""),
    outcome("STRANGE", 7, "barcode_not_found"),
    outcome("FAMILY", 8, "ok"),
    outcome("FAMILY", 9, "ok"),
    outcome("PAIR", 10, "ok"),
    outcome("SHUT", 11, "blocked"),
    outcome("SHUT", 12, "blocked"),
    outcome("OPENED", 13, "ok"),
    outcome("EARLY", 14, "not_yet_valid"),
    outcome("EARLY", 15, "ok"),
    outcome("USED", 16, "already_consumed"),
]
OUTSIDE = outcome("OUTSIDE", 20, "not_inside")
PLANNED = [*(one.scan for one in RECORD), Scan(17, "ABSENT", "x", "gate-1", "n-17")]
FORETOLD = {"SHUT": "blocked", "OPENED": "blocked", "EARLY": "not_yet_valid", "USED": "already_consumed"}
PERSONS = {"FAMILY": 2, "PAIR": 3}


def test_the_story_of_proofs(golden: Compare) -> None:
    more = [*RECORD, RECORD[0], outcome("STRANGER", 30, "ok")]
    lines = []
    for title, planned, record, how in (
        ("all kinds", PLANNED, more, {"persons": PERSONS}),
        ("an exit", PLANNED[:6], RECORD[:6], {"again": "not_inside"}),
        ("all well", PLANNED[:2], RECORD[:2], {}),
        ("as foretold", PLANNED[11:13], RECORD[11:13], {}),
        ("as foretold, and one lost", PLANNED[11:13], RECORD[11:12], {}),
        ("nobody was inside", [OUTSIDE.scan], [OUTSIDE], {"again": "not_inside"}),
        ("nothing", [], [], {}),
    ):
        verdict = prove(planned, record, FORETOLD, **how)
        result = result_object(verdict, record, 2.5) | {"gates": 3, "seed": 7}
        lines += [f"# {title}", told(verdict), section("result", result), *result_lines(result)]
    many = prove([Scan(n, f"T-{n}", "x", "g", f"{n}") for n in range(22)], [])
    result = result_object(many, [], 1.0) | {"gates": 1, "seed": 0}
    lines += ["# many faults", *result_lines(result)]
    lines += ["# record", *(record_line(one).decode().strip() for one in RECORD[4:7])]
    golden(GOLDEN / "scan-proofs.txt", "\n".join(lines) + "\n")


def standings() -> list[tuple[str, Standing]]:
    """One of each reason, at and beside the seconds of a window."""
    found = {"State": "ISSUED", "product": "Day", "valid_from": None, "valid_until": None, "blocked": False,
             "barcode_valid": True, "entries_used": 0, "entries_allowed": 1}  # fmt: skip
    admits = {"Day": True, "Mug": False}
    ticket = ImportedTicket(row=2, ticket_id="T", event="fest", product="Day", codes=("c",))
    files: list[dict[str, Any]] = [
        {},
        {"product": "Mug"},
        {"product": "New"},
        {"blocked": True},
        {"entered": True},
        {"entered": True, "entries": 3, "made": 2},
        {"entered": True, "entries": 3, "made": 3},
        *({"not_before": (NOW + step) * 1_000_000} for step in (-1, 0, 1)),
        *({"not_after": (NOW + step) * 1_000_000} for step in (-1, 0, 1)),
    ]
    answers: list[dict[str, Any]] = [
        {},
        {"product": "Mug"},
        {"product": ""},
        {"product": "New"},
        {"State": "DISPUTED"},
        {"blocked": True, "State": "DISPUTED"},
        {"barcode_valid": False, "blocked": True},
        {"entries_used": 1},
        {"entries_used": 2, "entries_allowed": 3},
        {"entries_used": 9, "entries_allowed": None},
        *({"valid_from": f"2026-06-05T19:{at}+02:00"} for at in ("29:59", "30:00", "30:01")),
        *({"valid_until": f"2026-06-05T19:{at}+02:00"} for at in ("29:59", "30:00", "30:01")),
    ]
    told_by_file = [
        (f"file {told(one)}", by_file(msgspec.structs.replace(ticket, **one), admits)) for one in files
    ]
    told_by_network = [(f"network {told(one)}", by_network(found | one, admits)) for one in answers]
    return [
        *told_by_file,
        *told_by_network,
        ("network, not created", by_network(found | {"product": "Mug"}, None)),
        ("network, not found", by_network(None, admits)),
    ]


def test_the_story_of_what_is_foretold(golden: Compare) -> None:
    lines = [f"{title}: {reason_of(standing, NOW)} {told(standing)}" for title, standing in standings()]
    tickets = [ImportedTicket(row=n, ticket_id=f"T-{n}", event="fest") for n in range(2, 26)]
    reasons = ["ok", "blocked", "no_longer_valid", "already_consumed", "revoked", "barcode_not_found"]
    foretold = [
        Foretold(
            ticket=one, code="c", file="ok", network=reasons[n % 6], more=f"more {n % 5}" if n % 6 else ""
        )
        for n, one in enumerate(tickets)
    ]
    plan = ImportPlan(left_out=[LeftOut(40, "void")], wrong=[WrongRow(41, "empty"), WrongRow(42, "empty")])
    over = [one for one in foretold if one.network == "no_longer_valid"]
    for part in (foretold, foretold[:1], over, []):
        lines += ["", f"# {len(part)} codes, {windows_over(part)} over", *foretold_lines("fest", plan, part)]
        lines.append(section("object", foretold_object("fest", plan, part)))
    golden(GOLDEN / "scan-foretold.txt", "\n".join(lines) + "\n")


def test_the_story_of_sums(golden: Compare) -> None:
    acts = [
        ("entry", "ok"), ("entry", "ok"), ("exit", "ok"), ("annul", "ok"), ("annul", "ok"), ("force", "ok"),
        ("annul_supervised", "ok"), ("annul", "ok"), ("entry", "blocked"), ("exit", ""), ("force", "ok"),
    ]  # fmt: skip
    played = [
        Played(
            Step(row, act, "c", "", listed, "g", "d", "why", expect),
            code,
            ticket,
            "status 504" if not code else "",
        )
        for listed, ticket, expect in (("vip", "T-1", ""), ("main", "T-1", "ok"), ("main", "T-2", "blocked"))
        for row, (act, code) in enumerate(acts, 2)
    ]
    lines = []
    for part in (played, played[:2], played * 3, []):
        result = steps_object(part)
        lines += [section("object", {name: result[name] for name in ("as_expected", "steps", "lists")})]
        lines += [each("differing", result["differing"][:4]), *steps_lines(result), ""]
    golden(GOLDEN / "scan-sums.txt", "\n".join(lines).strip() + "\n")
