"""Routes about the cluster and its nodes, on the platform's port."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
from django.db.models import F

from dtvn import __version__
from dtvn.api.errors import SEQUENCE_HEADER
from dtvn.gateway import Answered
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.waiting import PATIENCE
from validators.models import DesiredState, ManagedNode, MembershipChange, NodeStatus
from validators.rest import cluster
from validators.services import nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

STATS_KEYS = [
    "node_id",
    "peer_count",
    "is_primary",
    "current_view",
    "sequence",
    "cache_size",
    "storage_stats",
]


class Answers:
    """Sets the answers that members give."""

    def __init__(self, fake: FakeGateway) -> None:
        self.fake = fake
        self.words: dict[tuple[int, str], tuple[str, Any]] = {}
        self.asked: list[tuple[int, str, tuple[str, ...]]] = []
        fake.query = self.query  # type: ignore[method-assign]

    def query(
        self, member: int, what: str, arguments: tuple[str, ...] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        self.asked.append((member, what, tuple(arguments)))
        code, value = self.words.get((member, what), ("timeout", None))
        future: Future[Answered] = Future()
        future.set_result(Answered(0, code, "" if code else msgspec.json.encode(value).decode()))
        return future


@pytest.fixture
def answers(fake: FakeGateway) -> Answers:
    given = Answers(fake)
    for member in range(4):
        stats: dict[str, Any] = dict.fromkeys(STATS_KEYS, 0)
        given.words[member, "stats"] = "", stats | {"node_id": f"r{member}", "sequence": 40 + member}
    return given


def test_c1_health_needs_no_key_and_names_the_release(fake: FakeGateway) -> None:
    response = Api(None).get("/health")
    assert (response.status_code, read(response)["status"]) == (200, "healthy")
    assert read(response)["release"] == __version__
    assert response.headers["Content-Type"] == "application/json"


def test_ready_gives_no_sequence_before_any_is_known(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tuple(msgspec.structs.replace(m, connected=False, heard=None, sequence=0) for m in fake.members())
    monkeypatch.setattr(fake, "members", lambda: shown)
    response = Api(None).get("/ready")
    assert response.status_code == 503
    assert SEQUENCE_HEADER not in response.headers


def test_ready_gives_the_reason_when_not_ready(fake: FakeGateway) -> None:
    fake.quorum = False
    response = Api(None).get("/ready")
    assert response.status_code == 503
    assert response.headers[SEQUENCE_HEADER] == str(fake._sequence)
    assert read(response)["error"] == "Nothing was sent: too few validators answer."
    assert "Retry-After" in response.headers


@pytest.mark.parametrize(("lost", "told"), [(1, False), (2, True)])
def test_r11_ready_says_when_only_a_recovery_helps(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, lost: int, told: bool
) -> None:
    """Two of four run without a vote: no quorum is left that could restore their votes. One that
    is away may come back."""
    members = fake.members()
    without = {"state": "following", "voting": False}
    shown = [msgspec.structs.replace(m, **without) if m.index < lost else m for m in members]
    shown[3] = msgspec.structs.replace(shown[3], connected=lost == 2, heard=0.0 if lost == 2 else None)
    monkeypatch.setattr(fake, "members", lambda: tuple(shown))
    error = read(Api(None).get("/ready"))["error"]
    assert error.startswith(f"No quorum: {2 + lost} of 4 reachable, 2 voting, 3 needed; nothing")
    assert ("manage.py genesis recover --help" in error) is told


FULL = "its disk is full; it resumes automatically when there is space"


def test_a_node_with_a_full_disk_reports_it_by_link_or_row(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, the list showed a running node and no error."""
    ManagedNode.objects.update(status=NodeStatus.RUNNING, report={"state": "voting"})
    full = {"view": 0, "sequence": 7, "state": "disk_full", "voting": False}
    monkeypatch.setattr(fake, "_status", lambda member: full if member == 1 else {"state": "voting"})
    shown = {node["id"]: (node["status"], node.get("error")) for node in read(api.get("nodes"))}
    others = dict.fromkeys(("r0", "r2", "r3"), ("running", None))
    assert shown == {**others, "r1": ("running", FULL)}
    ManagedNode.objects.filter(pk="r1").delete()
    assert read(api.get("nodes/r1"))["error"] == FULL, "whoever runs it"
    ManagedNode.objects.filter(pk="r2").update(report={"state": "disk_full"})
    assert "error" not in read(api.get("nodes/r2")), "its word over the link is newer"
    fake.down = frozenset({2})
    assert read(api.get("nodes/r2"))["error"] == FULL
    ManagedNode.objects.filter(pk="r2").update(status=NodeStatus.STOPPED)
    assert "error" not in read(api.get("nodes/r2")), "it is stopped: what it said of itself is over"


def test_a_node_whose_disk_is_full_refuses_with_that_reason(api: Api, answers: Answers) -> None:
    answers.words[1, "ticket"] = "disk_full", None
    response = api.get("nodes/r1/tickets/T-1")
    assert (response.status_code, read(response)["code"]) == (503, "disk_full")
    assert read(response)["error"] == f"r1 cannot answer now: {FULL}."
    assert response.headers["Retry-After"] == "1"


def test_a_member_that_this_platform_does_not_run_is_external(api: Api, fake: FakeGateway) -> None:
    nodes.register_nodes(["r0", "r1", "r2"])
    node = read(api.get("nodes/r3"))
    assert (node["external"], node["status"]) == (True, "running")
    assert api.post("nodes/r3/restart").status_code == 409
    fake.down = frozenset({3})
    assert read(api.get("nodes/r3"))["status"] == "unresponsive"


def test_a_nodes_own_stats_come_from_that_node(api: Api, answers: Answers) -> None:
    response = api.get("nodes/r2/stats")
    assert list(read(response)["data"]) == STATS_KEYS
    assert read(response)["data"]["node_id"] == "r2"
    assert response.headers["X-DTVN-Sequence"] == "42"
    assert answers.asked == [(2, "stats", ())]


def test_a_nodes_own_ticket_comes_from_that_node(api: Api, answers: Answers) -> None:
    ticket = {"ID": "T-1", "State": "VALIDATED"}
    answers.words[1, "ticket"] = "", {"node_id": "r1", "sequence": 9, "ticket": ticket}
    response = api.get("nodes/r1/tickets/T-1?event=derby")
    assert read(response) == {"success": True, "data": ticket}
    assert response.headers["X-DTVN-Sequence"] == "9"
    assert answers.asked == [(1, "ticket", ("derby", "T-1"))]


def test_a_node_without_the_ticket_is_404_and_an_unreachable_node_is_503(
    api: Api, fake: FakeGateway, answers: Answers
) -> None:
    answers.words[1, "ticket"] = "ticket_not_found", None
    assert api.get("nodes/r1/tickets/T-1").status_code == 404
    assert api.get("nodes/r1/tickets/a%20b").status_code == 404
    assert api.get("nodes/r2/tickets/T-1").status_code == 503, "it does not answer in time"
    fake.down = frozenset({3})
    response = api.get("nodes/r3/stats")
    assert (response.status_code, read(response)["success"]) == (503, False)


def test_hanging_members_delay_no_read(
    api: Api, fake: FakeGateway, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, they were asked one after the other, with two seconds each."""
    monkeypatch.setattr(cluster, "PRIMARY_WAIT", 0.05)
    monkeypatch.setattr(cluster, "ASK_WAIT", 0.2)
    told, silent = fake.query, {0, 1, 2}

    def query(member: int, what: str, *rest: Any, **named: Any) -> Future[Answered]:
        return Future() if member in silent else told(member, what, *rest, **named)

    fake.query = query  # type: ignore[method-assign]
    assert read(api.get("stats"))["data"]["node_id"] == "r3"
    silent = {0, 1, 2, 3}
    began = time.monotonic()
    assert read(api.get("stats"))["node_id"] == "supervisor"
    assert read(api.get("config"))["message"] == "No node answers."
    assert time.monotonic() - began < PATIENCE
    silent = set()
    answers.asked.clear()
    assert read(api.get("stats"))["data"]["node_id"] == "r0"
    assert answers.asked == [(0, "stats", ())], "while the primary answers nobody else is asked"


def test_the_primarys_late_answer_is_taken_while_the_others_hang(
    api: Api, fake: FakeGateway, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PRIMARY_WAIT", 0.01)
    told, late = fake.query, Future[Answered]()

    def query(member: int, what: str, *rest: Any, **named: Any) -> Future[Answered]:
        if member == 0:
            return late
        if not late.done():
            late.set_result(told(0, what, *rest, **named).result())
        return Future()

    fake.query = query  # type: ignore[method-assign]
    assert read(api.get("stats"))["data"]["node_id"] == "r0"


def test_without_any_node_the_platform_answers_for_itself(api: Api, fake: FakeGateway) -> None:
    fake.quorum = False
    assert read(api.get("stats")) == {
        "node_id": "supervisor",
        "peer_count": 0,
        "is_primary": False,
        "current_view": 0,
        "sequence": 0,
        "mode": "supervisor",
        "nodes_count": 4,
    }
    assert read(api.get("peers"))["data"] == {"peers": []}
    assert read(api.get("config"))["data"] == {"mode": "supervisor", "nodes_count": 4}


def test_config_and_peers_come_from_a_node(api: Api, answers: Answers) -> None:
    answers.words[0, "status"] = "", {"members": 4, "is_primary": True, "view": 3, "sequence": 8}
    answers.words[0, "peers"] = (
        "",
        {"peers": [{"id": "12D", "addrs": ["/ip4/127.0.0.1/tcp/1"], "connected": True}]},
    )
    config = read(api.get("config"))["data"]
    assert config == {
        "node_id": "r0",
        "total_nodes": 4,
        "is_primary": True,
        "current_view": 3,
        "mode": "supervisor",
    }
    answers.words[0, "status"][1]["continues"] = "continues ab at sequence 5, not proved by all"
    assert read(api.get("config"))["data"]["continues"].endswith("not proved by all")
    assert [peer["id"] for peer in read(api.get("peers"))["data"]["peers"]] == ["12D"]


def test_status_has_no_envelope(api: Api) -> None:
    status = read(api.get("status"))
    assert list(status) == ["supervisor", "nodes_count", "nodes", "simulator_status"]
    assert (status["supervisor"], status["nodes_count"], status["simulator_status"]) == ("running", 4, "idle")
    assert status["nodes"] == read(api.get("nodes"))


def test_members_whose_own_api_hangs_are_asked_over_their_links(
    api: Api, fake: FakeGateway, settings: Any
) -> None:
    settings.SUPERVISOR = True
    ManagedNode.objects.update(status=NodeStatus.STARTING)
    assert api.get("tickets").status_code == 200
    fake.down = {2, 3}
    refused = api.get("tickets")
    assert (refused.status_code, read(refused)["error"]) == (503, "the cluster is still starting up")
    fake.down = {3}
    assert api.get("tickets").status_code == 200
    ManagedNode.objects.update(status=NodeStatus.STOPPED)
    assert api.get("tickets").status_code == 503, "links of processes that were stopped say nothing"


def wish(node: str) -> str:
    return ManagedNode.objects.get(pk=node).desired


def test_stop_start_and_restart_write_the_desired_state(api: Api) -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    response = api.call("DELETE", "nodes/r3")
    assert (response.status_code, read(response)) == (200, {"status": "stopping", "node_id": "r3"})
    assert wish("r3") == DesiredState.STOPPED
    ManagedNode.objects.filter(pk="r3").update(status=NodeStatus.STOPPED)
    assert api.call("DELETE", "nodes/r3").status_code == 409
    assert read(api.post("nodes", {"node_id": "r3"})) == {"status": "starting", "node_id": "r3"}
    assert wish("r3") == DesiredState.RUNNING
    assert api.post("nodes/r0/start").status_code == 409, "it runs"
    generation = ManagedNode.objects.get(pk="r1").generation
    assert read(api.post("nodes/r1/restart"))["status"] == "restarting"
    assert ManagedNode.objects.get(pk="r1").generation == generation + 1
    assert api.post("nodes/r1/stop").status_code == 200


@pytest.mark.parametrize("node_id", ["../../evil", "a b", "x" * 65, "-x", "é"])
def test_x30_a_name_no_node_can_have_is_400(api: Api, node_id: str) -> None:
    response = api.post("nodes", {"node_id": node_id})
    assert (response.status_code, "node_id" in read(response)["error"]) == (400, True)


def test_starting_an_unknown_node_requests_a_membership_change(api: Api) -> None:
    assert api.post("nodes", {"node_id": "r9", "is_primary": True}).status_code == 409
    assert not MembershipChange.objects.exists()
    response = api.post("nodes", {"node_id": "r9"})
    assert (response.status_code, read(response)) == (200, {"status": "starting", "node_id": "r9"})
    change = MembershipChange.objects.get()
    assert (change.request["change"], change.request["node_id"]) == ("add", "r9")


def test_x7_the_log_lists_what_was_applied_in_order(api: Api) -> None:
    api.post("tickets/seed")
    for verb, ticket in (("validate", "TICKET-001"), ("validate", "NOPE"), ("consume", "TICKET-001")):
        api.post(f"tickets/{verb}", {"ticket_id": ticket})
    response = api.get("consensus/logs")
    records = read(response)["data"]
    assert [record["operation"] for record in records] == ["VALIDATE", "CONSUME"]
    assert list(records[0])[:7] == [
        "sequence",
        "view",
        "request_id",
        "ticket_id",
        "operation",
        "digest",
        "timestamp",
    ]
    assert len(records[0]["digest"]) == 64
    assert response.headers["X-Total-Count"] == "2"
    everything = api.get("consensus/logs?outcome=all&kind=all")
    assert [(r["operation"], r["code"]) for r in read(everything)["data"]] == [
        ("SEED", "ok"),
        ("VALIDATE", "ok"),
        ("VALIDATE", "ticket_not_found"),
        ("CONSUME", "ok"),
    ]
    assert everything.headers["X-Total-Count"] == "4"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=ISSUED", ["ISSUE", "ISSUE"]),
        ("state=VALIDATED", ["VALIDATE"]),
        ("state=VALIDATED&outcome=all", ["VALIDATE", "VALIDATE"]),
        ("state=CONSUMED&kind=all", ["ADMIT"]),
        ("state=DISPUTED", ["DISPUTE", "RESOLVE"]),
        ("state=PENDING&kind=all&outcome=all", []),
    ],
)
def test_the_log_can_be_filtered_by_state(api: Api, query: str, shown: list[str]) -> None:
    batch = [
        {"op": "issue", "ticket_id": "A"},
        {"op": "validate", "ticket_id": "A"},
        {"op": "validate", "ticket_id": "A"},
        {"op": "dispute", "ticket_id": "A"},
        {"op": "issue", "ticket_id": "B"},
        {"op": "admit", "ticket_id": "B"},
    ]
    api.post("tickets/batch", {"operations": batch})
    api.post("tickets/resolve", {"ticket_id": "A", "verdict": "clear"})
    seen, path = [], f"/api/v1/consensus/logs?{query}&limit=1"
    while path:
        response = api.get(path)
        assert response.headers["X-Total-Count"] == str(len(shown))
        seen += [record["operation"] for record in read(response)["data"]]
        path = response.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == shown


@pytest.mark.parametrize(
    "query", ["limit=0", "after=x", "after=1.", "after=-1", "outcome=ok", "kind=", "state=validated"]
)
def test_bad_log_queries_are_400(api: Api, query: str) -> None:
    response = api.get(f"consensus/logs?{query}")
    assert (response.status_code, query.split("=")[0] in read(response)["error"]) == (400, True)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{" * 5_000])
def test_undecodable_answers_of_a_node_break_nothing(api: Api, answers: Answers, text: str) -> None:
    def query(member: int, what: str, arguments: Any = (), *, wait: float = 2.0) -> Future[Answered]:
        future: Future[Answered] = Future()
        future.set_result(Answered(0, "", text))
        return future

    answers.fake.query = query  # type: ignore[method-assign]
    for path in ("nodes/r1/stats", "nodes/r1/tickets/T"):
        response = api.get(path)
        assert (response.status_code, read(response)["code"]) == (503, "node_down")
    assert api.get("stats").status_code == 200
    assert api.get("peers").status_code == 200


def test_an_answer_of_wrong_types_breaks_nothing(api: Api, answers: Answers) -> None:
    for member in range(4):
        answers.words[member, "peers"] = "", {"peers": [5, {"id": 7}], "sequence": "x"}
        answers.words[member, "stats"] = "", {"sequence": {"a": 1}}
    assert read(api.get("peers"))["data"]["peers"] == [{"id": 7}]
    assert api.get("stats").status_code == 200
