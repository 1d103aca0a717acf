"""Runs of agent events on the platform of a Raft cluster: judged by raft, and pbft refused (R44)."""

from __future__ import annotations

import pytest

from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.runs.test_rest import GOOD, sequence
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture
def members(api: Api) -> FakeGateway:
    """Four members that were founded with Raft, as the platform reaches them."""
    genesis = g.agreeing_by(make_genesis(4, capabilities=g.CAPABILITIES), Mode.RAFT)
    given = FakeGateway(genesis, principal="gateway")
    network.use(given)
    return given


@pytest.fixture
def raft(api: Api, members: FakeGateway) -> Api:
    """The API of their platform."""
    return api


def test_raft_is_the_choice_of_a_run_that_names_none_and_is_recorded(raft: Api) -> None:
    status = read(raft.get("events"))["data"]
    assert (status["algorithm"], status["algorithms"]) == ("raft", ["majority", "unanimous", "raft"])
    told = sequence(raft, GOOD)
    assert (told["algorithm"], told["recorded"]) == ("raft", "ok")
    assert told["caution"] == status["cautions"]["raft"]
    assert "a lying member is not tolerated" in told["caution"]
    kept = read(raft.get(f"events/runs/{told['id']}"))["data"]
    assert (kept["algorithm"], kept["recorded"], kept["caution"]) == ("raft", True, told["caution"])


def test_the_status_compares_all_four_algorithms(raft: Api) -> None:
    found = read(raft.get("events"))["data"]["promises"]
    assert list(found) == ["majority", "unanimous", "raft", "pbft"]
    assert [each["offered"] for each in found.values()] == [True, True, True, False]
    assert [each["needed"] for each in found.values()] == [3, 4, 3, 0]
    assert found["raft"]["liar"] == "A lying member is not tolerated: it may turn a verdict."
    assert "CONSENSUS=pbft" in found["pbft"]["reason"]
