"""GET /network: who hears whom, what is cut, and what was; and the state and metrics that follow from it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, read
from tests.metrics.scraping import Page
from tests.network_watch.members import Members
from tests.network_watch.seen import between
from validators.network_watch import feed
from validators.network_watch.watch import NetworkWatch
from validators.rest import metrics, network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

HALVES = between(["venue", "seller"], ["promoter", "auditor"])


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch, api: Api) -> Members:
    """Members whose reports this process has watched for a minute; it looks no more by itself."""
    watch = NetworkWatch()
    watch.keeps_history = True
    for module in (network, metrics, feed):
        monkeypatch.setattr(module, "watch", watch)
    monkeypatch.setattr(watch, "refresh", lambda interval=1.0: None)
    began = datetime.now(UTC) - timedelta(minutes=4)
    found = Members(watch, began=round(began.timestamp()) * 1_000_000_000)
    found.pass_seconds(60)
    return found


def shown(api: Api) -> dict[str, Any]:
    told: dict[str, Any] = read(api.get("network"))["data"]
    return told


def link(told: dict[str, Any], hearer: str, heard: str) -> dict[str, Any]:
    [found] = [one for one in told["links"] if (one["hearer"], one["heard"]) == (hearer, heard)]
    return dict(found)


def test_a_cut_is_told_while_it_lasts_and_afterwards(api: Api, members: Members) -> None:
    members.lose(HALVES)
    members.pass_seconds(60)
    told = shown(api)
    cut = told["cut"]
    assert re.fullmatch(r"venue and seller \| promoter and auditor since (.+ )?\d\d:\d\d", cut["sentence"])
    assert told["sentence"] == f"{cut['sentence']}. {cut['consequence']}"
    assert cut["groups"] == [["venue", "seller"], ["promoter", "auditor"]]
    assert (cut["decides"], cut["certain"], cut["severity"]) == ([], True, "high")
    silent = link(told, "venue", "promoter")
    assert silent["state"] == "silent"
    assert silent["since"] == silent["spans"][-1]["start"] == silent["last_heard"]
    assert [span["state"] for span in silent["spans"]] == ["heard", "silent"]
    [lasting] = told["history"]
    assert (lasting["sentence"], lasting["ended_at"]) == (cut["sentence"], None)

    members.cut.clear()
    members.pass_seconds(60)
    told = shown(api)
    assert told["cut"] is None
    [past] = told["history"]
    assert past["sentence"] == cut["sentence"]
    lasted = datetime.fromisoformat(past["ended_at"]) - datetime.fromisoformat(past["started_at"])
    assert timedelta(seconds=58) < lasted < timedelta(seconds=64)


def test_of_members_that_were_stopped_here_no_quorum_is_told(api: Api, members: Members) -> None:
    gone = {"venue", "promoter"}
    members.lose((one, other) for one in members.names for other in gone)
    members.unseen, members.own = gone, dict.fromkeys(gone, False)
    members.pass_seconds(20)
    told = shown(api)
    assert told["sentence"] == "seller and auditor hear each other. Stopped here: venue and promoter."
    assert told["consequence"] == (
        "Too few members run for a quorum (2 of 4, and 3 are needed): nothing is decided until more run."
    )
    members.unseen, members.own = {"auditor"}, {"auditor": None}
    members.cut.clear()
    members.pass_seconds(10)
    told = shown(api)
    assert told["sentence"] == "All members that report hear each other. Not responding here: auditor."
    assert told["consequence"] == "3 of 4 members are a quorum, and decide together."
    members.unseen, members.own = {*members.names}, dict.fromkeys(members.names)
    members.pass_seconds(10)
    told = shown(api)
    assert told["sentence"].startswith("No member reports to this platform. Not responding here: venue,")
    assert told["consequence"].startswith("Too few members run for a quorum (0 of 4")


def test_members_that_froze_together_are_not_said_to_go_on(api: Api, members: Members) -> None:
    frozen = members.names[:3]
    members.lose(("auditor", other) for other in frozen)
    members.unseen = {*frozen}
    members.pass_seconds(30)
    told = shown(api)
    assert (told["cut"]["decides"], told["cut"]["may_decide"]) == ([], [*frozen])
    assert told["consequence"].startswith("If venue, promoter and seller run and reach each other, ")
    members.own = dict.fromkeys(frozen)
    members.pass_seconds(1)
    told = shown(api)
    assert "may have stopped" not in told["sentence"]
    assert told["cut"]["may_decide"] == []
    assert told["consequence"].startswith("Too few members run for a quorum (1 of 4")
    [row] = told["history"]
    assert (row["decides"], row["may_decide"]) == ([], []), "what was learned later of the same form"


def test_metrics_say_how_long_who_has_been_silent(api: Api, members: Members) -> None:
    members.lose([("venue", "promoter")])
    members.pass_seconds(30)
    page = Page(api.get("/metrics").content.decode())
    assert page.number("dtvn_platform_network_cut") == 1
    silent = page.number("dtvn_platform_link_silent_seconds", hearer="venue", heard="promoter")
    assert silent == pytest.approx(30.7, abs=0.1)
    assert len(page.of("dtvn_platform_link_silent_seconds")) == 12


def test_without_a_cluster_nothing_is_known(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "watch", NetworkWatch())
    monkeypatch.setattr(network.watch, "refresh", lambda interval=1.0: None)
    told = shown(api)
    assert (told["sentence"], told["members"]) == ("Nothing is known of the members yet.", [])
    assert (told["as_of"], told["quorum"], told["links"]) == (None, 0, [])
