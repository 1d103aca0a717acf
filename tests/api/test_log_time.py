"""Log time ahead of the clock, and votes withheld for time: said by probes, REST and metrics."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.metrics.scraping import Page
from validators.models import ManagedNode, NodeStatus

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

HOUR = 3_600
STATE = "windows of validity are judged by it"


@pytest.fixture
def told(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """By member: what it adds to its status answer."""
    more: dict[str, dict[str, Any]] = {}

    views = fake.members
    monkeypatch.setattr(
        fake,
        "members",
        lambda: tuple(msgspec.structs.replace(view, **more.get(view.id, {})) for view in views()),
    )
    return more


def an_hour_ahead() -> dict[str, Any]:
    return {"log_time": (time.time_ns() // 1_000) + HOUR * 1_000_000, "log_time_ahead": float(HOUR)}


def metric(api: Api) -> float:
    page = Page(api.get("/metrics").content.decode())
    return page.value("dtvn_platform_log_time_ahead_seconds")


def test_r3_log_time_an_hour_ahead_is_said_and_the_platform_stays_ready(
    api: Api, told: dict[str, dict[str, Any]]
) -> None:
    told |= dict.fromkeys(("r0", "r1", "r2", "r3"), an_hour_ahead())
    response = Api(None).get("/ready")
    assert response.status_code == 200
    assert read(response)["log_time_ahead"] == pytest.approx(HOUR, abs=60)
    state = read(api.get("cluster"))["data"]
    assert state["level"] == "tight"
    assert (
        state["sentence"] == f"4 of 4 agree, can lose 1 more; log time is 60 min ahead of this clock; {STATE}"
    )
    assert state["log_time_ahead"] == pytest.approx(HOUR, abs=60)
    assert metric(api) == pytest.approx(HOUR, abs=60)
    assert [node["log_time_ahead"] for node in read(api.get("nodes"))] == [HOUR] * 4


def test_r3_while_clocks_are_right_nothing_is_said_of_log_time(
    api: Api, told: dict[str, dict[str, Any]]
) -> None:
    told |= {name: {"log_time": time.time_ns() // 1_000} for name in ("r0", "r1", "r2", "r3")}
    assert set(read(Api(None).get("/ready"))) == {"status", "sequence"}
    state = read(api.get("cluster"))["data"]
    assert (state["level"], state["log_time_ahead"]) == ("ok", 0.0)
    assert metric(api) == 0.0
    assert not any("log_time_ahead" in node for node in read(api.get("nodes")))


def test_r3_an_unready_platform_says_log_time_too(fake: FakeGateway, told: dict[str, dict[str, Any]]) -> None:
    told |= dict.fromkeys(("r0", "r1"), an_hour_ahead())
    fake.down = frozenset({2, 3})
    response = Api(None).get("/ready")
    assert response.status_code == 503
    assert read(response)["log_time_ahead"] == pytest.approx(HOUR, abs=60)


def test_r3_a_member_that_withholds_for_time_says_so_in_the_list_of_nodes(
    api: Api, told: dict[str, dict[str, Any]]
) -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    told |= {"r3": {"withheld_ahead": 3_600.0}}
    *others, last = read(api.get("nodes"))
    assert last["withheld_ahead"] == 3_600.0
    assert last["error"] == "it withholds its vote: the proposal's time is 3,600 s ahead of its clock"
    assert not any("error" in node or "withheld_ahead" in node for node in others)
    said = "r3 withholds its vote: the proposal's time is 3,600 s ahead of its clock"
    assert read(api.get("cluster"))["data"]["sentence"] == f"4 of 4 agree, can lose none; {said}"
