"""What the platform of a Raft cluster says to probes, pages and people: no member may lie (R37, R44)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db.models import F
from django.test import Client

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode
from tests.api.conftest import KEY, Api, read
from tests.api.living import LivingGateway
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.team_keys import store_key
from validators.dashboard import views
from validators.models import ManagedNode, NodeStatus
from validators.services import cluster_state, network, nodes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

LABEL = "crash-only: a lying member is not tolerated"
SENTENCE = f"5 members: 3 decide; safe with 0 Byzantine, available with 2 down ({LABEL})"


@pytest.fixture
def raft(tables: Any, settings: Any, tmp_path: Path) -> Iterator[FakeGateway]:
    """A platform of five such members, its genesis in its data folder."""
    genesis = g.agreeing_by(make_genesis(5), Mode.RAFT)
    settings.DATA = tmp_path
    places = ClusterFolder(tmp_path)
    places.create()
    write_private(places.genesis, g.encode(genesis))
    given = LivingGateway(genesis, principal="gateway", on_executed=tables.on_executed)
    network.use(given)
    nodes.register_nodes([member.id for member in genesis.members])
    store_key(KEY, label="suite")
    yield given
    network.use(None)


def test_r44_health_and_ready_say_the_mode(raft: FakeGateway) -> None:
    label = {"consensus": "raft", "note": LABEL}
    told = read(Api(None).get("/health"))
    assert {name: told[name] for name in ("status", *label)} == {"status": "healthy"} | label
    told = read(Api(None).get("/ready"))
    assert told["status"] == "ready"
    assert {name: told[name] for name in label} == label


def test_r44_a_majority_is_ready_and_fewer_are_not(
    raft: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = raft.members()

    def down(*names: str) -> None:
        shown = tuple(
            msgspec.structs.replace(view, connected=False, heard=None) if view.id in names else view
            for view in views
        )
        monkeypatch.setattr(raft, "members", lambda: shown)

    down("r1", "r2")
    assert Api(None).get("/ready").status_code == 200, "three of five"
    views = tuple(msgspec.structs.replace(view, sequence=410 + view.index) for view in views)
    down("r1", "r2", "r3")
    answer = Api(None).get("/ready")
    assert answer.status_code == 503
    assert answer.headers["X-DTVN-Sequence"] == "414", "no member lies here: the newest that one has told"
    assert read(answer)["error"].startswith("No quorum: 2 of 5 reachable, 3 needed")


def test_r44_members_preview_and_cluster_say_the_mode(raft: FakeGateway) -> None:
    told = read(Api().get("members"))["data"]
    assert (told["consensus"], told["note"], told["sentence"]) == ("raft", LABEL, SENTENCE)
    assert (told["quorum"], told["liars"], told["crashes"]) == (3, 0, 2)
    found = read(Api().post("members/preview", {"change": "remove", "node_id": "r4"}))["data"]
    assert found["after"]["consensus"] == "raft"
    assert found["code"] == "", "no liar was tolerated before either"
    state = read(Api().get("cluster"))["data"]
    assert state["consensus"] == "raft"
    assert state["sentence"].endswith(f"can lose 2 more; {LABEL}")


def running() -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))


def test_r44_a_restart_waits_for_nobody(raft: FakeGateway) -> None:
    running()
    raft.down = frozenset({4})
    running()
    told = cluster_state.consequences()
    assert told["if_restarted"]["r0"] == f"Until it runs again: 3 of 5 agree, can lose none; {LABEL}"
    assert "does not vote before" not in str(told)
    assert "warning" not in read(Api().post("nodes/r0/restart"))


def test_r44_a_member_leaves_without_a_choice_that_changes_nothing(raft: FakeGateway, client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser("root", password="x"))
    page = client.get("/admin/validators/membershipchange/ask/remove/?node_id=r4").content.decode()
    assert 'value="r4" selected' in page
    assert "Allow fewer than four members" not in page


def test_r37_the_calculator_knows_both_modes() -> None:
    def said(*arguments: str) -> str:
        out = io.StringIO()
        call_command("quorum", "5", *arguments, stdout=out)
        return out.getvalue().strip()

    assert said() == "5 members: 4 decide; safe with 1 Byzantine, available with 1 down"
    assert said("--consensus", "raft") == SENTENCE


def test_r44_the_pages_of_members_and_cluster_say_the_mode(raft: FakeGateway, client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser("root", password="x"))
    members = client.get("/admin/validators/membershipchange/").content.decode()
    assert f"{SENTENCE}. The members agree by Raft, which nothing changes." in members
    assert f"5 of 5 agree, can lose 2 more; {LABEL}" in members, "the first line of every page"


def test_r44_the_page_of_nodes_says_that_no_liar_is_tolerated(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    client.force_login(get_user_model().objects.create_superuser("chief"))
    assert LABEL not in client.get("/dashboard/nodes").content.decode()
    monkeypatch.setattr(views, "cluster_mode", lambda: Mode.RAFT)
    assert f"The members agree by Raft: {LABEL}." in client.get("/dashboard/nodes").content.decode()
