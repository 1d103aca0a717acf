"""/metrics of the platform about judged runs: what was asked and said, read after it happened."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from tests.api.test_metrics import scrape
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.metrics.scraping import Page
from tests.runs.test_rest import BAD, GOOD, sequence

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def counts(page: Page, name: str) -> dict[str, float | None]:
    return {
        verdict: page.value(f"dtvn_platform_{name}_total", verdict=verdict)
        for verdict in ("valid", "invalid", "none")
    }


def test_calls_and_events_are_counted_by_verdict(api: Api, fake: FakeGateway) -> None:
    assert counts(scrape(), "event_calls") == {"valid": 0, "invalid": 0, "none": 0}
    for events in (GOOD, GOOD, BAD):
        sequence(api, events)
    before = scrape()
    fake.events.down = frozenset({2, 3})
    sequence(api, GOOD)
    page = scrape()
    assert counts(page, "event_calls") == {"valid": 2, "invalid": 1, "none": 1}
    assert counts(page, "events") == {"valid": 10, "invalid": 5, "none": 5}
    assert page.value("dtvn_platform_event_seconds_count") == 4
    waited = page.number("dtvn_platform_event_seconds_sum") - before.number("dtvn_platform_event_seconds_sum")
    assert waited >= 1, "the call without a quorum waited for the missing votes"


def test_open_runs_are_those_that_have_not_ended(api: Api, fake: FakeGateway) -> None:
    run = fake.events.begin("t", "r")
    assert scrape().value("dtvn_platform_event_runs") == 1
    run.end().result()
    assert scrape().value("dtvn_platform_event_runs") == 0


def test_a_members_contradictions_and_silences_are_counted(api: Api, fake: FakeGateway) -> None:
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD, algorithm="unanimous")
    said = {
        (dict(labels)["node_id"], dict(labels)["given"]): value
        for labels, value in scrape().of("dtvn_platform_event_answers_total").items()
    }
    assert said == {("r0", "valid"): 1, ("r1", "contradicted"): 1, ("r2", "valid"): 1, ("r3", "valid"): 1}
