"""Reports while members wait for answers about their votes, or vote on the operator's order (R11)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.watch import read_report
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from validators.models import ManagedNode, NodeStatus

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

WAITS = {"state": "waiting", "awaits": ["r2"]}


def told(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, **statuses: dict[str, Any]) -> None:
    """Connected members report these voting states of themselves."""
    shown = tuple(
        read_report(view.id, statuses[view.id], connected=True, heard=0.0) if view.id in statuses else view
        for view in fake.members()
    )
    monkeypatch.setattr(fake, "members", lambda: shown)


def test_r11_ready_names_waiting_members_and_the_remedy(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(fake, monkeypatch, r0=WAITS, r1=WAITS)
    fake.quorum = False
    answer = read(Api(None).get("/ready"))
    why = "waits for the word of r2 about its own votes: start r2; if that is gone for good"
    state = "No quorum: 4 of 4 reachable, 2 voting, 3 needed; nothing can be decided."
    assert answer["error"].startswith(
        f"{state} r0 {why} or lost its ledger, see the runbook, DtvnNodeNotVoting (-others-"
    )
    assert f". r1 {why}" in answer["error"]
    assert "genesis recover" not in answer["error"], "no vote is lost"
    assert answer["awaits"] == {"r0": ["r2"], "r1": ["r2"]}
    assert "others_are_gone" not in answer


def test_r11_ready_lists_members_that_vote_by_others_are_gone(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(fake, monkeypatch, r0={"state": "voting", "others_are_gone": True, "awaits": []})
    response = Api(None).get("/ready")
    assert response.status_code == 200
    assert set(read(response)) == {"status", "sequence", "others_are_gone"}
    assert read(response)["others_are_gone"] == ["r0"]


def test_r11_the_node_list_explains_the_wait_in_a_sentence(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING)
    told(fake, monkeypatch, r0=WAITS, r1={"state": "voting", "others_are_gone": True})
    errors = {node["id"]: node.get("error") for node in read(api.get("nodes"))}
    assert (
        errors["r0"]
        == "it will vote once r2 has reported which of its votes it holds, or with -others-are-gone"
    )
    assert errors["r1"] == ("it votes with -others-are-gone, until the next stable checkpoint")
    assert errors["r2"] is None
