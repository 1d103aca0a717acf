"""Sequences judged while a majority of four real nodes hangs, by programs that are killed: after healing the
members judge each once, and the certificates are checked offline."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.judging import Electorate, Event
from dtvn.events.transcript import check_transcript, compose
from dtvn.gateway import Gateway
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.genesis import cluster_id
from tests.integration.node_cluster import ROOT, Cluster, environment, running_cluster
from tests.integration.owing_program import STRICT, texts_of
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RUNS = 12
HUNG = (1, 2)
"""Of four: the other two are no quorum."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path / "data", 4) as made:
        yield made


class Program:
    """The program over one folder, life after life."""

    def __init__(self, cluster: ClusterFolder, folder: Path, enter: Sequence[str] = ()) -> None:
        """`enter`: words before a command on its host."""
        self._place = (cluster.genesis, cluster.gateway_key, folder)
        self._enter = enter
        self.partitions: list[tuple[str, list[str]]] = []
        """What each life told before it judged: type of the partition, and members that it does not reach."""

    def _start(self, what: str, *numbers: int) -> subprocess.Popen[str]:
        words = [what, *map(str, self._place), *map(str, numbers)]
        return subprocess.Popen(
            [*self._enter, sys.executable, "-m", "tests.integration.owing_program", *words],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    def judge_and_die(self, first: int, last: int) -> dict[int, str]:
        """Id -> run of each sequence that it answered before it was killed."""
        process = self._start("judge", first, last)
        assert process.stdout is not None
        found = {}
        try:
            kind, missed = json.loads(process.stdout.readline())
            self.partitions.append((kind, missed))
            for line in iter(process.stdout.readline, '"all"\n'):
                assert line, "it ended by itself"
                number, owing, run = json.loads(line)
                assert owing == "on_disk"
                found[number] = run
        finally:
            process.kill()
            process.wait(PATIENCE)
            process.stdout.close()
        return found

    def settle(self) -> list[dict[str, Any]]:
        process = self._start("settle")
        said, _ = process.communicate(timeout=2 * PATIENCE)
        assert process.returncode == 0
        return [json.loads(line) for line in said.splitlines()]


def signal_nodes(cluster: Cluster, number: int) -> None:
    for index in HUNG:
        cluster.processes[index].send_signal(number)


@pytest.mark.exhaustive
def test_every_owed_sequence_is_judged_once_after_healing_through_kills_of_its_program(
    running: tuple[Cluster, Gateway], tmp_path: Path
) -> None:
    cluster, gateway = running
    program = Program(cluster.folder, tmp_path / "owed")
    signal_nodes(cluster, signal.SIGSTOP)
    try:
        owed = program.judge_and_die(0, RUNS // 2) | program.judge_and_die(RUNS // 2, RUNS)
    finally:
        signal_nodes(cluster, signal.SIGCONT)
    assert {kind for kind, _missed in program.partitions} == {"split"}
    assert list(owed.values()) == [f"r{number}" for number in range(RUNS)]
    settled = program.settle()
    assert {each["id"]: each["run"] for each in settled} == owed
    assert [each["id"] for each in settled] == sorted(owed), "in their order, each once"
    for number, each in enumerate(settled):
        check(each, number, gateway)
    differing = {each["run"]: each["differences"] for each in settled if each["differences"]}
    assert differing == {f"r{STRICT}": [[1, "EVENT_TOO_LARGE", ""]]}
    assert program.settle() == settled, "another life has nothing to do, and knows them all"


def check(settled: dict[str, Any], number: int, gateway: Gateway) -> None:
    """The members judged exactly these events, and the log recorded the run."""
    assert settled["events"] == [text.decode() for text in texts_of(number)]
    assert settled["valid"] is (number % 3 != 0)
    assert settled["warnings"] == []
    events = [
        Event(bytes.fromhex(salt), text)
        for salt, text in zip(settled["salts"], texts_of(number), strict=True)
    ]
    transcript = compose(events, [bytes.fromhex(each) for each in settled["certificates"]])
    cluster = cluster_id(gateway.genesis)
    voters = Electorate(cluster, 0, gateway.present.members, gateway.present.mode)
    checked = check_transcript(transcript, cluster, lambda _epoch: voters)
    assert (checked.events, len(checked.refused)) == (3, number % 3 == 0)
