"""What members refuse at the door because of the epoch, and what they answer instead (R16, R20, R35)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.machine import AddPrincipal, Barrier, OpenSession, Reconfigure
from dtvn.protocol.consensus import membership as ms
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import FrameSigner, decode_envelope
from tests.epochs.test_membership_changes import founded
from tests.epochs.world import MILLISECOND, SECOND, World, barrier


def overheard(world: World) -> list[m.Busy | m.Repeat]:
    """What members answer from now on besides replies."""
    found: list[m.Busy | m.Repeat] = []
    hear = world.client.hear

    def listen(sender: str, frame: bytes) -> None:
        message = decode_envelope(frame)[1]
        if isinstance(message, m.Busy | m.Repeat):
            found.append(message)
        hear(sender, frame)

    world.client.hear = listen  # type: ignore[method-assign]
    return found


def test_r20_a_too_large_request_is_refused_but_an_old_result_repeated() -> None:
    """Before, no member answered: its client waited until all of it had expired."""
    world = founded()
    barriers = [world.operation(Barrier(), nonce=b"%d" % number) for number in range(8)]
    executed = world.client.send(barriers)
    frame = world.client.waiting[executed][0]
    assert world.run(10 * SECOND, lambda: executed in world.client.done)
    world.reconfigure(parameters=(replace(world.now.parameters, batch_operations_max=5),))
    assert world.run(10 * SECOND, world.settled)
    answers = overheard(world)
    world.say_as_client(frame)
    late = world.client.send([world.operation(Barrier(), nonce=b"late %d" % number) for number in range(8)])
    world.run(SECOND)
    assert {each.codes for each in answers if isinstance(each, m.Repeat)} == {("ok",) * 8}
    refused = [each for each in answers if isinstance(each, m.Busy)]
    assert {(each.request, each.code) for each in refused} == {(late, Reason.TOO_LARGE.value)}
    assert len(refused) >= 4
    del world.client.waiting[late]


class Nobody:
    """A listed principal without grants, with a session; it may send anything."""

    client = b"nobody00"

    def __init__(self, world: World) -> None:
        assert world.do(AddPrincipal("nobody", world.keyring.pair("nobody")[0])) == "ok"
        self.world = world
        secret = world.keyring.pair("nobody")[1]
        self.signer = FrameSigner(world.cluster, secret, world.keys, scheme=world.keyring.scheme)
        self.session, self.number = (0, 0), 0
        opening = self.say(OpenSession(), *world.boxes)
        assert world.run(10 * SECOND, lambda: opening in world.executed_at)
        self.session, self.number = (world.executed_at[opening], 0), 0

    def say(self, command: OpenSession | Reconfigure, *receivers: str) -> bytes:
        operation = self.world.operation(command, nonce=b"%d" % self.number)
        bundle = m.Bundle(0, "nobody", self.client, self.session, self.number, 0, (operation,))
        self.number += 1
        frame = self.signer.sign(bundle)
        for name in receivers:
            self.world.at(self.world.delay(), self._arrives, name, frame)
        return m.bundle_digest(decode_envelope(frame)[0].body)

    def _arrives(self, name: str, frame: bytes) -> None:
        box = self.world.boxes[name]
        box.inbox.append(Inbound(Peer("nobody", None), frame))
        box.wake(self.world.time)


@pytest.mark.parametrize("backups", [False, True], ids=["to all", "to single backups"])
def test_r30_changes_without_permission_rarely_drain_the_pipeline(backups: bool) -> None:
    """Nothing is proposed above what may end the epoch: without a bound others had a fifth of their rate."""
    world = founded()
    nobody = Nobody(world)
    change = Reconfigure(ms.Change(0, leaves="n3", allow_small=True))
    said: list[bytes] = []
    for _ in range(200):
        receivers = [f"n{1 + len(said) % 3}"] if backups else list(world.boxes)
        said.append(nobody.say(change, *receivers))
        world.run(10 * MILLISECOND)
    world.run(3 * SECOND)
    ordered = sum(digest in world.executed_at for digest in said)
    assert 2 <= ordered <= 14, "the log says what they come to, and is not filled with it"
    cores = [box.core for box in world.boxes.values()]
    assert all(
        isinstance(core, Replica) and core.state.views.view == 0 and not len(core.policy.pool)
        for core in cores
    )
    assert world.now.epoch == 0
    assert barrier(world) == "ok"
    world.reconfigure(leaves="n3", allow_small=True)
    assert world.run(10 * SECOND, world.settled), "who may is not held up by who may not"
