"""The gateway's thread without any member: it refuses calls, ends, and gives the reason."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from hashlib import sha256

import pytest
from msgspec import structs

from dtvn.events.config import Balancing, LoadBalancerConfig
from dtvn.gateway import Gateway, Overloaded, reach
from dtvn.gateway.client import GatewayClosed
from dtvn.gateway.collector import Actions, Result
from dtvn.protocol.consensus.effects import Now
from tests.gateway.support import operation
from tests.host.support import make_genesis
from tests.waiting import PATIENCE, wait_until

SEED = sha256(b"gateway").digest()
LEAST = LoadBalancerConfig(algorithm=Balancing.LEAST_CONNECTIONS)


@pytest.fixture
def lonely() -> Iterator[Gateway]:
    """A gateway whose members' addresses are unused."""
    nobody = dict.fromkeys(range(4), ("127.0.0.1", 1))
    with Gateway(make_genesis(4), SEED, principal="gateway", addresses=nobody, balancing=LEAST) as gateway:
        yield gateway


def codes(future: Future) -> list[str]:
    return [result.code for result in future.result(PATIENCE)]


def test_r14_with_no_member_connected_a_call_is_refused_and_not_sent(lonely: Gateway) -> None:
    assert codes(lonely.submit([operation(), operation()])) == ["unavailable", "unavailable"]
    assert codes(lonely.submit([operation()])) == ["unavailable"]


def test_a_call_counts_at_its_entry_node_until_it_is_over(lonely: Gateway) -> None:
    called: Future[tuple[Result, ...]] = Future()
    seen: Future[dict[str, int]] = Future()

    def under_way() -> dict[str, int]:
        return {name: node.active_connections for name, node in lonely.balance().nodes.items()}

    def look(future: Future[dict[str, int]], now: Now) -> None:
        lonely._submit(called, now, (operation(), operation()), 10**9)
        future.set_result(under_way())

    lonely._pass_on((look, seen), counts=True)
    assert seen.result(PATIENCE) == {"r0": 1, "r1": 0, "r2": 0, "r3": 0}
    assert codes(called) == ["unavailable", "unavailable"]
    assert set(under_way().values()) == {0}


def test_a_question_to_an_absent_member_ends_at_once(lonely: Gateway) -> None:
    assert lonely.query(2, "status").result(PATIENCE).code == "down"
    assert lonely.query(4, "status").result(PATIENCE).code == "down", "another epoch had more members"


def test_members_are_shown_as_not_connected(lonely: Gateway) -> None:
    assert [(member.id, member.connected, member.heard) for member in lonely.members()] == [
        (f"r{index}", False, None) for index in range(4)
    ]


def test_members_that_report_no_vote_enter_a_new_epoch_for_a_while(lonely: Gateway) -> None:
    lonely.present = structs.replace(lonely.present, epoch=3)
    assert lonely.agreement().sentence.startswith("No quorum: 0 of 4 reachable"), "it began long ago"
    future: Future[None] = Future()
    lonely._pass_on((lambda *_: lonely._follow(lonely.present), future))
    wait_until(lambda: {member.entering for member in lonely.members()} == {3}, what="the new epoch")
    assert (
        lonely.agreement().sentence
        == "Changing members: 0 of 4 are in epoch 3, 3 needed; scans wait a moment"
    )
    lonely._enter_until = 0
    wait_until(lambda: {member.entering for member in lonely.members()} == {0}, what="its end")


def test_no_member_of_a_new_epoch_counts_as_connected_before_the_collector_hears_it(
    lonely: Gateway,
) -> None:
    """Else a member that stays connected would never be told to the collector of the new epoch."""
    seen: Future[frozenset[int]] = Future()

    def follow(*_: object) -> None:
        lonely._connected = frozenset({0, 1})
        lonely._follow(lonely.present)
        seen.set_result(lonely._connected)

    lonely._pass_on((follow, Future()))
    assert seen.result(PATIENCE) == frozenset()


def test_a_smaller_epoch_in_the_turn_of_a_question_to_all_members(lonely: Gateway) -> None:
    fewer = structs.replace(lonely.present, epoch=1, members=lonely.present.members[:3])
    last = len(lonely.present.members) - 1
    future: Future[None] = Future()

    def proved(*_: object) -> None:
        lonely._collector._begin(fewer, first_question=lonely._collector.questions.following)
        lonely._carry_out(Actions(send=[(last, b"")], successor=fewer))

    lonely._pass_on((proved, future))
    wait_until(lambda: lonely.present is fewer, what="the epoch begins")
    assert codes(lonely.submit([operation()])) == ["unavailable"], "the thread goes on"


def test_a_call_without_operations_is_refused(lonely: Gateway) -> None:
    with pytest.raises(ValueError, match="at least one"):
        lonely.submit([]).result(PATIENCE)
    assert codes(lonely.submit([operation()])) == ["unavailable"], "the thread goes on"


def test_calls_under_way_are_bounded(lonely: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lonely, "_calls_max", 8)
    monkeypatch.setattr(reach, "QUORUM_GRACE", round(PATIENCE * 1e9))  # a slow machine has refused none
    for _ in range(8):
        lonely.submit([operation()])
    with pytest.raises(Overloaded):
        lonely.submit([operation()])
    assert lonely.query(0, "status").result(PATIENCE).code == "down", "people can still look"


def test_calls_from_many_threads_all_end(lonely: Gateway) -> None:
    futures: list[Future] = []

    def submit() -> None:
        futures.extend(lonely.submit([operation()]) for _ in range(20))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wait(futures, timeout=PATIENCE).not_done
    assert lonely._calls_open == 0


def test_closing_ends_pending_calls_and_refuses_later_ones(lonely: Gateway) -> None:
    future = lonely.submit([operation()])
    lonely.close()
    assert not lonely.alive
    error = future.exception(PATIENCE)
    assert error is None or isinstance(error, GatewayClosed)
    with pytest.raises(GatewayClosed):
        lonely.submit([operation()])
    assert lonely.query(0, "status").result(PATIENCE).code == "down"
    lonely.close()


def test_a_cancelled_call_is_not_sent(lonely: Gateway) -> None:
    future = lonely.submit([operation()])
    future.cancel()
    assert codes(lonely.submit([operation()])) == ["unavailable"]
    assert lonely._calls_open == 0


def test_a_dying_thread_ends_its_calls_with_the_reason(
    lonely: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("a fault in the program")

    monkeypatch.setattr(lonely._collector, "tick", broken)
    future = lonely.submit([operation()])
    with pytest.raises(GatewayClosed):
        future.result(PATIENCE)
    lonely._thread.join(PATIENCE)
    assert not lonely.alive
    assert "a fault in the program" in caplog.text
    with pytest.raises(GatewayClosed):
        lonely.submit([operation()])


def test_what_waits_for_a_thread_that_dies_is_answered(lonely: Gateway) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def broken(*_arguments: object) -> None:
        reached.set()
        go_on.wait(PATIENCE)
        raise RuntimeError("a fault in the program")

    lonely._pass_on((broken, Future()))
    assert reached.wait(PATIENCE)
    call, question = lonely.submit([operation()]), lonely.query(0, "status")
    go_on.set()
    with pytest.raises(GatewayClosed):
        call.result(PATIENCE)
    assert question.result(PATIENCE).code == "down"


def test_a_key_that_is_not_the_principals_is_refused() -> None:
    with pytest.raises(ValueError, match="principal 'gateway'"):
        Gateway(make_genesis(4), bytes(32), principal="gateway")


def test_a_forked_copy_refuses_to_work(lonely: Gateway) -> None:
    child = os.fork()
    if child == 0:
        try:
            lonely.submit([operation()])
        except GatewayClosed:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert lonely.alive
