"""The newest liveness proof of each newcomer, as a member keeps it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.net import public_key_of
from dtvn.node import non_member
from dtvn.node.clock import SystemClock
from dtvn.node.member import MemberProcess
from dtvn.node.newcomer_proofs import NewcomerProofs, arguments_of
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import founding, is_fresh
from tests.host.support import make_genesis

SEED, OTHER = b"s" * 32, b"o" * 32
HOURS = 7_200 * 1_000_000_000


def member(log_time: int = 0) -> Any:
    """A member whose last effective time is `log_time`, in microseconds."""
    principals = {"node4": SimpleNamespace(public_key=public_key_of(SEED))}
    return SimpleNamespace(
        cluster=b"c" * 32,
        membership=founding(make_genesis(4)),
        application=SimpleNamespace(principals=principals),
        core=SimpleNamespace(state=SimpleNamespace(executor=SimpleNamespace(timestamp=log_time))),
        host=SimpleNamespace(clock=SystemClock()),
    )


def test_a_clock_that_was_ahead_once_hides_no_later_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    node = member()
    kept = NewcomerProofs(cast(MemberProcess, node))

    def keep(executed: int) -> str:
        proof = non_member.liveness_proof(node.cluster, 0, "node4", executed, SEED)
        return kept.keep(arguments_of(proof))[0]

    with monkeypatch.context() as ahead:
        ahead.setattr(non_member, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + HOURS))
        assert keep(10) == "bad_arguments"
    assert keep(99) == ""


def test_r36_an_older_proof_takes_no_newer_ones_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody who saw a proof can send it again. It would show the newcomer further behind than it is, and
    soon be too old."""
    node = member()
    kept = NewcomerProofs(cast(MemberProcess, node))
    times = iter([time.time_ns() - 2_000_000_000, time.time_ns() - 1_000_000_000])
    monkeypatch.setattr(non_member, "time", SimpleNamespace(time_ns=lambda: next(times)))
    older, newer = (
        non_member.liveness_proof(node.cluster, 0, "node4", executed, SEED) for executed in (10, 20)
    )
    assert [kept.keep(arguments_of(proof))[0] for proof in (newer, older, newer)] == [
        "",
        "bad_arguments",
        "bad_arguments",
    ]
    assert kept.tell(("node4",))[1]["word"] == canonical.encode_trimmed(newer).hex()


def test_proofs_of_principals_that_are_gone_are_dropped() -> None:
    """Newcomers that never joined would fill the memory of a member."""
    node = member()
    node.application.principals["node5"] = SimpleNamespace(public_key=public_key_of(OTHER))
    kept = NewcomerProofs(cast(MemberProcess, node))
    for name, seed in (("node4", SEED), ("node5", OTHER)):
        proof = non_member.liveness_proof(node.cluster, 0, name, 10, seed)
        assert kept.keep(arguments_of(proof))[0] == ""
        assert kept.tell((name,))[0] == ""
        if name == "node4":
            del node.application.principals[name]
    assert kept.tell(("node4",)) == ("unknown_newcomer", None)


@pytest.mark.parametrize("knows", [True, False])
def test_r36_while_log_time_is_ahead_of_the_clocks_it_dates_the_proof(knows: bool) -> None:
    """The proof is judged by log time, which stands until the clocks catch up."""
    log_time = (time.time_ns() + HOURS) // 1_000
    node = member(log_time)
    dated = log_time if knows else 0
    proof = non_member.liveness_proof(node.cluster, 0, "node4", 10, SEED, log_time=dated)
    assert is_fresh(proof.timestamp, log_time + 1, node.membership.parameters) is knows
    assert NewcomerProofs(cast(MemberProcess, node)).keep(arguments_of(proof))[0] == (
        "" if knows else "bad_arguments"
    )
