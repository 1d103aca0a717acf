"""Tells the cluster over REST: probes, state, nodes, their logs and answers, starts and stops, locks, the
network while it is cut, entry nodes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db.models import F

from dtvn.gateway import Answered
from tests.api.conftest import Api, read
from tests.api.telling import NOW, Story, Teller, beside, clock, laid_out  # noqa: F401 - a fixture
from tests.fake_gateway import FakeGateway
from tests.golden import Compare
from tests.network_watch.members import Members
from tests.network_watch.seen import between
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.models import ManagedNode, NodeStatus
from validators.network_watch import feed
from validators.network_watch.watch import NetworkWatch
from validators.rest import metrics, network
from validators.services import cluster_state
from validators.services.node_logs import log_file

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]


@pytest.fixture
def story() -> Story:
    return Story(exact=True)


@pytest.fixture
def tell(api: Api, story: Story) -> Teller:
    return Teller(story, api.call)


class Answering:
    """What members answer when they are asked; others do not answer in time."""

    def __init__(self, fake: FakeGateway, story: Story) -> None:
        self.given: dict[tuple[int, str], tuple[str, Any]] = {}
        self._story = story
        fake.query = self.query  # type: ignore[method-assign]

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        code, value = self.given.get((member, what), ("timeout", None))
        self._story.say(f"  asked: r{member} {what} {list(arguments)}")
        future: Future[Answered] = Future()
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        future.set_result(Answered(0, code, "" if code else text))
        return future


def stats(member: int) -> dict[str, Any]:
    return {
        "node_id": f"r{member}",
        "peer_count": 3 - member,
        "is_primary": member == 0,
        "current_view": 2,
        "sequence": 40 + member,
        "cache_size": 7,
        "storage_stats": {"entries": 12},
    }


def test_what_nodes_tell_of_themselves(
    golden: Compare, fake: FakeGateway, tell: Teller, story: Story
) -> None:
    answering = Answering(fake, story)
    story.heading("Nobody answers")
    for path in ("stats", "peers", "config", "nodes/r1/stats", "nodes/r1/tickets/T-1", "node/crypto"):
        tell("GET", path)
    story.heading("All answer")
    peers = [
        {"id": "p1", "addrs": ["/ip4/10.0.0.1"], "connected_at": "now", "node_id": "r1", "secret": "x"},
        {"id": "p2", "connected": False, "node_id": "r2"},
        "no peer",
        {"node_id": "r3", "connected": True},
    ]
    status = {"members": 4, "is_primary": True, "view": 2, "sequence": 44}
    for member in range(4):
        answering.given[member, "stats"] = "", stats(member)
        answering.given[member, "peers"] = "", {"peers": peers}
        answering.given[member, "status"] = "", status | {"members": 4 + member}
        ticket = {"node_id": f"r{member}", "sequence": 50 + member, "ticket": {"ID": f"T-{member}"}}
        answering.given[member, "ticket"] = "", ticket
    for path in (
        *("stats", "peers", "config", "nodes/r2/stats", "nodes/r3/tickets/T-9?event=derby"),
        *("nodes/r3/tickets/a%20b", "nodes/r3/tickets/T-9?event=%20", "nodes/absent/stats"),
    ):
        tell("GET", path)
    story.heading("The primary does not know, others answer oddly")
    answering.given[0, "stats"] = "unknown_query", None
    answering.given[1, "stats"] = "", "[1]"
    answering.given[2, "stats"] = "disk_full", None
    answering.given[0, "status"] = "", status | {"continues": "#old", "sequence": "x"}
    answering.given[0, "peers"] = "", {"peers": {"no": "list"}}
    answering.given[1, "ticket"] = "ticket_not_found", None
    answering.given[2, "ticket"] = "disk_full", None
    answering.given[3, "ticket"] = "", {"sequence": 7}
    for path in ("stats", "config", "peers", *(f"nodes/r{number}/tickets/T-1" for number in range(4))):
        tell("GET", path)
    fake.down = frozenset({0, 2})
    for path in ("stats", "nodes/r2/stats", "nodes"):
        tell("GET", path)
    golden(beside(__file__, "nodes_asked"), str(story))


def test_what_probes_tell(
    golden: Compare, fake: FakeGateway, tell: Teller, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def members(**statuses: dict[str, Any]) -> None:
        """Reports with other fields."""
        shown = [
            msgspec.structs.replace(report, **statuses.get(report.id, {}))
            for report in FakeGateway.members(fake)
        ]
        monkeypatch.setattr(fake, "members", lambda: tuple(shown))

    def look(heading: str) -> None:
        story.heading(heading)
        for path in ("/ready", "cluster"):
            tell("GET", path)

    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    anybody = Teller(story, Api(None).call, "no key")
    for method in ("GET", "HEAD", "POST", "DELETE"):
        for path in ("/health", "/live", "/ready"):
            anybody(method, path)
    for path in ("cluster", "status", "", "nowhere", "/api/nowhere"):
        anybody("GET", path)
    tell("GET", "nowhere")
    tell("POST", "cluster")
    tell("OPTIONS", "cluster")
    look("All vote")
    members(r0={"sequence": 99}, r1={"sequence": 7}, r2={"sequence": 90}, r3={"sequence": 8})
    look("At different places")
    members(r0={"state": "following", "voting": False}, r1={"sequence": 3})
    look("One without a vote")
    two = {"state": "following", "voting": False}
    members(r0=two, r1=two)
    look("Two without votes")
    members(r0={"view": 3}, r1={"view": 3, "sequence": 5}, r2={"sequence": 6})
    look("Two views")
    wait = {"state": "waiting", "voting": False, "awaits": ["r1", "r2"]}
    members(r0=wait, r1={"others_are_gone": True})
    look("One waits for two, another was told that others are gone")
    members(r0={"heard": 5.1}, r1={"heard": 5.0}, r2={"connected": False, "heard": 60.0}, r3={"heard": None})
    look("Silent ones")
    members(r3={"state": "disk_full", "voting": False}, r2={"connected": False, "heard": 60.0})
    look("A full disk and a lost link")
    monkeypatch.undo()
    fake.quorum = False
    story.heading("None is connected")
    for path in ("/ready", "cluster", "nodes"):
        tell("GET", path)
    golden(beside(__file__, "cluster_probed"), str(story))


def tell_output(tell: Teller, story: Story) -> None:
    """Ends of a node's log."""
    story.heading("Output")
    log = log_file("r1")
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-11-20T10:00:00.001Z INFO     begins\n"
        "2026-11-20T10:00:00.002Z WARNING  is slow\nTraceback (most recent call last):\n"
        "2026-11-20T10:00:00.003Z DEBUG    goes on \u00e4\n2026-11-20T10:00:00.004Z ERROR    ends\n"
    )
    for query in (
        "",
        "?lines=2",
        "?lines=3",
        "?lines=999999999",
        "?lines=0",
        "?lines=1000000000",
        "?lines=x",
    ):
        tell("GET", f"nodes/r1/logs{query}")
    tell("GET", "nodes/r0/logs")
    tell("GET", "nodes/absent/logs")


def test_what_starts_and_stops_tell(
    golden: Compare, fake: FakeGateway, tell: Teller, story: Story, tmp_path: Path, settings: Any
) -> None:
    settings.DATA = tmp_path
    settings.SUPERVISOR = True
    reader = Teller(story, Api("dtvn_reader").call, "reads only")
    store_key("dtvn_reader", label="reader", scopes=["operate"])
    ManagedNode.objects.filter(pk="r3").delete()
    story.heading("One by one")
    for path in (
        "nodes/r1/stop",
        "nodes/r3/stop",
        "nodes/r3/start",
        "nodes/absent/start",
        "nodes/learner/stop",
    ):
        tell("POST", path)
    tell("POST", "nodes/r0/start")
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"), pid=4711)
    ManagedNode.objects.filter(pk="r2").update(status=NodeStatus.ERROR, error="its port is in use")
    tell("GET", "nodes")
    tell("POST", "nodes/r0/start")
    tell("POST", "nodes/r1/stop")
    tell("POST", "nodes/r1/stop")
    tell("POST", "nodes/r2/restart")
    tell("DELETE", "nodes/r0")
    reader("POST", "nodes/r0/start")
    reader("GET", "nodes/r0")
    story.heading("All of them")
    for body in ({"only_stopped": True}, {"one_by_one": True}, {"node_count": 4}, {"node_count": 0}, {}):
        tell("POST", "cluster/start", body)
        tell("GET", "cluster")
    for wrong in ({"node_count": 1_000}, {"node_count": "4"}, {"only_stopped": 1}, b"x"):
        tell("POST", "cluster/start", wrong)
    tell("POST", "cluster/stop")
    tell("POST", "cluster/stop")
    tell("POST", "nodes", {"node_id": "r1"})
    tell("POST", "nodes", {"node_id": "a b"})
    tell("POST", "nodes", {"node_id": "r1", "is_primary": True})
    tell("POST", "nodes", {})
    tell("GET", "status")
    tell_output(tell, story)
    golden(beside(__file__, "cluster_started"), str(story))


def test_what_locks_tell(golden: Compare, tell: Teller, story: Story, clock: SetClock) -> None:  # noqa: F811
    store_key("dtvn_other", label="other", scopes=["lock"])
    store_key("dtvn_scans", label="scans", scopes=["gate"])
    other = Teller(story, Api("dtvn_other").call, "other")
    scans = Teller(story, Api("dtvn_scans").call, "scans")

    def lock(verb: str, by: Teller = tell, **body: Any) -> Any:
        clock.forward(0.25)
        return by("POST", f"locks/{verb}", body)

    leader: dict[str, Any] = {"name": "leader", "holder": "w1"}
    first = lock("acquire", **leader, lease=60, nonce="first")["data"]["token"]
    lock("acquire", **leader, lease=60, nonce="first")
    lock("acquire", **leader, lease=61.5)
    lock("acquire", other, **leader, lease=30)
    lock("acquire", other, **leader, lease=30, wait=20, nonce="waits")
    lock("acquire", other, name="leader", holder="w2", lease=30, wait=20)
    lock("acquire", scans, **leader, lease=30)
    lock("acquire", name="Br\u00fccke", holder="w1", lease=600, event="fest")
    lock("acquire", name="a", holder="w9", lease=0.001)
    for query in ("", "?event=fest", "?limit=1", "?limit=1&after=a", "?name=leader", "?name=l", "?name=zz"):
        tell("GET", f"locks{query}")
    lock("renew", **leader, token=first, lease=5)
    lock("renew", **leader, token=first - 1, lease=5)
    lock("renew", other, **leader, token=first, lease=5)
    lock("release", other, **leader, token=first)
    lock("release", **leader, token=first + 1)
    lock("cancel", other, name="leader", holder="w2")
    tell("GET", "locks")
    lock("release", **leader, token=first)
    lock("release", **leader, token=first)
    tell("GET", "locks")
    second = lock("acquire", other, **leader, lease=30, wait=20, nonce="waits")["data"]["token"]
    lock("release", **leader, token=second)
    lock("acquire", **leader, lease=60, nonce="first")
    clock.forward(29)
    lock("renew", other, **leader, token=second, lease=3)
    clock.forward(2.75)
    lock("renew", other, **leader, token=second, lease=5)
    lock("acquire", **leader, lease=10)
    wrongs: list[dict[str, Any]] = [
        {"name": "", "holder": "w", "lease": 1},
        {"name": "n", "holder": "w w", "lease": 1},
        {"name": "n", "holder": "w", "lease": 0},
        {"name": "n", "holder": "w", "lease": 600.5},
        {"name": "n", "holder": "w", "lease": 1, "wait": -1},
        {"name": "n", "lease": 1},
        {"name": "n\n", "holder": "w", "lease": 1},
    ]
    for wrong in wrongs:
        lock("acquire", **wrong)
    lock("renew", **leader, lease=1)
    tell("POST", "locks/steal", leader)
    tell("GET", "locks?after=%00")
    golden(beside(__file__, "locks"), str(story))


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch, api: Api, clock: SetClock) -> Members:  # noqa: F811
    """Members whose reports this process has watched for a minute; it looks no more by itself."""
    watch = NetworkWatch()
    watch.keeps_history = True
    for module in (network, metrics, feed, cluster_state):
        if hasattr(module, "watch"):
            monkeypatch.setattr(module, "watch", watch)
    monkeypatch.setattr(watch, "refresh", lambda interval=1.0: None)
    return Members(watch, began=NOW * 1_000)


def tell_links(story: Story, api: Api) -> None:
    """GET /network, with each link on a line."""
    told = read(api.get("network"))["data"]
    links = told.pop("links")
    story.say("GET network")
    story.told(story.differences.of("network", laid_out(told, 0).splitlines()))
    states = [f"{link['hearer']} of {link['heard']}: {link['state']} since {link['since']}" for link in links]
    story.told(story.differences.of("links", states))


def test_what_the_network_tells(
    golden: Compare,
    api: Api,
    tell: Teller,
    story: Story,
    members: Members,
    clock: SetClock,  # noqa: F811
) -> None:
    seen = [feed.newest_event()]

    def later(heading: str, seconds: int) -> None:
        story.heading(heading)
        clock.forward(seconds)
        members.pass_seconds(seconds)
        tell_links(story, api)
        seen.append(feed.newest_event())
        story.say(f"told to pages: {feed.read_frames(seen[-2])[1]}")

    later("All hear each other", 60)
    members.lose(between(["venue", "seller"], ["promoter", "auditor"]))
    later("Halves, after two seconds", 2)
    later("Halves, after a minute", 58)
    members.cut.clear()
    later("Together again", 30)
    members.lose([("auditor", "venue"), ("auditor", "seller")])
    later("One hears two others no more", 45)
    members.lose(between(["auditor"], ["venue", "promoter", "seller"]))
    later("Nobody hears it", 45)
    members.unseen = {"auditor"}
    later("Nor does the platform", 20)
    members.own = {"auditor": False}
    later("It was stopped here", 20)
    golden(beside(__file__, "network_cut"), str(story))


def test_what_entering_by_a_node_tells(
    golden: Compare, fake: FakeGateway, tell: Teller, story: Story
) -> None:
    fake.down = frozenset({3})
    tell("POST", "tickets/seed")
    for body in (
        {"ticket_id": "TICKET-001"},
        {"node_id": "r2"},
        b"[]",
        {"ticket_id": "TICKET-001", "node_id": "nope"},
        {"ticket_id": "TICKET-001", "node_id": "r3"},
        {"ticket_id": "TICKET-001", "node_id": "r2", "data": "AAA=", "nonce": "v"},
        {"ticket_id": "TICKET-001", "node_id": "r2", "data": "AAA=", "nonce": "v"},
        {"ticket_id": "TICKET-001", "node_id": "r1"},
        {"ticket_id": "absent", "node_id": "r1"},
        {"ticket_id": "TICKET-002", "node_id": "r" * 65},
    ):
        tell("POST", "tickets/validate-via-node", body)
    tell("GET", "tickets/TICKET-001")
    tell("GET", "consensus/logs?outcome=all&kind=all&after=501")
    fake.quorum = False
    tell("POST", "tickets/validate-via-node", {"ticket_id": "TICKET-001", "node_id": "r2"})
    golden(beside(__file__, "entry_nodes"), str(story))
