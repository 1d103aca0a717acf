"""What is found while a stream passes, in bounded memory."""

from __future__ import annotations

import pytest

from dtvn.events.rules import ACCEPTED, Verdict, refused
from dtvn.proxy import Run, findings
from dtvn.proxy.findings import Findings
from tests.events.rules.samples import event


def wrong(index: int, code: str = "MESSAGE_NOT_OPEN") -> Verdict:
    return refused(index, code, "a sentence")


def test_the_code_is_that_of_the_first_refusal_and_the_run_the_first() -> None:
    found = Findings("POST", "/")
    texts = [event("RS"), event("TC:z"), event("RF"), event("RS:r2")]
    found.take(texts, [ACCEPTED, wrong(1), ACCEPTED, ACCEPTED])
    found.refuse(wrong(4, "EVENT_TOO_LARGE").violations[0])
    report = found.report()
    assert (report.valid, report.code, report.events, report.run) == (
        False,
        "MESSAGE_NOT_OPEN",
        4,
        Run("t", "r1"),
    )
    assert [each.code for each in report.violations] == ["MESSAGE_NOT_OPEN", "EVENT_TOO_LARGE"]


@pytest.mark.parametrize(("bad", "valid", "code"), [(True, False, "MESSAGE_NOT_OPEN"), (False, None, None)])
def test_what_was_refused_before_the_judging_ended_stays_refused(
    bad: bool, valid: bool | None, code: str | None
) -> None:
    found = Findings("POST", "/")
    found.take([event("RS")], [wrong(0) if bad else ACCEPTED])
    found.not_validated = "no verdict"
    report = found.report()
    assert (report.valid, report.code, report.not_validated) == (valid, code, "no verdict")


def test_violations_beyond_those_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "KEPT", 2)
    found = Findings("POST", "/")
    several = Verdict(False, (*wrong(0).violations, *wrong(0, "EVENT_TOO_LARGE").violations))
    found.take([b"{}"] * 3, [several, wrong(1), wrong(2)])
    assert ([each.index for each in found.report().violations], found.report().omitted) == ([0, 0], 2)
