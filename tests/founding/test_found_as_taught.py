"""The steps of "Four machines, four parties", as they stand there, lead to a cluster that all have sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtvn.node.layout import ClusterFolder
from tests.docs.taught import blocks, commands
from tests.founding.parties import Said

PARTIES = ("seller", "venue", "promoter", "auditor")


def test_four_parties_found_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    steps = commands("\n".join(blocks("start/four-parties.md", "sh")))
    init, *joins, show, seal, install = steps
    assert [words[words.index("--id") + 1] for words in joins] == list(PARTIES)
    for party, words in zip(("", *PARTIES), (init, *joins), strict=True):
        done = Said(*(f"./{party}" if word == "./data" else word for word in words))
        assert done.code == 0, (words, done.error)
    assert Said(*show).error.startswith("not sealed")
    for party in PARTIES:
        done = Said(*(f"./{party}" if word == "./data" else word for word in seal))
        assert done.code == 0, (party, done.error)
    assert "Send cup.genesis to promoter, seller, venue" in done.text
    for party in PARTIES:
        done = Said(*(f"./{party}" if word == "./data" else word for word in install))
        assert done.code == 0, (party, done.error)
    assert Said(*show).code == 0
    found = {ClusterFolder(Path(party)).genesis.read_bytes() for party in PARTIES}
    assert len(found) == 1
