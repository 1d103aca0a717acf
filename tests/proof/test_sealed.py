"""A cluster that several parties founded: the file that all of them sealed is a chain to check against."""

from __future__ import annotations

from pathlib import Path

from tests.founding.parties import found
from tickets.proof import chain_of_genesis, read_chain
from validators import canonical, ceremony
from validators import genesis as g


def test_r35_the_sealed_file_and_the_platforms_chain_are_the_same_epochs(tmp_path: Path) -> None:
    parties = found(tmp_path, {"promoter": 41002, "venue": 41001})
    sealed = parties[0].folder.genesis.read_bytes()
    founded = ceremony.open_genesis(sealed)
    exported = canonical.encode(chain_of_genesis(g.encode(founded)))
    assert read_chain(sealed) == read_chain(exported)
    assert [member.id for member in read_chain(sealed).epochs[0].members] == ["promoter", "venue"]
