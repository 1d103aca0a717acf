"""An insider at the nodes' ports in the second epoch: replayed requests, replayed votes and forged votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from msgspec.structs import replace

from dtvn.gateway import client
from dtvn.machine import Admit, Issue
from dtvn.net import Dialler, ensure_seed, public_key_of, read_seed
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Member
from dtvn.protocol.wire import decode_envelope, link_frame
from tests.integration.insider import Insider
from tests.integration.node_cluster import running_cluster
from tests.integration.test_epochs import Town
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(600)]

INSIDER = "api-node3"
ALTERED = 5
"""Requests with another number under their old signature: fewer than lead to a mute."""
SETTLED = (
    "already_decided",
    "duplicate_request",
    "expired",
    "outside_session_window",
    "unknown_session",
)
OPERATIONS_TO_A_CHECKPOINT = 30
DIGEST = bytes(range(32))


class Recorded(Dialler):
    """A gateway's link that keeps what it sent."""

    frames: list[bytes] = []

    def send(self, member_index: int, frame: bytes) -> bool:
        self.frames.append(frame)
        return super().send(member_index, frame)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    monkeypatch.setattr(client, "Dialler", Recorded)
    monkeypatch.setattr(Recorded, "frames", [])
    with running_cluster(tmp_path / "data", 4) as (cluster, gateway):
        yield Town(cluster, gateway)


@contextmanager
def inside(town: Town) -> Iterator[Insider]:
    """An insider with links to the members of the present epoch."""
    with zmq.Context() as context:
        seed = read_seed(town.cluster.node(3).api_key)
        attacker = Insider(town.cluster.genesis, seed, context, members=town.gateway.present.members)
        try:
            yield attacker
        finally:
            attacker.dialler.close()


def rotate(town: Town, index: int) -> None:
    """A member's key is replaced, and the second epoch begins."""
    folder = town.cluster.folder.node(f"node{index}")
    key = public_key_of(ensure_seed(folder.next_key))
    member = town.gateway.present.members[index]
    joins = (Member(member.id, key, member.host, member.port),)
    town.change(lambda: town.words(**{member.id: key}), leaves=member.id, joins=joins)
    wait_until(lambda: not folder.next_key.exists(), what="the next key has become the key")


def statuses(town: Town, *fields: str) -> list[tuple[Any, ...]]:
    """These fields of every node's status."""
    told = (town.told_at_last(index, "status") for index in range(4))
    return [tuple(status[field] for field in fields) for status in told]


def one_state(town: Town) -> tuple[Any, ...] | None:
    """The stable sequence and its state root, if all nodes have the same."""
    first, *others = statuses(town, "stable", "state_root")
    return first if all(other == first for other in others) else None


def refused(town: Town, index: int) -> Counter[str]:
    """Frames of the insider that a node refused, by reason; those of requests that can do nothing more are
    counted together."""
    found = Counter(town.told_at_last(index, "status")["refused"].get(INSIDER, {}))
    return found + Counter(settled=sum(found[reason] for reason in SETTLED))


def fetched(attacker: Insider, last: int) -> list[bytes]:
    """Answers of node0 that hold the newest entry, which is of the running epoch, and every vote in them."""
    attacker.dialler.send(0, link_frame(m.FetchEntries(epoch=1, first=last, last=last)))
    answers: list[bytes] = []

    def votes() -> list[bytes]:
        answers.extend(frame for _index, frame in attacker.dialler.poll(50))
        told = [decode_envelope(frame)[1] for frame in answers]
        entries = [one for message in told if isinstance(message, m.Entries) for one in message.entries]
        return [frame for entry, _body, commits in entries if entry.epoch == 1 for frame in commits]

    return [*wait_until(votes, what=lambda: f"node0 tells the log: {answers}", pause=0, timeout=20), *answers]


def forgeries(members: int) -> list[Any]:
    """What would order a batch, end the view or move the checkpoint, in the name of every member."""
    made: list[Any] = []
    for sender in range(members):
        made += [
            m.PrePrepare(1, sender, 0, 99, DIGEST),
            m.Prepare(1, sender, 0, 99, DIGEST),
            m.Commit(1, sender, 0, 99, DIGEST),
            m.Checkpoint(1, sender, 99, DIGEST, DIGEST, 1),
            m.Suspect(1, sender, 1, "silent"),
            m.ViewChange(1, sender, 1, (), ()),
            m.NewView(1, sender, 1, ((0, DIGEST), (1, DIGEST), (2, DIGEST)), ()),
        ]
    return made


def attack(town: Town, attacker: Insider, last: int) -> Counter[str]:
    """Send all of it to every node. Returns how often each has to refuse it at least, by reason."""
    requests = list(dict.fromkeys(f for f in Recorded.frames if isinstance(decode_envelope(f)[1], m.Bundle)))
    bundles = [decode_envelope(frame)[1] for frame in requests[-ALTERED:]]
    altered = [replace(bundle, number=bundle.number + 7) for bundle in bundles]
    votes, forged = fetched(attacker, last), forgeries(4)
    frames = [*requests * 3, *votes * 3]
    frames += [attacker.seal(message) for message in forged]
    frames += [attacker.seal(message, signed=False) for message in (*forged, *altered)]
    for frame in frames:
        for index in range(4):
            attacker.send(index, frame)
    statements = 3 * len(votes) + 2 * len(forged)
    return Counter(settled=3 * len(requests), not_member=statements, bad_signature=len(altered))


@pytest.mark.exhaustive
def test_an_insider_in_the_second_epoch_changes_nothing(town: Town) -> None:
    assert [town.do(Issue(), "FIRST"), town.do(Admit(), "FIRST")] == ["ok", "ok"]
    rotate(town, 2)
    assert [town.do(Issue(), "SECOND"), town.do(Admit(), "SECOND")] == ["ok", "ok"]
    last = town.cluster.settled()
    before = statuses(town, "sequence", "epoch", "view")
    view = before[0][2]
    assert before == [(last, 1, view)] * 4
    with inside(town) as attacker:
        wanted = attack(town, attacker, last)
        for index in range(4):
            wait_until(
                lambda: (attacker.dialler.poll(0), wanted <= refused(town, index))[1],  # noqa: B023
                what=lambda: f"node{index} refuses {wanted}, so far {refused(town, index)}",  # noqa: B023
            )
    assert statuses(town, "sequence", "epoch", "view") == before, "nothing was executed, no view was left"
    for number in range(OPERATIONS_TO_A_CHECKPOINT):
        assert town.do(Issue(), f"AFTER-{number}") == "ok"
    found = wait_until(lambda: one_state(town), what="all have one certified state")
    assert found is not None
    assert found[0] > last, "of a checkpoint after the attack"
    assert statuses(town, "epoch", "view") == [(1, view)] * 4
