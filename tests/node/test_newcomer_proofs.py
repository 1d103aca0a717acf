"""The newest liveness proof of each newcomer, as a member keeps it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.net import public_key_of
from dtvn.node import non_member
from dtvn.node.member import MemberProcess
from dtvn.node.newcomer_proofs import NewcomerProofs, arguments_of
from dtvn.protocol.consensus.membership import founding
from tests.host.support import make_genesis

SEED = b"s" * 32
HOURS = 7_200 * 1_000_000_000


def test_a_clock_that_was_ahead_once_hides_no_later_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    principals = {"node4": SimpleNamespace(public_key=public_key_of(SEED))}
    node: Any = SimpleNamespace(
        cluster=b"c" * 32,
        membership=founding(make_genesis(4)),
        application=SimpleNamespace(principals=principals),
    )
    kept = NewcomerProofs(cast(MemberProcess, node))

    def keep(executed: int) -> str:
        proof = non_member.liveness_proof(node.cluster, 0, "node4", executed, SEED)
        return kept.keep(arguments_of(proof))[0]

    with monkeypatch.context() as ahead:
        ahead.setattr(non_member, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + HOURS))
        assert keep(10) == "bad_arguments"
    assert keep(99) == ""
