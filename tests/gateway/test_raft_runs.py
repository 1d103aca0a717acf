"""The contract's validator in a cluster that was founded with Raft: profile large, leaders, crashes (A12)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.events.config import Algorithm, ConfigError, caution, from_profile
from dtvn.events.judging import AlgorithmNotOffered, Electorate, Event, check_certificate, decode_certificate
from dtvn.events.transcript import check_transcript, compose
from dtvn.gateway import DistributedValidator, Recorded
from dtvn.gateway.validator_answers import ComponentState
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import CAPABILITIES, cluster_id
from dtvn.protocol.proof_errors import ProofError
from dtvn.protocol.quorum import Mode
from tests.fake_events import FakeEvents
from tests.fake_gateway import FakeGateway
from tests.gateway.test_validator import BAD, GOOD
from tests.host.support import make_genesis


def raft_gateway(members: int) -> FakeGateway:
    genesis = g.agreeing_by(make_genesis(members, capabilities=CAPABILITIES), Mode.RAFT)
    return FakeGateway(genesis, principal="gateway")


@pytest.fixture
def gateway() -> FakeGateway:
    return raft_gateway(5)


def test_a_raft_cluster_offers_raft_in_the_place_of_pbft(gateway: FakeGateway) -> None:
    assert gateway.events.offered() == ("majority", "unanimous", "raft")
    with pytest.raises(AlgorithmNotOffered, match=r"founded with raft, crash-only.*offered: .*raft$"):
        gateway.events.begin("thread", "run", algorithm=Algorithm.PBFT)
    run = gateway.events.begin("thread", "run")
    assert run.algorithm is Algorithm.RAFT
    judged = run.judge(GOOD).result(0)
    voters = Electorate(cluster_id(gateway.genesis), 0, gateway.present.members, Mode.RAFT)
    found = check_certificate(decode_certificate(judged.certificates[0]), voters)
    assert (len(found.signers), found.members, found.mode) == (3, 5, Mode.RAFT)
    assert run.end().result(0).code == "ok", "recorded, though nobody asked for it"


@pytest.mark.parametrize("members", [5, 10])
def test_profile_large_starts_judges_and_survives_crashes(
    members: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, config = raft_gateway(members), from_profile("large", "n0")
    gateway.events = FakeEvents(
        cluster_id(gateway.genesis), gateway.present, gateway.submit, config=config.consensus_config
    )
    with DistributedValidator.from_config(gateway, config) as validator:
        assert any(caution("raft") in message for message in caplog.messages)
        assert validator.get_state() is ComponentState.STARTED
        assert validator.get_config() is config
        for events, valid in ((GOOD, True), (BAD, False)):
            found = validator.validate_sequence(events)
            assert (found.is_valid, found.certified) == (valid, True)
        least = members // 2 + 1
        gateway.down = gateway.events.down = frozenset(range(least, members))
        assert validator.validate_sequence(GOOD).certified, f"{members - least} are down"
        assert validator.get_health().healthy
        gateway.down = gateway.events.down = frozenset(range(least - 1, members))
        assert not validator.get_health().consensus_healthy
        assert not validator.validate_sequence(GOOD).certified


def test_profile_large_says_what_it_needs_of_a_cluster_that_is_too_small() -> None:
    with pytest.raises(ConfigError, match="min_nodes: 5 is more than the 3 members"):
        DistributedValidator.from_config(raft_gateway(3), from_profile("large", "n0")).start()


def test_a12_the_leader_is_named_and_its_absence_too(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = gateway.members()

    def said(**changing: bool) -> None:
        shown = tuple(msgspec.structs.replace(each, changing=changing.get(each.id, False)) for each in views)
        monkeypatch.setattr(gateway, "members", lambda: shown)

    with DistributedValidator(gateway) as validator:

        def told() -> tuple[str, tuple[str, ...]]:
            manager = validator.get_consensus_manager()
            return manager.get_metrics().current_leader, manager.get_health().issues

        assert told() == ("r0", ())
        said(r1=True)
        assert told() == ("r0", ()), "one member is late to follow"
        said(**{each.id: True for each in views})
        assert told() == ("", ("no leader is known: the members elect one",))
        assert not validator.get_health().consensus_healthy


def test_a_recorded_run_is_a_transcript_that_anyone_checks(gateway: FakeGateway) -> None:
    recorded: list[Recorded] = []
    run = gateway.events.begin("thread", "run", on_recorded=recorded.append)
    salts = run.judge(GOOD).result(0).salts
    place = run.end().result(0).place
    events = [Event(salt, text) for salt, text in zip(salts, GOOD, strict=True)]
    transcript = compose(events, [each.certificate for each in recorded])
    voters = Electorate(cluster_id(gateway.genesis), 0, gateway.present.members, Mode.RAFT)
    checked = check_transcript(transcript, voters.cluster, lambda _epoch: voters)
    assert (checked.events, checked.head) == (len(GOOD), place.head)
    pbft = msgspec.structs.replace(voters, mode=Mode.PBFT)
    with pytest.raises(ProofError, match="3 signatures; at least 4 of 5 are needed"):
        check_transcript(transcript, voters.cluster, lambda _epoch: pbft)
