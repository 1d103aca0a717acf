"""Members come and go while people are admitted: real processes, 4 to 7 to 4 (R35, R36)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from dtvn.files.whole import write_private
from dtvn.gateway import Gateway, gather_liveness_proofs
from dtvn.machine import AddPrincipal, Barrier, Command, Issue, Reconfigure
from dtvn.net import ensure_seed, public_key_of
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Change, LivenessProof
from dtvn.protocol.genesis import Member
from dtvn.protocol.quorum import Mode
from tests.integration.network import contents
from tests.integration.node_cluster import ANSWER_WAIT, Cluster, operation, running_cluster, submit, validator
from tests.ports import free_ports
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]


class Town:
    """A cluster, its gateway, and its members over time."""

    def __init__(self, cluster: Cluster, gateway: Gateway) -> None:
        self.cluster = cluster
        self.gateway = gateway

    def do(self, command: Command, ticket: str = "") -> str:
        entry = self.gateway.present.members[0].id
        return submit(self.gateway, [operation(command, ticket, entry=entry)])[0].code

    def told(self, index: int, what: str, arguments: Sequence[str] = ()) -> Any:
        """A member's answer to the query `what`; {} if it does not answer in time."""
        answer = self.gateway.query(index, what, arguments, wait=ANSWER_WAIT).result(ANSWER_WAIT + 10)
        return msgspec.json.decode(answer.text) if not answer.code else {}

    def told_at_last(self, index: int, what: str, arguments: Sequence[str] = ()) -> Any:
        """The same, once it answers."""
        return wait_until(
            lambda: self.told(index, what, arguments),
            what=lambda: f"member {index} tells its {what}\n{self.cluster.outputs()}",
        )

    def words(self, without: str = "", **keys: bytes) -> list[LivenessProof]:
        """Liveness proofs of all members but one; `keys`: the next ones of members whose key is rotated."""
        return gather_liveness_proofs(self.gateway, without=without, keys=keys)

    def change(self, words: Callable[[], list[LivenessProof]], **wanted: Any) -> None:
        """With fresh words at each attempt, as the platform asks: in a busy cluster a newcomer's word is
        more than a window old in a third of a second (R36)."""
        before = self.gateway.present.epoch

        def decided() -> bool:
            code = self.do(Reconfigure(Change(epoch=before, alive=tuple(words()), **wanted)))
            assert code in ("ok", "not_ready"), code
            return code == "ok"

        wait_until(decided, what="the change is decided")
        wait_until(lambda: self.gateway.present.epoch == before + 1, what=f"epoch {before + 1}")

    def add(self, number: int, port: int) -> None:
        """A newcomer follows as a learner first, then it is made a member."""
        name = f"node{number}"
        folder = self.cluster.folder.node(name)
        folder.create()
        key = public_key_of(ensure_seed(folder.key))
        write_private(folder.genesis, self.cluster.folder.genesis.read_bytes())
        assert self.do(AddPrincipal(name, key)) == "ok"
        with (self.cluster.data / f"{name}.out").open("ab") as log:
            self.cluster.processes[number] = validator(
                "-id", name, "-data-dir", str(self.cluster.data), log=log, settings=self.cluster.settings
            )
        wait_until(folder.liveness_proof.exists, what=f"{name} follows")

        def words() -> list[LivenessProof]:
            return [*self.words(), canonical.decode(LivenessProof, folder.liveness_proof.read_bytes())]

        self.change(words, joins=(Member(name, key, "127.0.0.1", port),))

    def remove(self, name: str) -> None:
        self.change(lambda: self.words(without=name), leaves=name)


@pytest.fixture
def consensus() -> Mode:
    return Mode.PBFT


@pytest.fixture
def town(tmp_path: Path, consensus: Mode) -> Iterator[Town]:
    with running_cluster(tmp_path / "data", 4, consensus=consensus) as (cluster, gateway):
        yield Town(cluster, gateway)


@pytest.mark.exhaustive
@pytest.mark.parametrize("consensus", list(Mode))
def test_a_cluster_grows_to_seven_and_shrinks_while_issuing_tickets(town: Town) -> None:
    stop = threading.Event()
    codes: list[str] = []

    def scan() -> None:
        while not stop.is_set():
            codes.append(town.do(Issue(), f"T-{len(codes)}"))

    people = threading.Thread(target=scan)
    people.start()
    try:
        for number, port in zip((4, 5, 6), free_ports(3), strict=True):
            town.add(number, port)
        assert len(town.gateway.present.members) == 7
        for name in ("node0", "node2", "node4"):
            town.remove(name)
    finally:
        stop.set()
        people.join()
    assert [member.id for member in town.gateway.present.members] == ["node1", "node3", "node5", "node6"]
    assert town.do(Barrier()) == "ok"
    last = town.gateway.acknowledged
    wait_until(
        lambda: all(town.told(index, "status").get("sequence", 0) >= last for index in range(4)),
        what="all four have executed everything",
    )
    assert set(codes) == {"ok"}
    assert len(codes) > 20
    # What was acknowledged is there, on members old and new, and their states are equal.
    for index in range(4):
        assert town.told_at_last(index, "ticket", ("default", f"T-{len(codes) - 1}"))
    assert {town.told_at_last(index, "status")["epoch"] for index in range(4)} == {6}


@pytest.mark.exhaustive
@pytest.mark.parametrize("consensus", list(Mode))
def test_a_key_is_rotated_and_the_old_one_erased(town: Town) -> None:
    folder = town.cluster.folder.node("node2")
    old = folder.key.read_bytes()
    key = public_key_of(ensure_seed(folder.next_key))
    member = town.gateway.present.members[2]
    joins = (Member("node2", key, member.host, member.port),)
    town.change(lambda: town.words(node2=key), leaves="node2", joins=joins)
    wait_until(lambda: not folder.next_key.exists(), what="the next key has become the key")
    assert old not in contents(folder.identity)
    wait_until(lambda: town.told(2, "status").get("voting") is True, what="it votes under the new key")
    assert town.do(Barrier()) == "ok"


@pytest.mark.exhaustive
@pytest.mark.parametrize("consensus", list(Mode))
def test_a_wiped_node_unknown_to_genesis_takes_a_state_of_the_newest_epoch(town: Town) -> None:
    """Its log would be 1,200 sequences long, through two epochs that are over (R11, R23, R35)."""
    folder = town.cluster.folder.node("node2")
    key = public_key_of(ensure_seed(folder.next_key))
    member = town.gateway.present.members[2]
    joins = (Member("node2", key, member.host, member.port),)
    town.change(lambda: town.words(node2=key), leaves="node2", joins=joins)
    wait_until(lambda: not folder.next_key.exists(), what="the next key has become the key")
    wait_until(lambda: town.do(Barrier()) == "ok", what="links of the new epoch")
    for number in range(1_200):
        assert town.do(Issue(), f"LONG-{number}") == "ok"
    town.add(4, free_ports(1)[0])
    town.cluster.kill(2)
    town.cluster.lose_ledger(2)
    town.cluster.start(2)
    wait_until(lambda: town.do(Barrier()) == "ok", what="links of the new epoch")
    for number in range(12):  # a state is offered from the first checkpoint on that follows, at the latest
        assert town.do(Issue(), f"LATE-{number}") == "ok"
    last = town.gateway.acknowledged
    wait_until(
        lambda: town.told(2, "status").get("sequence", 0) >= last,
        what=lambda: f"node2 has executed everything\n{town.cluster.output(2)[-3000:]}",
    )
    told = town.told_at_last(2, "status")
    assert (told["epoch"], told["voting"]) == (2, False)
    said = town.cluster.output(2)
    assert "installed" in said
    assert town.told_at_last(2, "ticket", ("default", "LONG-7"))


def test_the_commands_add_replace_rotate_and_remove_members(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(town.cluster.data)
    port = free_ports(1)[0]

    def said(*words: str) -> str:
        call_command("members", words[0], "--data-dir", data, *words[1:])
        return capsys.readouterr().out

    name = said("prepare", "--id", "node4", "--genesis", str(town.cluster.folder.genesis)).strip()
    assert "may now follow the log" in said("enlist", "node4", name)
    with (town.cluster.data / "node4.out").open("ab") as log:
        town.cluster.processes[4] = validator("-id", "node4", "-data-dir", data, log=log)
    word = town.cluster.folder.node("node4").liveness_proof
    wait_until(
        lambda: word.exists() and canonical.decode(LivenessProof, word.read_bytes()).executed > 1,
        what="it lives",
    )
    place = ("--host", "127.0.0.1", "--port", str(port), "--liveness-proof", str(word), "--yes")
    told = said("add", "node4", name, *place)
    assert "now    4 members: 3 decide" in told
    assert "after  5 members: 4 decide" in told
    assert "epoch 1 has begun" in told
    upcoming = said("next-key", "--id", "node2").strip()
    assert "epoch 2 has begun" in said("rotate", "node2", upcoming, "--yes")
    assert "epoch 3 has begun" in said("remove", "node0", "--yes")
    shown = wait_until(
        lambda: text if "epoch 3" in (text := said("show")) else "",
        what="somebody tells it of the newest epoch",
    )
    assert "node0" not in shown
    assert upcoming in shown
    with pytest.raises(CommandError, match="Fewer than four"):
        said("remove", "node1", "--yes")
