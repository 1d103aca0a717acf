"""Data of the pages beside the API: access, answers while no node can be asked, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from dtvn.api.queries import RecordsQuery
from dtvn.node.kept_ports import rewrite_ports
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.quorum import Mode
from dtvn.watch import MemberReport, verdict
from tests.pages.learner import ALIAS, RealLearner
from validators.dashboard import nodes, pages
from validators.feed.rows import read_snapshot
from validators.figures_window import Sampler
from validators.ledger.copy_reader import CopyReader
from validators.services.cluster_state import gained

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

DATA = ("/dashboard/links", "/dashboard/figures", "/dashboard/node/node0/crypto")
PAGES = tuple(f"/dashboard/{name}" for name in ("nodes", "network", "tickets", "simulator", "metrics"))


@pytest.fixture(autouse=True)
def no_samples_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "sampler", Sampler())


@pytest.fixture
def person(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


@contextmanager
def without_ledger(place: Path) -> Iterator[None]:
    """The learner's database cannot be opened."""
    settings = connections[ALIAS].settings_dict
    known, settings["NAME"] = settings["NAME"], f"file:{place}/none.sqlite3?mode=ro"
    connections[ALIAS].close()
    try:
        yield
    finally:
        settings["NAME"] = known
        connections[ALIAS].close()


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_shown_before_there_is_a_cluster(person: Client, path: str) -> None:
    page = person.get(path)
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_without_a_cluster_no_node_is_asked(person: Client) -> None:
    assert person.get("/dashboard/links").json()["peers"] == {}
    found = person.get("/dashboard/figures").json()
    assert (found["asked"], found["points"]) == (0, [])


def test_nodes_that_do_not_answer_differ_from_nodes_without_peers(
    learner: RealLearner, person: Client
) -> None:
    """The test's gateway reaches no node, and no node serves metrics."""
    names = {f"r{number}" for number in range(4)}
    links = person.get("/dashboard/links").json()["peers"]
    assert set(links) == names
    found = person.get("/dashboard/figures").json()
    assert (found["asked"], found["answering"]) == (4, 0)
    assert [point["throughput"] for point in found["points"]] == [None]


def test_a_web_process_without_the_nodes_ports_says_so(
    learner: RealLearner, person: Client, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    """On a data folder of its own: "0 of 4 respond" would be false, as would "node0 does not answer"."""
    settings.DATA = tmp_path
    assert person.get("/dashboard/figures").json()["elsewhere"] is True
    rewrite_ports(ClusterFolder(tmp_path).node("r0"), metrics=1, api=1)
    monkeypatch.setattr(pages, "sampler", Sampler())
    assert person.get("/dashboard/figures").json()["elsewhere"] is False


LINK = {
    "node_id": "r1",
    "connected": True,
    "round_trip_ms": 0.7,
    "counters": {"bytes_sent": 5, "bytes_received": 6},
}


@pytest.mark.parametrize(
    ("told", "links"),
    [
        ({"peers": [LINK]}, {"r1": {"round_trip_ms": 0.7, "bytes": 11}}),
        ({"peers": [LINK | {"round_trip_ms": 0}]}, {"r1": {"round_trip_ms": None, "bytes": 11}}),
        ({"peers": [{"node_id": "r1", "connected": True}]}, {"r1": {"round_trip_ms": None, "bytes": 0}}),
        ({"peers": [LINK | {"connected": False}]}, {}),
        ({"peers": [LINK | {"round_trip_ms": -1}]}, None),
        ({"peers": [LINK | {"counters": {"bytes_sent": "many"}}]}, None),
        ({"peers": "none"}, None),
        ({}, None),
    ],
)
def test_links_are_shown_only_if_the_answer_can_be_read(
    learner: RealLearner, person: Client, monkeypatch: pytest.MonkeyPatch, told: Any, links: Any
) -> None:
    """A node may be another party's, of an older release, or lie."""
    monkeypatch.setattr(pages, "ask_node", lambda member, what: told)
    assert person.get("/dashboard/links").json()["peers"]["r0"] == links


@pytest.mark.parametrize("part", ["crypto", "storage", "consensus"])
def test_a_node_that_cannot_answer_is_503_and_an_unknown_one_404(
    learner: RealLearner, person: Client, part: str
) -> None:
    assert person.get(f"/dashboard/node/r0/{part}").status_code == 503
    assert person.get(f"/dashboard/node/r9/{part}").status_code == 404
    assert person.get("/dashboard/node/r0/evidence").status_code == 404, "no other part"


def test_the_log_of_a_node_tells_an_upheld_ticket_from_a_disputed_one(
    learner: RealLearner, operate: Callable[..., Any], person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1", "admit T-1", "uphold T-1", "admit T-1", "dispute T-1")
    query = RecordsQuery(limit=9, after=None, refused=True, all_kinds=True, state=None)
    told = CopyReader(ALIAS).list_records(query).items
    differing = told[5] | {"digest": "00"}
    monkeypatch.setattr(pages, "ask_api", lambda member, path: [*told, differing])
    found = person.get("/dashboard/node/r0/consensus").json()
    codes = [record["code"] for record in found]
    assert codes[3:] == ["disputed", "ok", "upheld", "already_upheld", "disputed"]


def test_the_log_of_a_node_is_shown_without_the_platforms_copy(
    learner: RealLearner, person: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = [{"sequence": 7, "index": 0, "code": "disputed", "digest": "00"}]
    monkeypatch.setattr(pages, "ask_api", lambda member, path: told)
    with without_ledger(tmp_path):
        assert person.get("/dashboard/node/r0/consensus").json() == told


def test_a_snapshot_before_there_is_a_ledger_is_empty(
    learner: RealLearner, operate: Callable[..., Any], tmp_path: Path
) -> None:
    """Not an error: the page fills itself once a cluster has been created."""
    operate("issue T-1")
    full = read_snapshot()
    with without_ledger(tmp_path):
        empty = read_snapshot()
    assert full["counts"]["ISSUED"] == 1
    assert (empty["sequence"], set(empty["counts"].values()), empty["latest"]) == (0, {0}, [])
    assert set(empty) == set(full)
    assert set(empty["counts"]) == set(full["counts"])


@pytest.mark.parametrize(
    ("node", "agreeing", "tone", "lacks"),
    [
        ({}, ("n0", "n1", "n2"), "ok", ""),
        ({}, ("n1", "n2", "n3"), "warn", "does not agree"),
        ({}, ("n0", "n1"), "warn", "no quorum"),
        ({}, (), "warn", "changing"),
        ({"error": "its disk is full"}, ("n0", "n1"), "bad", ""),
        ({"role": "learner"}, ("n0", "n1"), "ok", ""),
        *(({"status": status}, ("n1", "n2", "n3"), "accent", "") for status in ("starting", "stopping")),
        *(({"status": status}, ("n1", "n2", "n3"), "bad", "") for status in ("error", "unresponsive")),
        ({"status": "stopped"}, ("n1", "n2", "n3"), "", ""),
    ],
)
def test_the_tone_of_a_node_is_never_good_news_without_a_quorum(
    monkeypatch: pytest.MonkeyPatch, node: dict[str, str], agreeing: tuple[str, ...], tone: str, lacks: str
) -> None:
    node = {"id": "n0", "role": "validator", "status": "running", "error": "", **node}
    changing = not agreeing
    reports = [
        MemberReport(id=each, connected=changing or each in agreeing, voting=True, changing=changing)
        for each in ("n0", "n1", "n2", "n3")
    ]
    monkeypatch.setattr(nodes, "cluster_state", lambda: verdict(reports, mode=Mode.PBFT, window=20))
    assert nodes.describe_state_of_page([node])["tones"] == {"n0": (tone, lacks)}


def test_fewer_members_gain_nothing_and_nothing_is_said_of_it() -> None:
    assert (gained(5, 4, Mode.PBFT), gained(4, 5, Mode.PBFT) != "") == ("", True)
