"""`manage.py genesis grant` in a cluster founded without grants: proposed, signed by each party on its own
host, ordered; the real ticket machine decides (R15)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from msgspec.structs import replace

from dtvn.ceremony.granting import GrantError, merged, read_grant
from dtvn.node.keys import peer_id
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import Grant
from dtvn.protocol.genesis import ceremony as c
from tests.api.learner import TableWriter
from tests.fake_gateway import FakeGateway
from tests.founding.parties import Said, found
from tests.host.support import key_pair
from validators.management import granting
from validators.services import network

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

PORTS = {"promoter": 41002, "seller": 41003, "venue": 41001}
NAME = "seller-gateway"
WISH = ("--grant", "gate:final", "--grant", "issue")
GRANTS = (Grant("*", "issue"), Grant("final", "gate"))


class Town:
    """Three parties whose platforms reach one cluster; the file that they sign is `file(party)`."""

    def __init__(self, root: Path, settings: Any) -> None:
        self.parties = {party.name: party for party in found(root, PORTS)}
        self.genesis = c.open_genesis(self.parties["venue"].folder.genesis.read_bytes())
        written = TableWriter().on_executed
        self.gateway = FakeGateway(self.genesis, principal="venue-gateway", on_executed=written)
        self._settings = settings

    def file(self, party: str) -> Path:
        return self.parties[party].data.parent / "seller.grant"

    def types(self, party: str, *words: object) -> Said:
        """A step that this party types on its own host."""
        self._settings.DATA = self.parties[party].data
        return Said("grant", *words, "--data-dir", self.parties[party].data)

    def proposes(self, *more: object) -> Said:
        """The seller proposes, and sends a copy to each other party."""
        said = self.types("seller", "propose", NAME, *WISH, "--out", self.file("seller"), *more)
        if not said.code:
            for party in ("promoter", "venue"):
                shutil.copyfile(self.file("seller"), self.file(party))
        return said

    def signs(self, party: str, *more: object) -> Said:
        return self.types(party, "sign", self.file(party), *more)

    def all_grant(self, name: str, *wish: str) -> Said:
        """Proposed by the seller, signed by one after the other, ordered by the venue."""
        file = self.file("seller").with_name(f"{name}.grant")
        assert self.types("seller", "propose", name, *wish, "--out", file).code == 0
        for party in PORTS:
            assert self.types(party, "sign", file).code == 0
        said = self.types("venue", "order", file)
        assert said.code == 0, said.error
        return said

    def held(self) -> tuple[Grant, ...]:
        principal = self.gateway.application.principals.get(NAME)
        assert principal is not None
        return principal.grants


@pytest.fixture
def town(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    made = Town(tmp_path, settings)
    monkeypatch.setattr(granting, "PRESENT_WAIT", 0.0)
    network.use(made.gateway)
    yield made
    network.use(None)


def shown(said: Said, *, error: str = "") -> dict[str, str]:
    """What a step prints of the statement, by name."""
    assert error in said.error if error else not said.code, said.error
    return {line[:13].strip(): line[13:] for line in said.text.splitlines()[:4]}


def test_r15_the_key_is_that_of_the_folders_own_cluster(town: Town, tmp_path: Path, settings: Any) -> None:
    """The platform of the same process may know another principal of this name."""
    other = {party.name: party for party in found(tmp_path / "other", PORTS)}["venue"]
    gateway = FakeGateway(c.open_genesis(other.folder.genesis.read_bytes()), principal="venue-gateway")
    keys = [
        next(each.public_key for each in genesis.principals if each.name == NAME)
        for genesis in (town.genesis, gateway.genesis)
    ]
    platforms = town.parties["venue"].data
    settings.DATA = platforms
    assert granting._key_of(NAME, town.gateway, platforms) == keys[0] != keys[1]
    assert granting._key_of(NAME, gateway, other.data) == keys[1]


def test_r15_all_parties_grant_what_each_of_them_reads(town: Town) -> None:
    proposed = town.proposes("--days", 3)
    told = shown(proposed)
    key = next(each.public_key for each in town.genesis.principals if each.name == NAME)
    assert told.pop("valid until").endswith(" UTC, in epoch 0")
    assert told == {
        "cluster id": g.cluster_id(town.genesis).hex(),
        "principal": f"{NAME}  {peer_id(key)}",
        "grants": "*:issue, final:gate",
    }
    assert f"{town.file('seller')}: to be signed by promoter, seller, venue." in proposed.text
    for party in PORTS:
        signed = town.signs(party)
        assert shown(signed) == shown(proposed)
        assert f"{town.file(party)}: signed, 1 signature so far." in signed.text
    assert town.held() == ()
    ordered = town.types("promoter", "order", *map(town.file, PORTS))
    assert shown(ordered) == shown(proposed)
    assert ordered.text.endswith(f"decided at sequence {town.gateway.acknowledged}\n")
    assert town.held() == GRANTS


def test_a_statement_is_read_before_it_is_signed(town: Town) -> None:
    """`show` needs no key, and `sign` prints the statement before it opens one."""
    proposed = town.proposes()
    file = town.file("venue")
    before = file.read_bytes()
    read = Said("grant", "show", file)
    assert shown(read) == shown(proposed)
    assert read.text.endswith(f"{file}: 0 signatures so far.\n")
    town.parties["venue"].folder.node("venue").key.write_bytes(b"damaged")
    assert shown(town.signs("venue"), error="key") == shown(proposed)
    assert file.read_bytes() == before


def test_r15_a_grant_is_ordered_only_with_the_signatures_of_all(town: Town) -> None:
    town.proposes()
    town.signs("seller")
    signed = town.signs("venue", town.file("seller"), "--out", both := town.file("venue").with_name("both"))
    assert f"{both}: signed, 2 signatures so far." in signed.text
    before = town.gateway.acknowledged
    said = town.types("venue", "order", both)
    assert (said.code, said.error) == (1, "promoter must still sign: all members are needed.")
    assert (town.held(), town.gateway.acknowledged) == ((), before)


def test_a_rotated_principal_gets_its_grants_under_its_present_key(town: Town) -> None:
    """The platform's copy of the log has that key, genesis only the first one."""
    town.all_grant("venue-gateway", "--grant", "admin")
    key = peer_id(key_pair("seller later")[0])
    call_command("principals", "rotate", NAME, key)
    assert f"{NAME}  {key}\n" in town.all_grant(NAME, *WISH).text
    assert town.held() == GRANTS


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        (NAME, ("--days", 0), "--days 0 is not between 1 and 31"),
        (NAME, ("--days", 32), "--days 32 is not between 1 and 31"),
        (NAME, [f"--grant=e{at}:gate" for at in range(16)], "--grant: at most 16 in one statement"),
        ("nobody", (), "There is no principal nobody: `genesis show` and `principals list` name them."),
    ],
)
def test_a_statement_that_would_be_refused_is_not_proposed(
    town: Town, name: str, more: Sequence[object], why: str
) -> None:
    out = town.file("seller")
    said = town.types("seller", "propose", name, "--grant", "issue", "--out", out, *more)
    assert (said.code, said.error, out.exists()) == (1, why, False)


def test_a_proposal_replaces_no_file(town: Town) -> None:
    town.proposes()
    before = town.file("seller").read_bytes()
    assert town.proposes().error == f"{town.file('seller')} already exists; choose another file with --out."
    assert town.file("seller").read_bytes() == before


def test_files_of_another_statement_cluster_or_epoch_are_refused(town: Town, tmp_path: Path) -> None:
    town.proposes()
    other = tmp_path / "other.grant"
    town.types("seller", "propose", NAME, "--grant", "admin", "--out", other)
    for step in ("sign", "order"):
        said = town.types("venue", step, town.file("venue"), other)
        assert said.error == "The files hold different statements: sign copies of one file."
    elsewhere = found(tmp_path / "elsewhere", {"venue": 41001})[0]
    said = Said("grant", "sign", other, "--data-dir", elsewhere.data)
    assert said.error == f"{elsewhere.data} holds no key of a member of this cluster."
    for party in PORTS:
        town.signs(party)
    copies = [town.file(party) for party in PORTS]
    town.gateway.present = replace(town.gateway.present, epoch=1)
    said = town.types("venue", "order", *copies)
    assert said.error == "The members signed in epoch 0; epoch 1 has begun: sign again."
    town.gateway.genesis = c.open_genesis(elsewhere.folder.genesis.read_bytes())
    said = town.types("venue", "order", *copies)
    assert said.error == f"{copies[0]} is of another cluster than {town.parties['venue'].data}."
    assert town.held() == ()


def test_a_copy_of_another_cluster_is_not_merged(town: Town) -> None:
    """Its signatures cover the other cluster's id; merged, they would make the file unreadable."""
    town.proposes()
    file = read_grant(town.file("venue"))
    with pytest.raises(GrantError, match="different statements"):
        merged(file, [replace(file, cluster=bytes(32))])
