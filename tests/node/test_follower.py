"""A follower: where it listens, whom it admits and blames, and how old it says that its copy is (R45)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtvn.files.whole import write_private
from dtvn.net import encode_seed, public_key_of, read_seed
from dtvn.node.bootstrap import Place
from dtvn.node.follower import FollowerOptions, FollowerProcess, build_follower, read_listen
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.node.provision import create_demo_cluster
from dtvn.overlay.conduct import Fault
from dtvn.protocol.consensus.effects import Note
from dtvn.protocol.consensus.verified import Peer
from validators.ledger import open_ledger

GATEWAY = Peer("principal/gateway", None)
RELAY = 4
"""Index of the first peer that is no member."""


@pytest.fixture
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FollowerProcess]:
    """Of four members that do not run, under the learner's key."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    create_demo_cluster(tmp_path, nodes=4, host="127.0.0.1", ports=[1, 2, 3, 4])
    folder = ClusterFolder(tmp_path)
    write_private(folder.follower_key, encode_seed(read_seed(folder.learner_key)))
    nobody = Place(public_key_of(read_seed(folder.learner_key)), ("127.0.0.1", 1))
    options = FollowerOptions(start=nobody, listen=("127.0.0.1", 0), pages=False)
    process = build_follower(tmp_path, options, logging.getLogger("test"), open_ledger)
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.mark.parametrize(
    ("text", "place"),
    [("", None), ("192.0.2.7:10100", ("192.0.2.7", 10_100)), ("[2001:db8::7]:0", ("2001:db8::7", 0))],
)
def test_a_place_is_an_ip_address_and_a_port(text: str, place: tuple[str, int] | None) -> None:
    assert read_listen(text) == place


@pytest.mark.parametrize("text", ["gate.example:10100", "192.0.2.7", "192.0.2.7:65536", "192.0.2.7:-1"])
def test_no_other_place_is_taken(text: str) -> None:
    with pytest.raises(StartError, match=f"--listen {text}: not ADDRESS:PORT"):
        read_listen(text)


def test_r15_who_is_revoked_in_the_log_is_admitted_no_more(follower: FollowerProcess) -> None:
    principals = follower.application.principals
    assert follower.links.key_of(GATEWAY) == principals.key("gateway")
    follower.watcher.notice(Note("paused", {}))
    assert follower.links.key_of(GATEWAY) is not None
    principals.revoke("gateway")
    follower.watcher.notice(Note("paused", {}))
    assert follower.links.key_of(GATEWAY) is None


def test_r45_a_peer_is_blamed_once_for_each_lie(
    follower: FollowerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower.links, "up", lambda: (RELAY,))
    monkeypatch.setattr(follower.links, "key_of", lambda peer: b"r" * 32 if peer.member == RELAY else None)
    follower._tree.links((RELAY,), 0)
    for _ in range(2):
        follower._tree.lied(RELAY, 0)
        for _ in range(3):
            follower._uses()
    assert follower.overlay.overlay.conduct.counts(b"r" * 32) == {Fault.LIED: 2}


def test_r45_a_copy_is_as_old_as_members_last_vouched_for_it(
    follower: FollowerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (follower.host.age(), follower.as_of) == (None, 0)
    monkeypatch.setattr(follower.host, "age", lambda: 5_000_000)
    before = follower.clock.now().wall // 1_000
    assert before - 5_000_000 <= follower.as_of <= follower.clock.now().wall // 1_000 - 5_000_000
    assert follower.brief()["as_of"] >= before - 5_000_000
