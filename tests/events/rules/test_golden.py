"""Sequences executed on the official client 1.0.0: how many events pass, and whether the next is refused.

`golden_cases.json` are the contract's, on its verifier alone. `official_streams.json` are random streams on
its expansion of chunks and its verifier together, with the words of its refusal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dtvn.events.rules import Limits, Stream, decode_state
from tests.support.table import table

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "golden_cases.json").read_bytes())
OFFICIAL: list[dict[str, Any]] = json.loads((HERE / "official_streams.json").read_bytes())
OF_BAD_SHAPE = {"V89"}
"""Sent with events that lack required fields: rules of order accept them, rules of shape do not."""


def judged(events: list[dict[str, Any]], stream: Stream) -> tuple[int, str | None]:
    for number, event in enumerate(events):
        verdict = stream.feed(json.dumps(event).encode())
        encoded = stream.state.encoded()
        assert decode_state(encoded, Limits()).encoded() == encoded
        if not verdict.accepted:
            return number, verdict.code
    return len(events), None


def test_all_87_cases_are_here() -> None:
    assert len({case["id"] for case in CASES}) == 87


@table("case", CASES, ids=lambda case: case["id"], count=87)
def test_order_rules_alone_give_the_golden_verdicts(case: dict[str, Any]) -> None:
    assert judged(case["events"], Stream(shape=False)) == (case["delivered"], case["code"])


@table("case", [case for case in CASES if case["id"] not in OF_BAD_SHAPE], ids=lambda c: c["id"], count=86)
def test_shape_and_order_rules_give_the_golden_verdicts(case: dict[str, Any]) -> None:
    assert judged(case["events"], Stream()) == (case["delivered"], case["code"])


def test_events_without_required_fields_are_refused_with_all_rules() -> None:
    (case,) = [case for case in CASES if case["id"] in OF_BAD_SHAPE]
    assert judged(case["events"], Stream()) == (2, "FIELD_MISSING")


@table("case", OFFICIAL, ids=range(len(OFFICIAL)), count=65)
def test_streams_pass_as_far_as_with_the_official_client(case: dict[str, Any]) -> None:
    delivered, code = judged(case["events"], Stream())
    assert (delivered, code is None) == (case["delivered"], case["refused"] is None), (code, case["refused"])
