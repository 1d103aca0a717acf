"""`DTVN_EVENTS_CONFIG`: what is named is read, checked, and decides how events are judged."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from dtvn.events.config import PROFILES, caution, from_profile, read_config
from dtvn.node.options import StartError
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol.quorum import Mode
from tests.api.conftest import Api, read
from tests.fake_events import FakeEvents
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.runs.test_rest import GOOD, sequence, texts
from validators.data_folder.folder import DataFolder
from validators.data_folder.judging import NODE_ID, VARIABLE, events_config
from validators.processes.preparation import check_events_config
from validators.processes.supervisor import Supervisor
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
Configure = Callable[..., Any]


@pytest.fixture
def configured(api: Api, fake: FakeGateway, settings: Any) -> Configure:
    """Judges by a configuration: the gateway has its rule, the platform the rest."""

    def configure(name: str = "", **fields: Any) -> Api:
        config = from_profile(name, NODE_ID) if name else read_config({"node_id": NODE_ID} | fields)
        settings.EVENTS_CONFIG = config
        fake.events = FakeEvents(
            fake.events._runs._electorate.cluster, fake.present, fake.submit, config=config.consensus_config
        )
        return api

    return configure


@pytest.mark.parametrize("name", [*PROFILES, "high-security"])
def test_a84_a_profile_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, name)
    assert events_config() == from_profile(name, NODE_ID)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("events.toml", 'validation_timeout = 3.0\n[consensus_config]\nalgorithm = "unanimous"\n'),
        ("events.json", '{"validation_timeout": 3.0, "consensus_config": {"algorithm": "unanimous"}}'),
    ],
)
def test_a_file_is_named(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / name))
    config = events_config()
    assert config is not None
    assert (config.decision_timeout, config.consensus_config.algorithm) == (3.0, "unanimous")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is none of small, large, high_security, and no file"),
        ("validation_timeout = 0.0", "validation_timeout: 0.0 is not greater than 0"),
        ("[consensus_config]\nmin_nodes = 0", "min_nodes: 0 is less than 1 - at `$.consensus_config`"),
        ("[consensus_config]\nalgorithm = 'paxos'", "none of majority, unanimous, raft, pbft"),
        ("min_nodes = 3", "Object contains unknown field `min_nodes`"),
        ("min_nodes", "Expected '='"),
    ],
)
def test_a86_an_invalid_configuration_is_said_in_one_line(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.toml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(ImproperlyConfigured) as refused:
        events_config()
    assert str(refused.value).startswith(f"{VARIABLE}={path}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_named_algorithm_judges(configured: Configure) -> None:
    api = configured("small")
    assert sequence(api, GOOD)["algorithm"] == "majority"
    assert read(api.get("events"))["data"]["algorithm"] == "majority"
    api = configured(consensus_config={"require_unanimous": True})
    assert sequence(api, GOOD)["algorithm"] == "unanimous"


def test_the_gateway_of_the_platform_decides_as_configured(
    tmp_path: Path, settings: Any, fake: FakeGateway
) -> None:
    create_demo_cluster(tmp_path, 4, "127.0.0.1", range(1, 5))
    settings.DATA = tmp_path
    network.use(None)
    try:
        settings.EVENTS_CONFIG = from_profile("small", NODE_ID)
        assert network.gateway().events.offered() == ("majority", "unanimous", "pbft")
        assert network.gateway().balance().metrics.algorithm == "round_robin"
        network.close()
        faults, least = {"byzantine_fault_tolerance": 2}, {"algorithm": "least_connections"}
        settings.EVENTS_CONFIG = read_config(
            {"node_id": NODE_ID, "consensus_config": faults, "load_balancer": least}
        )
        assert network.gateway().events.offered() == ("majority", "unanimous")
        assert network.gateway().balance().metrics.algorithm == "least_connections"
    finally:
        network.close()


def test_a_greater_quorum_needs_more_votes(configured: Configure, fake: FakeGateway) -> None:
    api = configured(consensus_config={"quorum_size": 4, "min_nodes": 4, "timeout": 2.0})
    fake.events.down = frozenset({3})
    assert sequence(api, GOOD)["failure"] == {
        "code": "NO_QUORUM",
        "text": "Only 3 of 4 members have voted.",
    }


def test_a31_without_local_validation_there_is_no_local_verdict(
    configured: Configure, fake: FakeGateway
) -> None:
    api = configured(partition_handler={"allow_local_validation": False})
    fake.events.down = frozenset({1, 2, 3})
    for path in ("validate-sequence", "validate"):
        answer = api.post(f"events/{path}", texts(GOOD))
        assert (answer.status_code, read(answer)["code"]) == (503, "no_verdict")


def test_the_members_decision_is_answered_without_local_validation_too(
    configured: Configure, fake: FakeGateway
) -> None:
    api = configured(
        consensus_config={"algorithm": "unanimous"}, partition_handler={"allow_local_validation": False}
    )
    falsely(fake, 1)
    told = sequence(api, GOOD)
    assert (told["valid"], told["code"]) == (False, "REFUSED_BY_FEW")


def test_a_cluster_that_is_too_small_offers_nothing(configured: Configure) -> None:
    api = configured(consensus_config={"min_nodes": 5})
    answer = api.post("events/validate-sequence", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (422, "algorithm_not_offered")
    assert "(min_nodes: 5 is more than the 4 members)" in read(answer)["error"]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.create()
    return made


def test_profile_large_is_refused_where_pbft_was_founded_and_says_what_to_do(
    configured: Configure, monkeypatch: pytest.MonkeyPatch, folder: DataFolder
) -> None:
    monkeypatch.setenv(VARIABLE, "large")
    api = configured("large")
    said = rf"{VARIABLE}=large: algorithm_not_offered: algorithm: raft is not offered here .*CONSENSUS=raft"
    with pytest.raises(StartError, match=said):
        check_events_config(folder)
    create_demo_cluster(folder.root, 5, "127.0.0.1", range(1, 6))
    with pytest.raises(StartError, match=said):
        check_events_config(folder, 5, Mode.RAFT)  # which the cluster that is there is not
    answer = api.post("events/validate-sequence", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (422, "algorithm_not_offered")
    assert "CONSENSUS=raft" in read(answer)["error"]
    configured("small")
    check_events_config(folder)


def test_a_start_that_is_refused_for_its_configuration_makes_no_folder(
    configured: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "large")
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configured("large")
    new = tmp_path / "new"
    with pytest.raises(StartError, match="algorithm_not_offered"):
        Supervisor(DataFolder(new), host="127.0.0.1", port=0, nodes=5).run()
    assert not new.exists()


def test_profile_large_starts_where_raft_is_founded(
    configured: Configure, monkeypatch: pytest.MonkeyPatch, folder: DataFolder
) -> None:
    monkeypatch.setenv(VARIABLE, "large")
    configured("large")
    with pytest.raises(StartError, match="min_nodes: 5 is more than the 4 members that are founded: NODES=5"):
        check_events_config(folder, None, Mode.RAFT)
    check_events_config(folder, 5, Mode.RAFT)
    create_demo_cluster(folder.root, 5, "127.0.0.1", range(1, 6), consensus=Mode.RAFT)
    check_events_config(folder)
    configured("high_security")
    with pytest.raises(StartError, match=r"algorithm: pbft is not offered here .*CONSENSUS=pbft"):
        check_events_config(folder)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("small", None, "small: partition_handler.recovery_strategy has no effect here"),
        ("set.json", {"consensus_config": {"require_unanimous": True}}, f"set.json: {caution('unanimous')}"),
        (
            "set.json",
            {"debug_mode": True, "consensus_config": {"election_timeout": 9.0}, "validation_timeout": 3.0},
            "set.json: consensus_config.election_timeout, debug_mode have no effect here",
        ),
        # a value that is the default too: it is not what happens
        (
            "set.json",
            {"heartbeat_circuit_breaker_config": {"name": "heartbeat"}, "heartbeat_interval": None},
            "set.json: heartbeat_circuit_breaker_config.name has no effect here",
        ),
        (
            "set.json",
            {"load_balancer": {"algorithm": "random", "health_check_interval": 10.0}},
            "set.json: load_balancer.health_check_interval has no effect here",
        ),
        ("high_security", None, None),
    ],
)
def test_set_fields_without_effect_are_named_in_one_line_at_the_start(
    name: str,
    fields: dict[str, Any] | None,
    said: str | None,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set.json").write_text(json.dumps(fields))
    monkeypatch.setenv(VARIABLE, name)
    settings.EVENTS_CONFIG = events_config()
    check_events_config(DataFolder(tmp_path))
    assert [record.getMessage() for record in caplog.records] == ([f"{VARIABLE}={said}"] if said else [])


def test_a33_a_sequence_waits_for_an_earlier_one_of_its_thread(
    configured: Configure, fake: FakeGateway
) -> None:
    api = configured(consensus_config={"timeout": 0.01})
    with fake.events.queues.place("t"):
        assert api.post("events/validate-sequence", texts(GOOD)).status_code == 503
        assert sequence(api, GOOD, thread="another")["valid"]
    assert sequence(api, GOOD)["valid"]
