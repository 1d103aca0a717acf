"""How the members of a cluster agree: chosen by whoever founds it, shown to all who join and seal, and kept
by a cluster that continues it (R44)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import load_genesis
from dtvn.node.state_file import open_state
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.quorum import Mode
from tests.founding.parties import Party, Said, found
from tests.proof.continuing import keep, old_log

LABEL = "crash-only: a lying member is not tolerated"
FIVE = f"5 members: 3 decide; safe with 0 Byzantine, available with 2 down ({LABEL})"


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def proposed(path: Path, *more: str) -> Said:
    return Said("init", "--name", "Cup", "--members", 5, "--out", path, *more)


def test_r44_init_proposes_the_mode_and_show_says_it(tmp_path: Path) -> None:
    draft = tmp_path / "cup.genesis"
    said = proposed(draft, "--consensus", "raft")
    assert (said.code, said.warnings) == (0, f"WARNING: {FIVE}\n")
    shown = Said("show", draft).text
    assert f"consensus    raft\nsurvives     {FIVE}\n" in shown


def test_r44_pbft_is_what_nobody_need_ask_for(tmp_path: Path) -> None:
    """The file has the form that it always had, so that parties with older programs can join."""
    for name, more in (("a", ()), ("b", ("--consensus", "pbft"))):
        draft = tmp_path / name
        assert (proposed(draft, *more).code, proposed(tmp_path / f"{name}2", *more).warnings) == (0, "")
        terms = c.decode(draft.read_bytes()).terms
        assert (type(terms), c.mode(terms)) == (c.Terms, Mode.PBFT)
        assert "consensus    pbft\n" in Said("show", draft).text


def test_r44_a_word_that_is_no_mode_is_refused_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        proposed(tmp_path / "cup.genesis", "--consensus", "paxos")
    assert "--consensus: invalid choice: 'paxos' (choose from 'pbft', 'raft')" in capsys.readouterr().err
    assert not (tmp_path / "cup.genesis").exists()


def test_r44_all_who_join_and_seal_are_told_and_start_in_that_mode(tmp_path: Path) -> None:
    draft = tmp_path / "cup.genesis"
    proposed(draft, "--consensus", "raft")
    party = Party(tmp_path, "venue")
    party.receives(draft)
    joined = party.joins(41001)
    assert joined.warnings == f"WARNING: {FIVE}\n", "before it seals"
    names = ("auditor", "promoter", "seller", "usher", "venue")
    parties = found(
        tmp_path / "all",
        {name: 41001 + at for at, name in enumerate(names)},
        more=("--consensus", "raft"),
    )
    for each in parties:
        assert g.mode(load_genesis(each.folder.genesis)) is Mode.RAFT


def test_r44_another_mode_is_another_ceremony(tmp_path: Path) -> None:
    """A party that joined one finds out when it merges the other."""
    files = {}
    for mode in Mode:
        party = Party(tmp_path / mode, "venue")
        draft = tmp_path / f"{mode}.genesis"
        proposed(draft, "--consensus", mode.value)
        party.receives(draft)
        assert party.joins(41001).code == 0
        files[mode] = party
    said = files[Mode.RAFT].seals(files[Mode.PBFT].file)
    assert said.code == 1
    assert "two clusters" in said.error


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The certified state of a Raft cluster of five."""
    keep(old_log(10, 5, Mode.RAFT), tmp_path / "old", stable=10)
    out = tmp_path / "cup.state"
    said = Said("continue", "save", "--data-dir", tmp_path / "old", "--id", "r0", "--out", out)
    assert said.code == 0, said.error
    assert "which r0, r1, r2 signed" in said.text, "three of five"
    return out


def test_r44_a_continuation_keeps_the_mode(state: Path, tmp_path: Path) -> None:
    draft = tmp_path / "two.genesis"
    said = Said("continue", "init", state, "--name", "Two", "--members", 1, "--out", draft)
    assert said.code == 0, said.error
    terms = c.decode(draft.read_bytes()).terms
    assert (c.mode(terms), c.continued(terms)) == (Mode.RAFT, open_state(state).continued)
    party = Party(tmp_path, "venue")
    party.receives(draft)
    assert party.joins(41001).code == 0
    assert "consensus    raft\n" in Said("show", party.file).text
    said = party.seals(more=("--state", str(state)))
    assert said.code == 0, said.error
    assert g.mode(load_genesis(party.folder.genesis)) is Mode.RAFT


def test_r44_a_continuation_that_would_change_the_mode_is_not_sealed(state: Path, tmp_path: Path) -> None:
    continued = open_state(state).continued
    terms = c.propose("Two", 1, 1, g.Parameters(), consensus=Mode.PBFT, continues=continued)
    party = Party(tmp_path, "venue")
    party.file.parent.mkdir(parents=True, exist_ok=True)
    party.file.write_bytes(c.encode(c.begin(terms)))
    assert party.joins(41001).code == 0
    said = party.seals(more=("--state", str(state)))
    assert said.code == 1
    assert "Two is to agree by pbft" in said.error
    assert "agreed by raft" in said.error
    assert not party.folder.genesis.exists()


def test_r44_a_demo_that_continues_keeps_the_mode(state: Path, tmp_path: Path) -> None:
    said = Said("continue", "demo", state, "--data-dir", tmp_path / "new", "--nodes", 3)
    assert said.code == 0, said.error
    assert g.mode(load_genesis(ClusterFolder(tmp_path / "new").genesis)) is Mode.RAFT
