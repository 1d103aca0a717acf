"""The manifest says how the members agree where it is not by PBFT, which all programs read (R44)."""

from __future__ import annotations

import msgspec

from dtvn.protocol.quorum import Mode
from tests.backup.test_archive import manifest
from validators.backup.forms import Manifest


def test_r44_a_manifest_without_a_mode_means_pbft_and_is_written_without_one() -> None:
    plain = manifest([])
    assert b"consensus" not in msgspec.json.encode(plain)
    assert plain.mode is Mode.PBFT


def test_r44_a_manifest_of_a_raft_cluster_names_it() -> None:
    kept = msgspec.json.encode(manifest([], consensus=Mode.RAFT))
    assert b'"consensus":"raft"' in kept
    assert msgspec.json.decode(kept, type=Manifest).mode is Mode.RAFT
