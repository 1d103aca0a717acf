"""The page "four machines, four parties" word for word: four hosts, each with an address, a data folder and a
platform of its own, up to an admitted ticket. Hosts are network namespaces (see hosts.py)."""

from __future__ import annotations

import os
import re
import shutil
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
PARTIES = ("seller", "venue", "promoter", "auditor")


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

    def genesis(self, words: list[str]) -> Said:
        """A command of the page, typed here."""
        at = {"cup.genesis": self.file, "./data": self.data, "4001": self.member_port}
        named = {f"{party}.example": self.host.address for party in PARTIES}
        return Said(*(str({**at, **named}.get(word, word)) for word in words))

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
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    """All four with their platforms up."""
    root = tmp_path_factory.mktemp("parties")
    with ExitStack() as ended:
        made = ended.enter_context(hosts(len(PARTIES)))
        parties = {name: Desk(root / name, host) for name, host in zip(PARTIES, made, strict=True)}
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


def test_each_platform_shows_the_members_of_others_as_external(desks: dict[str, Desk]) -> None:
    for name, desk in desks.items():
        told = desk.typed(
            "api $HERE/nodes | python3 -c 'import json, sys; "
            'print(*sorted(n["id"] for n in json.load(sys.stdin) if not n["external"]))\''
        )
        assert told.split() == [name]


@pytest.mark.exhaustive
def test_each_host_has_an_address_of_its_own(desks: dict[str, Desk]) -> None:
    addresses = {desk.host.address for desk in desks.values()}
    assert len(addresses) == len(PARTIES)
    members = desks["auditor"].typed("api $HERE/members")
    for address in addresses:
        assert address in members
