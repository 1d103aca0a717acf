"""Runs of which members lie or are away, judged over REST: what is decided, and what nobody decides."""

from __future__ import annotations

import pytest

from dtvn.events.judging import CHUNK_EVENTS_MAX
from dtvn.gateway import CALL_EVENTS_MAX
from tests.api.conftest import Api, read
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.runs.test_rest import GOOD, sequence, texts

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

DECIDED_AGAINST = [
    ("unanimous", (1,), ("invalid", "REFUSED_BY_FEW", "NO_CERTIFICATE")),
    ("majority", (1, 2), ("invalid", "A_LIE", "NO_CERTIFICATE")),
    ("pbft", (1, 2), ("none", "PBFT_NO_CONSENSUS", "PBFT_NO_CONSENSUS")),
]


@pytest.mark.parametrize("down", [{3}, {1, 2, 3}])
def test_events_that_nobody_looked_at_are_not_found_valid(
    api: Api, fake: FakeGateway, down: set[int]
) -> None:
    """They are behind a chunk without a certificate, in the next part of the call."""
    falsely(fake, 1, since=CALL_EVENTS_MAX - CHUNK_EVENTS_MAX)
    fake.events.down = frozenset(down)
    given = [GOOD[0], *[event("CU")] * CALL_EVENTS_MAX]
    answer = api.post("events/validate-sequence", texts(given, algorithm="majority"))
    assert (answer.status_code, read(answer)["code"]) == (503, "no_verdict")


@pytest.mark.parametrize(("algorithm", "liars", "decision"), DECIDED_AGAINST)
def test_what_the_members_do_not_find_valid_is_not_valid(
    api: Api, fake: FakeGateway, algorithm: str, liars: tuple[int, ...], decision: tuple[str, ...]
) -> None:
    """The rules here find nothing, which no longer counts once a quorum has voted."""
    falsely(fake, *liars)
    told = sequence(api, GOOD, algorithm=algorithm, recorded=False)
    assert (told["verdict"], told["code"], told["failure"]["code"]) == decision
    assert (told["valid"], told["delivered"], told["scope"]) == (False, 0, "LOCAL_ONLY")
    kept = read(api.post(f"events/runs/{told['id']}/end"))["data"]
    assert (kept["verdict"], kept["code"], kept["valid"]) == (told["verdict"], told["code"], False)


@pytest.mark.parametrize(("algorithm", "liars", "decision"), DECIDED_AGAINST)
def test_a_chunk_that_the_members_decide_against_need_not_be_repeated(
    api: Api, fake: FakeGateway, algorithm: str, liars: tuple[int, ...], decision: tuple[str, ...]
) -> None:
    falsely(fake, *liars)
    path = api.post("events/runs", {"algorithm": algorithm, "recorded": False}).headers["Location"]
    answer = api.post(f"{path}/events?from=0", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (422, "denied")
    what = "these events" if decision[1] == "REFUSED_BY_FEW" else "event 0"
    assert f"do not find {what} valid: {decision[1]}." in read(answer)["error"]


def test_a_chunk_is_repeated_while_a_missing_vote_may_decide_it(api: Api, fake: FakeGateway) -> None:
    falsely(fake, 0)
    fake.events.down = frozenset({3})
    path = api.post("events/runs", {"algorithm": "pbft", "recorded": False}).headers["Location"]
    answer = api.post(f"{path}/events?from=0", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (503, "no_verdict")
    fake.events.down = frozenset()
    assert api.post(f"{path}/events?from=0", texts(GOOD)).status_code == 200
    kept = read(api.post(f"{path}/end"))["data"]
    assert (kept["verdict"], kept["code"], kept["valid"]) == ("valid", None, True), (
        "nothing is held against it"
    )


def test_without_a_quorum_the_rules_here_judge_from_the_first_event_on(api: Api, fake: FakeGateway) -> None:
    fake.events.down = frozenset({2, 3})
    told = sequence(api, GOOD[1:])
    assert (told["scope"], told["valid"], told["delivered"]) == ("LOCAL_ONLY", False, 0)
    assert told["violations"][0]["index"] == 0
    assert told["code"] == told["violations"][0]["code"]
