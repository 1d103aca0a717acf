"""The page "four machines, four parties" word for word: four hosts, each with an address, a data folder and a
platform of its own, up to an admitted ticket. Then, by the page on founding, a platform without a node joins
them, and one party moves. Hosts are network namespaces (see hosts.py)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.taught import DOCS, blocks, commands
from tests.founding.parties import Said
from tests.integration.hosts import Host, hosts, run_on
from tests.integration.network import REPOSITORY, START_PATIENCE, Network, end_in_order
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(1_800)]

PAGE = "start/four-parties.md"
FOUNDING = "operate/founding.md"
PARTIES = ("seller", "venue", "promoter", "auditor")
AGENCY, ELSEWHERE = "agency", "venue2"
"""Hosts of a platform without a node, and of the party that moves."""


class Desk(Network):
    """One party: its host, and the platform that it starts there."""

    def __init__(self, root: Path, host: Host) -> None:
        (root / "data").mkdir(parents=True)
        (root / "data").rmdir()
        super().__init__(root / "data", port=8_080 if host.separate else None)
        self.host = host
        self.member_port = 4_001 if host.separate else free_ports(1)[0]

    @property
    def file(self) -> Path:
        return self.data.parent / "cup.genesis"

    def command(self) -> list[str]:
        return [*self.host.enter, *super().command()]

    def placed(self, words: list[str]) -> list[str]:
        """Words of a page's command, with what they stand for here."""
        at = {"cup.genesis": self.file, "./data": self.data, "4001": self.member_port}
        named = {f"{party}.example": self.host.address for party in PARTIES}
        return [str({**at, **named}.get(word, word)) for word in words]

    def genesis(self, words: list[str]) -> Said:
        """A `genesis` command of the page, typed here."""
        return Said(*self.placed(words))

    def manage(self, *words: str) -> str:
        """What another command printed that was typed on this host."""
        done = run_on(
            self.host,
            (sys.executable, "manage.py", *words),
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            timeout=4 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def typed(self, line: str) -> str:
        """What a shell on this host prints, with the function `api` of "five minutes"."""
        prepared = blocks("start/five-minutes.md", "sh")[0]
        done = run_on(
            self.host,
            ("bash", "-c", f"set -e\n{prepared}\n{line}"),
            cwd=self.data.parent,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "no_proxy": "*"},
            capture_output=True,
            timeout=2 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def decided(self, line: str) -> str:
        """The same, repeated while nothing could be sent to the validators."""
        said = ""

        def sent() -> bool:
            nonlocal said
            said = self.typed(line)
            return '"unavailable"' not in said

        wait_until(sent, what=lambda: said)
        return said


def passed_on(sender: Desk, receiver: Desk) -> None:
    shutil.copyfile(sender.file, receiver.file)


def found(desks: dict[str, Desk]) -> None:
    """The steps of the page, the file passed on by hand after each."""
    init, *joins, show, seal, install = commands("\n".join(blocks(PAGE, "sh")))
    assert [words[0] for words in (init, show, seal, install)] == ["init", "show", "seal", "install"]
    before = desks["seller"]
    assert before.genesis(init).code == 0
    for words in joins:
        desk = desks[words[words.index("--id") + 1]]
        if desk is not before:
            passed_on(before, desk)
        said = desk.genesis(words)
        assert said.code == 0, said.error
        before = desk
    for party in PARTIES:
        passed_on(before, desks[party]) if desks[party] is not before else None
        before = desks[party]
        before.genesis(show)
        said = before.genesis(seal)
        assert said.code == 0, said.error
    assert "sealed by all" in said.text
    for desk in desks.values():
        passed_on(before, desk) if desk is not before else None
        assert desk.genesis(install).code == 0


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    """A desk on a host of its own for each party, and for those that come later."""
    root = tmp_path_factory.mktemp("parties")
    names = (*PARTIES, AGENCY, ELSEWHERE)
    with hosts(len(names)) as made:
        yield {name: Desk(root / name, host) for name, host in zip(names, made, strict=True)}


@pytest.fixture(scope="module")
def desks(places: dict[str, Desk]) -> Iterator[dict[str, Desk]]:
    """The four parties with their platforms up."""
    with ExitStack() as ended:
        parties = {name: places[name] for name in PARTIES}
        found(parties)
        for desk in parties.values():
            ended.enter_context(end_in_order(desk))
            desk.launch()
        for desk in parties.values():
            wait_until(desk.is_ready, timeout=2 * START_PATIENCE, what=lambda desk=desk: desk.said())
        yield parties


def test_four_parties_admit_a_ticket_as_the_page_says(desks: dict[str, Desk]) -> None:
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    rows = re.findall(r"^\| the (\w+) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    line = ""
    for party, command, answer in rows:
        line = line if command == "the same" else command.strip("`")
        told = desks[party].decided(line)
        if code := re.search(r"`(\w+)`", answer.partition(";")[0]):
            assert code[1] in told, (party, line, told)
        else:
            assert "error" not in told, (party, line, told)
    again = desks["venue"].decided("""api -X POST $HERE/tickets/admit -d '{"ticket_id": "A-1"}'""")
    assert "already_consumed" in again


def own_nodes(desk: Desk) -> list[str]:
    """The nodes that a platform does not show as external."""
    told = desk.typed(
        "api $HERE/nodes | python3 -c 'import json, sys; "
        'print(*sorted(n["id"] for n in json.load(sys.stdin) if not n["external"]))\''
    )
    return told.split()


def test_each_platform_shows_the_members_of_others_as_external(desks: dict[str, Desk]) -> None:
    for name, desk in desks.items():
        assert own_nodes(desk) == [name]


@pytest.mark.exhaustive
def test_each_host_has_an_address_of_its_own(desks: dict[str, Desk]) -> None:
    addresses = {desk.host.address for desk in desks.values()}
    assert len(addresses) == len(PARTIES)
    members = desks["auditor"].typed("api $HERE/members")
    for address in addresses:
        assert address in members


def taught(verb: str) -> list[str]:
    """The words of a `manage.py` command of the page on founding."""
    page = (DOCS / FOUNDING).read_text(encoding="utf-8")
    found = re.search(rf"manage\.py ({verb} [^`#\n]+)", page)
    assert found, verb
    return shlex.split(found[1])


def admits(desks: dict[str, Desk], at: Desk, ticket: str) -> None:
    """A new ticket of the seller is admitted at this desk, and nowhere again."""
    body = f"""-d '{{"ticket_id": "{ticket}"}}'"""
    assert "error" not in desks["seller"].decided(f"api -X POST $HERE/tickets {body}")
    told = at.decided(f"api -X POST $HERE/tickets/admit {body}")
    assert "error" not in told, told
    assert "already_consumed" in at.decided(f"api -X POST $HERE/tickets/admit {body}")


@pytest.mark.exhaustive
def test_a_platform_without_a_node_admits_a_ticket(desks: dict[str, Desk], places: dict[str, Desk]) -> None:
    agency = places[AGENCY]
    passed_on(desks["seller"], agency)
    said = agency.genesis(taught("genesis attach")[1:])
    assert said.code == 0, said.error
    adds = re.findall(r"manage\.py (principals add \S+-(\w+) \S+)", said.text)
    assert [kind for _, kind in adds] == ["gateway", "learner"], said.text
    for line, kind in adds:
        grant = ("--grant", "gate") if kind == "gateway" else ()
        promoter = desks["promoter"]
        promoter.manage(*line.split(), *grant, "--data-dir", str(promoter.data))
    with end_in_order(agency):
        agency.launch()
        wait_until(agency.is_ready, timeout=2 * START_PATIENCE, what=agency.said)
        admits(desks, agency, "A-2")
        assert own_nodes(agency) == []


@pytest.mark.exhaustive
def test_a_party_moves_with_its_data_folder_to_another_host_port_and_path(
    desks: dict[str, Desk], places: dict[str, Desk]
) -> None:
    """Then the auditor ends, so that three are left: the others reach the one that moved."""
    venue, moved = desks["venue"], places[ELSEWHERE]
    venue.stop()
    moved.data.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(venue.data), str(moved.data)], check=True, timeout=PATIENCE)
    shutil.rmtree(venue.data)
    moved.port = free_ports(1)[0]
    port = str(moved.member_port + 1_000 if moved.host.separate else free_ports(1)[0])
    at = {"venue2.example": moved.host.address, "5001": port}
    told, ordered = (
        moved.placed([at.get(word, word) for word in taught(verb)])
        for verb in ("members moved", "members move")
    )
    moved.manage(*told)
    with end_in_order(moved):
        moved.launch()
        desks["promoter"].manage(*ordered, "--yes")
        wait_until(moved.is_ready, timeout=2 * START_PATIENCE, what=moved.said)
        assert f'"port": {port}' in desks["seller"].typed("api $HERE/members | python3 -m json.tool")
        desks["auditor"].stop()
        admits(desks, moved, "A-3")
