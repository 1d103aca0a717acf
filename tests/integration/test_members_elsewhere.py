"""`manage.py members`, as documented, for members on other hosts: one that moves, and a newcomer of another
company with a data folder of its own (R35, R36)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from dtvn.machine import Barrier
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import LivenessProof
from tests.integration.node_cluster import validator
from tests.integration.test_epochs import Town, consensus, town  # noqa: F401 - fixtures
from tests.ports import free_ports
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200), pytest.mark.embedded_only]
"""Embedded only: addresses have nothing to do with the place of a ledger."""

ELSEWHERE = "127.0.0.2"
"""Another address than that of the founders."""


class Desk:
    """Types `manage.py members` and reads what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def says(self, data: Path, verb: str, *words: object) -> str:
        call_command("members", verb, "--data-dir", str(data), *map(str, words))
        return self._capsys.readouterr().out

    def shows(self, data: Path, epoch: int) -> str:
        """The members, once anybody tells it of this epoch."""
        return wait_until(
            lambda: text if f"epoch {epoch}," in (text := self.says(data, "show")) else "",
            what=f"epoch {epoch} is shown",
        )


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(capsys)


def test_a_member_moves_and_votes_at_its_new_address(town: Town, desk: Desk) -> None:  # noqa: F811
    data, port = town.cluster.data, free_ports(1)[0]
    town.cluster.stop(2)
    told = desk.says(data, "moved", "--id", "node2", "--host", ELSEWHERE, "--port", port)
    town.cluster.start(2)
    verb, *words = told.rpartition("manage.py members ")[2].split()
    assert "epoch 1 has begun" in desk.says(data, verb, *words, "--yes")
    assert f"node2  {ELSEWHERE}:{port}  " in desk.shows(data, 1)
    town.cluster.stop(3)  # nothing is decided without the vote of the one that moved
    wait_until(lambda: town.do(Barrier()) == "ok", what=lambda: town.cluster.outputs())
    assert town.told_at_last(2, "status")["voting"] is True


@pytest.mark.exhaustive
def test_a_newcomer_elsewhere_follows_members_that_genesis_does_not_know(
    town: Town,  # noqa: F811
    desk: Desk,
    tmp_path: Path,
) -> None:
    """While it follows, no founding key is in use: it knows the members from the file sent to it."""
    here, there = town.cluster.data, tmp_path / "company" / "data"
    for number in (1, 2, 3):
        upcoming = desk.says(here, "next-key", "--id", f"node{number}").strip()
        assert f"epoch {number} has begun" in desk.says(here, "rotate", f"node{number}", upcoming, "--yes")
    desk.shows(here, 3)
    sent = tmp_path / "members.bin"
    desk.says(here, "show", "--write", sent)
    there.parent.mkdir()
    files = [shutil.copy(each, there.parent) for each in (town.cluster.folder.genesis, sent)]
    name = desk.says(there, "prepare", "--id", "n5", "--genesis", files[0], "--sources", files[1]).strip()
    desk.says(here, "enlist", "n5", name)
    town.cluster.stop(0)
    with (here / "node5.out").open("ab") as log:
        town.cluster.processes[5] = validator("-id", "n5", "-data-dir", str(there), log=log)
    word = ClusterFolder(there).node("n5").liveness_proof

    def executed() -> int:
        return canonical.decode(LivenessProof, word.read_bytes()).executed if word.exists() else 0

    wait_until(
        lambda: executed() >= town.gateway.present.after,
        what=lambda: f"it follows\n{town.cluster.output(5)}",
    )
    town.cluster.start(0)
    wait_until(lambda: town.told(0, "status").get("voting") is True, what="node0 is back")
    last = town.gateway.acknowledged
    wait_until(lambda: executed() >= last, what="it has executed everything")
    port = free_ports(1)[0]
    place = ("--host", ELSEWHERE, "--port", port, "--liveness-proof", word, "--yes")
    assert "epoch 4 has begun" in desk.says(here, "add", "n5", name, *place)
    assert f"n5  {ELSEWHERE}:{port}  {name}" in desk.shows(here, 4)
    wait_until(lambda: town.told(4, "status").get("voting") is True, what="it votes")
