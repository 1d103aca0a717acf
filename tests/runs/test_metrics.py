"""/metrics of the platform about judged runs: what was asked and said, read after it happened."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api
from tests.api.test_metrics import scrape
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.metrics.scraping import Page
from tests.runs.test_rest import GOOD, sequence

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


def counts(page: Page, name: str) -> dict[str, float | None]:
    return {
        verdict: page.value(f"dtvn_platform_{name}_total", verdict=verdict)
        for verdict in ("valid", "invalid", "none")
    }


def test_a_members_contradictions_and_silences_are_counted(api: Api, fake: FakeGateway) -> None:
    falsely(fake, 1, also_honest=True)
    sequence(api, GOOD, algorithm="unanimous")
    said = {
        (dict(labels)["node_id"], dict(labels)["given"]): value
        for labels, value in scrape().of("dtvn_platform_event_answers_total").items()
    }
    assert said == {("r0", "valid"): 1, ("r1", "contradicted"): 1, ("r2", "valid"): 1, ("r3", "valid"): 1}
