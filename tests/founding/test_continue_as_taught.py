"""The runbook's steps, and those of `genesis continue --help`, as they stand there (R11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.node.layout import ClusterFolder
from tests.docs.taught import commands
from tests.founding.parties import Said
from tests.proof.continuing import keep, old_log
from validators.management.genesis_parsers import CONTINUE as TEACH

RUNBOOK = Path(__file__).resolve().parents[2] / "docs/operate/runbook.md"
PARTIES = {"venue": "4001", "promoter": "4002", "seller": "4003", "auditor": "4004"}


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def of(party: str, words: list[str]) -> list[str]:
    """The words as another party types them."""
    mine = {"./new": f"./{party}", "venue": party, "4001": PARTIES[party]}
    return [mine.get(word, word) for word in words]


@pytest.mark.parametrize(
    "text",
    [RUNBOOK.read_text(encoding="utf-8").partition("## A new cluster out of")[2], TEACH],
    ids=["runbook", "help"],
)
def test_r11_the_steps_lead_to_a_sealed_cluster(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep(old_log(), Path("old"), stable=10, name="venue")
    found = [words for words in commands(text) if "demo" not in words]
    assert [words[0] for words in found] == ["continue"] * 3 + ["join", "seal", "seal"]
    for words in found:
        for party in PARTIES if words[0] in ("join", "seal") else ["venue"]:
            said = Said(*of(party, words)) if words[0] != "continue" else Said(*words)
            assert said.code == 0, (words, said.error)
    assert "sealed by all" in said.text
    for party in PARTIES:
        folder = ClusterFolder(Path(party))
        assert folder.continued.read_bytes() == Path("cup.state").read_bytes()
        assert folder.genesis.exists()
    demo = ["continue", "demo", "cup.state", "--data-dir", "./new"]
    assert " ".join(demo) in " ".join(text.split())
    assert Said(*demo).code == 0
