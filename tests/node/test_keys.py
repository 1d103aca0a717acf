"""Identity of a node: private from its first byte, named as libp2p does, stamped when it votes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from nacl import bindings
from zmq.utils import z85

from dtvn.files.whole import write_private
from dtvn.net import KeyFileError, curve_keys, curve_public, ensure_seed, public_key_of, read_seed
from dtvn.node.keys import VotedStamp, dev_seed, peer_id, public_key_of_peer_id
from tests.support.table import table

CHECK_VALUES = {
    "node0": (
        "12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C",
        "a46b18aaa80f1a2cd00c8cf03ad6520bad768e3727d65645e4f4761c7d7ab64b",
    ),
    "node1": (
        "12D3KooWFZoE4jViwBLM16gKrF5pYMijAyF61ocXSJQ6pbLGwwuK",
        "556abde34754006ca07b28227c9d4b7a760a95880e1c7fb6817df1390c353db2",
    ),
    "node2": (
        "12D3KooWLutZMPvGqmBRemeWiqK8czvxHzbaEjFGJadjdNAwBBsP",
        "a4dad27418f622921989f7bee44bbb2d2c87669688814f11679ac30ebcfee3a2",
    ),
    "node3": (
        "12D3KooWLd4BWvebCA8du6cqwLySQgGxZUznqeqcqJgZQUEECtYG",
        "a08ad465ff54bc4528bd8849cdeca8d5d368acec80032f757f0ba2808a0ecc29",
    ),
    "node4": (
        "12D3KooWPkoi4rokSwwzmTjJUf5Yad4yxPQSTAPsHTVwkk9BFYXq",
        "cf1a2c0584271787c61255853e73581a8e3ff8195d3ca2b0292bea49794a6268",
    ),
}


@table("name", CHECK_VALUES, count=5)
def test_development_keys_and_peer_ids_have_the_contract_check_values(name: str) -> None:
    expected_peer_id, expected_key = CHECK_VALUES[name]
    public_key = public_key_of(dev_seed(name))
    assert public_key.hex() == expected_key
    assert peer_id(public_key) == expected_peer_id
    assert public_key_of_peer_id(expected_peer_id) == public_key


def test_another_salt_gives_other_development_keys() -> None:
    public_key = public_key_of(dev_seed("node0", "secret"))
    assert public_key.hex() == "81b0a8fb4232a934f44fce4e87b3f8d4421ce37d8091090cd30d0f6392b8c396"
    assert peer_id(public_key) == "12D3KooWJYd11GLqmTjdw9wE96ocpZkd3WASz5PxivHLCxNMrc2h"


@pytest.mark.parametrize("text", ["", "0OIl", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "1" * 60])
def test_a_peer_id_that_holds_no_ed25519_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="peer id"):
        public_key_of_peer_id(text)


def test_a_long_text_is_no_peer_id_and_errors_repeat_only_its_beginning() -> None:
    with pytest.raises(ValueError, match="too long") as found:
        public_key_of_peer_id("z" * 100_000)
    assert len(str(found.value)) < 100, "not the whole text"


def test_the_curve_key_follows_from_the_signing_key_alone() -> None:
    """What a dialler computes from genesis is what the owner computes from its seed."""
    seed = dev_seed("node0")
    keys = curve_keys(seed)
    assert keys.public == curve_public(public_key_of(seed))
    assert z85.decode(keys.public) == bindings.crypto_scalarmult_base(z85.decode(keys.secret))
    assert keys.secret.decode() not in repr(keys)


@pytest.mark.parametrize("key", [b"", b"\0" * 32, b"\xff" * 32])
def test_an_invalid_signing_key_has_no_curve_key(key: bytes) -> None:
    with pytest.raises(ValueError, match="public_key"):
        curve_public(key)


def test_a_key_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even under umask 0, and even while it is being written, no other user can open it."""
    modes = []
    really_open = os.open

    def watched_open(path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = really_open(path, flags, mode)
        if flags & os.O_CREAT:
            assert flags & os.O_EXCL
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched_open)
    before = os.umask(0)
    try:
        seed = ensure_seed(tmp_path / "node.key")
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["node.key"]
    assert ensure_seed(tmp_path / "node.key") == seed


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    ensure_seed(tmp_path / "node.key")
    (tmp_path / "node.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="open to others"):
        read_seed(tmp_path / "node.key")


@pytest.mark.parametrize("content", [b"", b"short", b"zz" * 32, b"00" * 33])
def test_a_damaged_key_file_is_reported_without_its_content(tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / "node.key", content)
    with pytest.raises(KeyFileError) as caught:
        read_seed(tmp_path / "node.key")
    assert "hex digits" in str(caught.value)
    assert not content or content.decode() not in str(caught.value)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    write_private(tmp_path / "node.key", b"first")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "node.key", b"second")
    assert (tmp_path / "node.key").read_bytes() == b"first"


def test_r11_the_stamp_survives_its_process(tmp_path: Path) -> None:
    stamp = VotedStamp(tmp_path)
    assert not stamp.present
    stamp.write()
    stamp.write()
    assert stamp.present
    assert VotedStamp(tmp_path).present


def test_r11_a_replaced_key_is_stamped_again_before_its_first_vote(tmp_path: Path) -> None:
    stamp = VotedStamp(tmp_path)
    stamp.write()
    stamp.clear()
    assert not stamp.present
    assert not VotedStamp(tmp_path).present
    stamp.write()
    assert VotedStamp(tmp_path).present
