"""A genesis in which no principal may issue, admit or administer is sealed only on request (R15)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.taught import commands
from tests.founding.parties import Party, Said, found
from validators.management.commands.genesis import TEACH

PORTS = {"promoter": 41002, "venue": 41001}
WHOLE = {"promoter": ("issue",), "venue": ("gate", "admin")}


def joined(root: Path, grants: dict[str, tuple[str, ...]]) -> list[Party]:
    """Two parties that asked for these grants, each with the complete, unsealed file."""
    draft = root / "draft.genesis"
    assert Said("init", "--name", "Cup final", "--members", 2, "--out", draft).code == 0
    parties = [Party(root, name) for name in PORTS]
    for party in parties:
        party.receives(draft)
        options = [word for grant in grants.get(party.name, ()) for word in ("--grant", grant)]
        assert party.joins(PORTS[party.name], *options).code == 0
    for party, other in (parties, parties[::-1]):
        assert party.seals(other.file, more=("--merge-only",)).code == 0
    return parties


def seals(party: Party, *more: object) -> Said:
    return Said("seal", party.file, *more, "--data-dir", party.data)


@pytest.mark.parametrize(
    ("grants", "lacking"),
    [
        ({}, "issue tickets (issue), admit them (gate), administer the cluster (admin)"),
        ({"venue": ("gate",)}, "issue tickets (issue), administer the cluster (admin)"),
        ({"venue": ("issue", "gate", "admin:final")}, "administer the cluster (admin)"),
        ({"venue": ("issue:final", "gate:final")}, "administer the cluster (admin)"),
    ],
)
def test_a_genesis_without_grants_is_not_sealed(
    tmp_path: Path, grants: dict[str, tuple[str, ...]], lacking: str
) -> None:
    party = joined(tmp_path, grants)[0]
    before = party.file.read_bytes()
    said = seals(party)
    assert said.code == 1
    assert said.error.startswith(f"In this genesis no principal may {lacking}: ")
    assert "--without-grants" in said.error
    assert party.file.read_bytes() == before
    assert seals(party, "--without-grants").code == 0


def test_a_genesis_with_grants_is_sealed(tmp_path: Path) -> None:
    promoter, venue = joined(tmp_path, WHOLE)
    assert seals(promoter).code == 0
    assert seals(venue, promoter.file).code == 0


def test_the_grants_that_the_help_teaches_are_sealed(tmp_path: Path) -> None:
    join = next(words for words in commands(TEACH) if words[0] == "join")
    taught = tuple(after for word, after in pairwise(join) if word == "--grant")
    assert seals(joined(tmp_path, {"venue": taught})[0]).code == 0


def test_show_names_what_no_principal_may_do(tmp_path: Path) -> None:
    party = joined(tmp_path, {"venue": ("gate",)})[0]
    said = Said("show", party.file)
    assert "WARNING: no principal may issue tickets (issue), administer the cluster (admin)" in said.warnings


def test_seal_says_who_needs_the_file_next_and_how_to_install_it(tmp_path: Path) -> None:
    promoter, venue = joined(tmp_path, WHOLE)
    first = seals(promoter).text
    assert "not yet sealed by venue. Pass the file on" in first
    last = seals(venue, promoter.file).text
    assert f"Send {venue.file} to promoter" in last
    assert "manage.py genesis install" in last
    assert not promoter.folder.genesis.exists()
    promoter.receives(venue.file)
    assert Said("install", promoter.file, "--data-dir", promoter.data).code == 0
    assert promoter.folder.genesis.read_bytes() == venue.folder.genesis.read_bytes()
    assert promoter.folder.node("promoter").genesis.exists()


def test_install_refuses_a_file_that_is_not_sealed_by_all(tmp_path: Path) -> None:
    promoter, _ = joined(tmp_path, WHOLE)
    seals(promoter)
    said = Said("install", promoter.file, "--data-dir", promoter.data)
    assert (said.code, "not sealed yet: venue" in said.error) == (1, True)


def test_install_refuses_a_folder_without_a_key_of_this_cluster(tmp_path: Path) -> None:
    promoter, venue = joined(tmp_path, WHOLE)
    seals(promoter)
    seals(venue, promoter.file)
    said = Said("install", venue.file, "--data-dir", tmp_path / "other")
    assert (said.code, "holds no key of a member" in said.error) == (1, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("whose", ["platform", "node"])
def test_install_leaves_the_genesis_of_another_cluster_alone(tmp_path: Path, whose: str) -> None:
    promoter, venue = joined(tmp_path, WHOLE)
    seals(promoter)
    seals(venue, promoter.file)
    other = found(tmp_path / "other", {"venue": 41001})[0].folder.genesis.read_bytes()
    folder = promoter.folder
    served = folder.genesis if whose == "platform" else folder.node("promoter").genesis
    served.write_bytes(other)
    said = Said("install", venue.file, "--data-dir", promoter.data)
    assert (said.code, f"{served} belongs to another cluster" in said.error) == (1, True)
    assert served.read_bytes() == other
    (rest,) = {folder.genesis, folder.node("promoter").genesis} - {served}
    assert not rest.exists(), "nothing was written"
