"""What a validator judged alone it tells other processes through its synchronizer, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dtvn.events.config import DistributedValidatorConfig, StateSyncConfig
from dtvn.gateway import DistributedValidator, StateSynchronizer
from dtvn.net import QuestionLinks, public_key_of
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.gateway.test_owed import GOOD, cut, heal
from tests.host.support import make_genesis
from tests.ports import LOOPBACK, free_ports
from tests.waiting import wait_until

SEEDS = {name: name.encode().ljust(32, b".") for name in ("hall", "gate")}
KEYS = {name: public_key_of(seed) for name, seed in SEEDS.items()}


@pytest.fixture
def pair() -> Iterator[dict[str, StateSynchronizer]]:
    ports = dict(zip(SEEDS, free_ports(2), strict=True))
    found, opened = {}, []
    for name, other in (("hall", "gate"), ("gate", "hall")):
        links = QuestionLinks(SEEDS[name], {other: (KEYS[other], LOOPBACK, ports[other])})
        opened.append(links)
        config = StateSyncConfig(sync_interval=0.05)
        found[name] = StateSynchronizer(name, SEEDS[name], bytes(32), KEYS, peers=links, config=config)
        links.serve(LOOPBACK, ports[name], found[name].answer)
    yield found
    for each in found.values():
        each.stop()
    for links in opened:
        links.close()


def test_others_learn_what_a_validator_judged_alone_and_when_that_is_settled(
    pair: dict[str, StateSynchronizer],
) -> None:
    gateway = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")
    config = DistributedValidatorConfig(node_id="hall", validation_timeout=0.2)
    hall, gate = pair["hall"], pair["gate"]
    with DistributedValidator.from_config(gateway, config, synchronizer=hall) as validator:
        assert validator.get_state_synchronizer() is hall
        assert hall.get_sync_status().running
        cut(gateway)
        validator.validate_sequence(GOOD, thread="t", run="r")
        wait_until(gate.get_owed, what="the other process has not heard of it")
        [note] = gate.get_owed()["hall"]
        assert (note.thread, note.run, note.events) == ("t", "r", len(GOOD))
        heal(gateway)
        wait_until(lambda: not gate.get_owed(), what="the note does not end")
    assert not hall.get_sync_status().running


def test_a_validator_without_a_synchronizer_has_none() -> None:
    gateway = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")
    assert DistributedValidator(gateway).get_state_synchronizer() is None
