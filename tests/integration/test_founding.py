"""Four parties with four data folders: their validators agree, no grant means no admission, and all
together grant."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Barrier, Issue
from tests.founding.parties import Party, Said, found
from tests.integration.node_cluster import operation, submit, validator
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.integration

NAMES = ("auditor", "promoter", "seller", "venue")


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[list[Party]]:
    """Sealed by all, and a validator process for each."""
    ports = dict(zip(NAMES, free_ports(4), strict=True))
    founded = found(tmp_path, ports, {"seller": ("issue",), "venue": ("operate", "gate")})
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as files:
        for party in founded:
            log = files.enter_context((party.data.parent / "out").open("ab"))
            processes.append(validator("-id", party.name, "-data-dir", str(party.data), log=log))
        try:
            yield founded
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(PATIENCE)


def test_parties_that_share_no_secret_agree_on_an_admission(parties: list[Party]) -> None:
    _auditor, promoter, seller, venue = parties
    with ExitStack() as gateways:
        desks = {
            party.name: gateways.enter_context(Gateway.open(party.folder.genesis, party.folder.gateway_key))
            for party in (promoter, seller, venue)
        }

        def commits() -> bool:
            return submit(desks["seller"], [operation(Barrier(), entry="seller")], wait=2.0)[0].code == "ok"

        wait_until(commits, what="the four of them decide")
        reached = [desk.agreement for desk in desks.values()]
        wait_until(lambda: all(asked().has_quorum for asked in reached), what="every desk has reached them")

        def do(name: str, command: Issue | Admit, ticket: str = "T-1") -> str:
            asked = operation(command, ticket=ticket, entry=name)
            return submit(desks[name], [asked])[0].code

        assert do("promoter", Issue()) == "not_permitted"
        assert do("seller", Issue()) == "ok"
        assert do("promoter", Admit()) == "not_permitted"
        assert do("seller", Admit()) == "not_permitted"
        assert do("venue", Admit()) == "ok"
        assert do("venue", Admit()) == "already_consumed"
        assert do("promoter", Issue(), "T-2") == "not_permitted"
        all_grant_issue(parties, promoter)
        assert do("promoter", Issue(), "T-2") == "ok"


def all_grant_issue(parties: list[Party], to: Party) -> None:
    """It proposes and orders; each signs in turn (R15)."""
    file = to.data.parent / "issue.grant"
    name = f"{to.name}-gateway"
    steps = [
        (to, ("propose", name, "--grant", "issue", "--out", file)),
        *((party, ("sign", file)) for party in parties),
        (to, ("order", file)),
    ]
    for party, words in steps:
        said = Said("grant", *words, "--data-dir", party.data)
        assert said.code == 0, said.error
        assert f"principal    {name}" in said.text
        assert "grants       *:issue\n" in said.text
    assert "decided at sequence " in said.text
