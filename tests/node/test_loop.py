"""The main loop around a real node in this process: stop, beat, full disk, lost turns, fencing (R8, R10)."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.ledger import LedgerDamaged
from dtvn.node import non_member, run
from dtvn.node.build import build_node
from dtvn.node.layout import ClusterFolder
from dtvn.node.logs import node_logger
from dtvn.node.node import Node
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions
from dtvn.node.process import DISK_FULL
from dtvn.node.provision import create_demo_cluster
from dtvn.node.run import EXIT_FAILED, EXIT_FENCED, EXIT_STOPPED, FILES_WANTED, run_node
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from tests.node.running import Running, answer_of, commits, is_sent_and_not_answered, until_commits
from tests.waiting import wait_until
from validators.ledger import find_ledger, open_ledger


def test_it_sends_heartbeats_and_stops_on_request(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        wait_until(lambda: running.beats, what="a heartbeat")
    assert running.end() == EXIT_STOPPED
    beat = running.beats[-1]
    assert (beat["node_id"], beat["state"], beat["voting"], beat["view"]) == ("node0", "voting", True, 0)


def test_the_journal_of_a_node_reports_to_its_heartbeat(running: Running) -> None:
    """So that heartbeats continue while a large state is written or read (test_heart.py)."""
    wait_until(lambda: running.beats, what="a heartbeat")
    assert running.node.journal.alive == running.heart.alive
    assert running.end() == EXIT_STOPPED


def test_an_unreadable_next_key_does_not_stop_a_running_node(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor one whose core is made anew."""
    running.node._folder.next_key.write_text("no key")
    wait_until(lambda: "next_key_not_read" in caplog.text, what="it says so")
    told = len(running.beats)
    wait_until(lambda: len(running.beats) > told + 2, what="two heartbeats more")
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = JournalFull("No space left on device.")
        assert is_sent_and_not_answered(gateway)
        running.breaks = None
        until_commits(gateway)
    assert running.end() == EXIT_STOPPED
    assert caplog.text.count("next_key_not_read") == 1


def test_r8_on_a_full_disk_it_stops_voting_loudly_and_resumes_by_itself(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = JournalFull("No space left on device.")
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: running.beats[-1]["state"] == "disk_full", what="the heartbeat says so")
        assert running.beats[-1]["voting"] is False
        sequence = running.node.executed
        running.breaks = None
        until_commits(gateway)
        assert running.node.executed > sequence
    assert running.end() == EXIT_STOPPED
    messages = [record.getMessage() for record in caplog.records]
    assert any(message.startswith("disk_full") for message in messages)
    assert any(message.startswith("rebuilt") for message in messages)


def test_r8_on_a_full_disk_a_node_reports_status_but_no_unsaved_state(
    running: Running,
) -> None:
    """Every question was dropped, the one for the status too, and the client waited in vain."""
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = JournalFull("No space left on device.")
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: gateway.members()[0].state == "disk_full", what="it says so itself")
        report = gateway.members()[0]
        assert (report.voting, report.sequence) == (False, running.node.executed)
        assert report.voting_reason.startswith("its disk is full")
        stats = answer_of(gateway, "stats")
        assert (stats.code, msgspec.json.decode(stats.text)["sequence"]) == ("", running.node.executed)
        for what, arguments in (("ticket", ("T",)), ("alive", ()), ("consensus", ())):
            assert answer_of(gateway, what, *arguments).code == DISK_FULL, what
        running.breaks = None
        until_commits(gateway)
        assert answer_of(gateway, "consensus").code == ""


def test_r8_any_other_failed_write_ends_the_process(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = JournalError("The disk answered with an error.")
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: running.code is not None, what="the loop ends")
    assert running.code == EXIT_FAILED
    assert "The disk answered with an error." in caplog.text


def test_damage_found_beside_the_work_ends_the_process(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """With the line that the start has for it."""
    ledger: Any = running.node.ledger

    def check_older() -> bool:
        raise LedgerDamaged("it differs from its checksum", sequence=7)

    ledger.check_older = check_older
    wait_until(lambda: running.code is not None, what="the loop ends")
    assert running.code == EXIT_FAILED
    assert "Entry 7 is damaged: it differs from its checksum." in caplog.text


def test_r10_a_fenced_process_ends_without_sending(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        running.breaks = JournalFenced("Another process owns this ledger now.")
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: running.code is not None, what="the loop ends")
    assert running.code == EXIT_FENCED


def no_room(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def raise_in_steps(node: Node, error: Exception, times: int) -> Callable[[], int]:
    """Make the next `times` rebuilt cores raise at their first message; returns how many did."""
    raised = 0

    def poison() -> None:
        real = node.core.receive

        def receive(verified: Any, now: Any) -> Any:
            nonlocal raised
            if raised < times:
                raised += 1
                raise error
            return real(verified, now)

        node.core.receive = receive  # type: ignore[method-assign]

    real_make = node._make_host

    def make() -> None:
        real_make()
        poison()

    node._make_host = make  # type: ignore[method-assign]
    poison()
    return lambda: raised


def test_r8_a_step_that_raises_loses_its_turn_and_the_core_is_rebuilt(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        raised = raise_in_steps(running.node, RuntimeError("a bug"), times=2)
        until_commits(gateway)
        assert raised() == 2
    assert running.end() == EXIT_STOPPED
    assert "a bug" in caplog.text


def test_r8_a_step_that_raises_again_and_again_ends_the_process(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        raise_in_steps(running.node, RuntimeError("a bug"), times=1_000)
        wait_until(lambda: (commits(gateway, wait=0.2), running.code)[1] is not None, what="the process ends")
    assert running.code == EXIT_FAILED


def test_r8_rebuilds_long_ago_do_not_end_the_process(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REBUILDS_WINDOW_NS", 0)
    with running.gateway() as gateway:
        until_commits(gateway)
        raised = raise_in_steps(running.node, RuntimeError("a bug"), times=2 * run.REBUILDS_MAX)
        wait_until(lambda: (commits(gateway, wait=0.2), raised())[1] == 2 * run.REBUILDS_MAX, what="all")
        until_commits(gateway)
    assert running.end() == EXIT_STOPPED


def test_an_invariant_breach_ends_the_process_at_once(running: Running) -> None:
    from dtvn.protocol.consensus import InvariantBreach

    with running.gateway() as gateway:
        until_commits(gateway)
        raised = raise_in_steps(running.node, InvariantBreach("votes contradict"), times=1_000)
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: running.code is not None, what="the loop ends")
        assert raised() == 1
    assert running.code == EXIT_FAILED


def start_in_vain(folder: Path) -> None:
    """Run a node whose genesis is damaged."""
    create_demo_cluster(folder, nodes=1, host="127.0.0.1", ports=[1])
    node = ClusterFolder(folder).node("node0")
    node.genesis.write_bytes(b"nonsense")
    assert run_node(node.root, lambda: True, open_ledger=open_ledger, find_ledger=find_ledger) == EXIT_FAILED
    logger = node_logger(node.root)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_a_node_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start_in_vain(tmp_path)
    [record] = [record for record in caplog.records if record.name.startswith("dtvn.node")]
    assert record.getMessage().startswith("cannot_start reason=")
    assert record.exc_info is None


def test_a_node_takes_the_descriptors_that_it_may_have(tmp_path: Path) -> None:
    """Its member port bounds no connections: without a free descriptor the ledger cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        start_in_vain(tmp_path)
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == (FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard))


def test_a_node_whose_key_is_not_a_members_follows_without_a_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_demo_cluster(tmp_path / "a", nodes=1, host="127.0.0.1", ports=[1])
    create_demo_cluster(tmp_path / "b", nodes=1, host="127.0.0.1", ports=[1])
    ours, theirs = ClusterFolder(tmp_path / "a").node("node0"), ClusterFolder(tmp_path / "b").node("node0")
    ours.genesis.write_bytes(theirs.genesis.read_bytes())
    logger = node_logger(ours.root)
    made = build_node(ours.root, logger, NodeOptions(bind=("127.0.0.1", 0)), open_ledger)
    try:
        assert isinstance(made, NonMember)
        assert made.brief()["voting"] is False
        monkeypatch.setattr(non_member, "write_private", no_room)
        made.publish()
        assert "liveness_proof_not_written" in caplog.text, "it ends nothing"
    finally:
        made.close()
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
