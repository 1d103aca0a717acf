"""`manage.py genesis continue`: from the remains of an old cluster to one that continues it (R11). Real
ledgers and keys of several parties; nodes are built as their processes build them.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.ledger import DATABASE_FILE
from dtvn.machine import Admit
from dtvn.machine.snapshot import Staging
from dtvn.node.build import build_node
from dtvn.node.layout import ClusterFolder
from dtvn.node.learner import build_learner
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions, StartError
from dtvn.node.provision import make_newcomer
from dtvn.node.state_file import PIECE_BYTES_MAX, open_state
from dtvn.proof import chain_json
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import CheckpointRecord, Install
from dtvn.protocol.genesis import ceremony as c
from tests.founding.parties import Party, Said
from tests.proof.continuing import LOST, head_of, keep, old_log
from tests.proof.support import PaperLog
from tests.proof.test_sealed import certificate_by
from tests.proof.verdicts import by_browser, by_dtvn, by_one_file
from validators.ledger import open_ledger, read
from validators.ledger.location import WITNESS_FILE

SEQUENCE = 10
PORTS = {"promoter": 41002, "venue": 41001}


@pytest.fixture(scope="module", autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[PaperLog, Path]:
    """A node whose log goes on above its newest stable checkpoint: a ticket was admitted there."""
    log = old_log(SEQUENCE)
    log.order([log.operation(Admit(gate="north"), LOST, nonce=b"lost")])
    data = tmp_path_factory.mktemp("old") / "data"
    keep(log, data, stable=SEQUENCE)
    return log, data


@pytest.fixture(scope="module")
def state(old: tuple[PaperLog, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "cup.state"
    said = Said("continue", "save", "--data-dir", old[1], "--id", "r0", "--out", path)
    assert said.code == 0, said.error
    assert "sequence 10, which r0, r1, r2 signed" in said.text
    assert "a ticket admitted later can be admitted again" in said.text
    return path


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of the same old cluster at sequence 20."""
    place = tmp_path_factory.mktemp("later")
    keep(old_log(20), place / "data", stable=20)
    out = place / "later.state"
    assert Said("continue", "save", "--data-dir", place / "data", "--id", "r0", "--out", out).code == 0
    return out


# --- the file -----------------------------------------------------------------------------------------


def test_r11_the_state_of_the_checkpoint_is_rebuilt_and_shown(
    old: tuple[PaperLog, Path], state: Path
) -> None:
    log, _data = old
    said = Said("continue", "show", state)
    assert said.code == 0, said.error
    assert f"old cluster  {log.cluster.hex()}" in said.text
    assert f"state root   {log.roots[SEQUENCE - 1].hex()}" in said.text
    assert "tickets      2 CONSUMED, 5 ISSUED" in said.text


def test_r11_save_works_where_the_rows_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    log = old_log(SEQUENCE)
    keep(log, tmp_path / "data", stable=SEQUENCE)
    out = tmp_path / "a.state"
    assert Said("continue", "save", "--data-dir", tmp_path / "data", "--id", "r0", "--out", out).code == 0
    assert open_state(out).continued.state_root == log.roots[SEQUENCE - 1]


def test_r11_a_state_is_rebuilt_across_the_end_of_an_epoch(tmp_path: Path) -> None:
    log = old_log(SEQUENCE)
    log.change(leaves="r3", joins="r9")
    log.fill(22)
    keep(log, tmp_path / "data", stable=20)
    out = tmp_path / "a.state"
    said = Said("continue", "save", "--data-dir", tmp_path / "data", "--id", "r0", "--out", out)
    assert said.code == 0, said.error
    found = open_state(out).continued
    assert (found.epoch, found.sequence) == (1, 20)


def test_save_makes_no_ledger_where_none_is(tmp_path: Path) -> None:
    keep(old_log(SEQUENCE), tmp_path / "data", stable=SEQUENCE)
    ledger = ClusterFolder(tmp_path / "data").node("r0").ledger
    for each in ledger.iterdir():
        each.unlink()
    said = refused("continue", "save", "--data-dir", tmp_path / "data", "--id", "r0", "--out", tmp_path / "x")
    assert said.endswith(f"{ledger / DATABASE_FILE} does not exist: this folder holds no ledger.")
    assert list(ledger.iterdir()) == []


def test_r11_an_empty_ledger_found_by_save_does_not_vote(tmp_path: Path) -> None:
    """Witness file and content are gone, as with a dropped schema: opening it again does not make it new."""
    log = old_log(SEQUENCE)
    keep(log, tmp_path / "data", stable=SEQUENCE)
    ledger = ClusterFolder(tmp_path / "data").node("r0").ledger
    (ledger / WITNESS_FILE).unlink()
    (ledger / DATABASE_FILE).write_bytes(b"")
    where = ("--data-dir", tmp_path / "data", "--id", "r0", "--out", tmp_path / "x.state")
    assert "holds no ledger" in refused("continue", "save", *where)
    opened = open_ledger(ledger, cluster_id=log.cluster, alias="found")
    try:
        assert not opened.voting
    finally:
        opened.close()


def test_r11_a_log_that_does_not_lead_to_the_signed_state_is_not_saved(tmp_path: Path) -> None:
    log = old_log(12)
    log.roots[SEQUENCE - 1] = bytes(32)
    keep(log, tmp_path / "data", stable=SEQUENCE)
    where = ("--data-dir", tmp_path / "data", "--id", "r0", "--out", tmp_path / "x.state")
    assert "does not lead to the state that was signed at sequence 10" in refused("continue", "save", *where)
    assert not (tmp_path / "x.state").exists()


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_r11_a_changed_byte_anywhere_is_found(state: Path, tmp_path: Path, at: float) -> None:
    data = bytearray(state.read_bytes())
    data[int(len(data) * at)] ^= 1
    forged = tmp_path / "forged.state"
    forged.write_bytes(data)
    assert "Error" not in refused("continue", "show", forged)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty; wanted is the certified state of a cluster, which `genesis continue save` writes"),
        (b"noise", "is of no kind that is known here; wanted is the certified state"),
        (b"\x94\xaedtvn-genesis-1", "is a genesis; wanted is the certified state"),
        (b"dtvn-state-1\n", "proves no state"),
        (b"dtvn-state-1\n\xff\xff\xff\xff", "cut off, or no state file"),
        (b"dtvn-state-1\n\0\0\0\x02\x90\x90", "has not the form of one"),
    ],
)
def test_other_files_than_state_files_are_refused_with_a_message(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "no.state"
    path.write_bytes(content)
    assert why in refused("continue", "show", path)


def test_a_state_file_whose_head_is_above_the_limit_is_not_read(tmp_path: Path) -> None:
    """Its first four bytes would have any number of others read into memory."""
    path = tmp_path / "large.state"
    size = PIECE_BYTES_MAX + 1
    with path.open("wb") as file:
        file.write(b"dtvn-state-1\n" + size.to_bytes(4, "big"))
        file.truncate(file.tell() + size)
    assert "cut off, or no state file" in refused("continue", "show", path)


def test_a_state_file_that_was_cut_is_refused(state: Path, tmp_path: Path) -> None:
    data = state.read_bytes()
    path = tmp_path / "cut.state"
    for size in (len(data) - 1, len(data) // 2):
        path.write_bytes(data[:size])
        assert refused("continue", "show", path)


def test_bad_input_is_refused_in_one_sentence(
    old: tuple[PaperLog, Path], state: Path, tmp_path: Path
) -> None:
    data = old[1]
    empty = tmp_path / "empty"
    ClusterFolder(empty).create()
    there = ("--data-dir", data, "--out", tmp_path / "x.state")
    for arguments, why in (
        (("show", tmp_path / "absent"), "cannot be read"),
        (("show", tmp_path), "cannot be read"),
        (("save", *there, "--id", "r1"), "holds no node r1, but r0"),
        (
            ("save", "--data-dir", tmp_path / "none", "--id", "r0", "--out", tmp_path / "x"),
            "holds no cluster",
        ),
        (("save", *there, "--id", "../r0"), "is not a valid node name"),
        (("save", "--data-dir", data, "--id", "r0", "--out", state), "already exists"),
        (("save", "--data-dir", empty, "--learner", "--out", tmp_path / "x"), "holds no cluster"),
        (("init", state, "--name", "", "--members", 2, "--out", tmp_path / "x"), "1 to 64"),
        (("init", state, "--name", "x", "--members", 0, "--out", tmp_path / "x"), "1 to 31"),
        (("demo", state, "--data-dir", tmp_path / "demo", "--nodes", 0), "not between 1 and 31"),
        (("install", state, "--data-dir", empty), "holds no cluster"),
        (("install", state, "--data-dir", data), "give the node's --id"),
        (("show", state, "--old-chain", state), "not the genesis or epoch chain of the old cluster"),
    ):
        assert why in refused("continue", *arguments), arguments
    assert not (tmp_path / "demo").exists()


def test_each_step_prints_the_next_one(old: tuple[PaperLog, Path], state: Path, tmp_path: Path) -> None:
    out, demo = tmp_path / "again", tmp_path / "demo"
    propose = ("init", state, "--name", "x", "--members", 2)
    for arguments, next_step in (
        (("save", "--data-dir", old[1], "--id", "r0", "--out", out), f"genesis continue show {out}"),
        (("show", state), f"genesis continue init {state}"),
        ((*propose, "--out", tmp_path / "g"), f"genesis join {tmp_path / 'g'}"),
        (("demo", state, "--data-dir", demo, "--nodes", 1), f"make up DATA={demo}"),
        (("install", state, "--data-dir", demo), "start"),
    ):
        said = Said("continue", *arguments)
        last = said.text.rstrip().splitlines()[-1]
        assert last.startswith("Next: "), (arguments, said.text, said.error)
        assert next_step in last


def test_r35_a_state_is_proved_through_the_chain_that_a_party_knows(tmp_path: Path) -> None:
    log = old_log(SEQUENCE)
    bare = tmp_path / "genesis.bin"
    bare.write_bytes(g.encode(log.genesis))
    keep(log, tmp_path / "early", stable=SEQUENCE)
    early, late = tmp_path / "early.state", tmp_path / "late.state"
    save = ("continue", "save", "--id", "r0", "--data-dir")
    assert Said(*save, tmp_path / "early", "--out", early).code == 0
    log.change(leaves="r3", joins="r9")
    log.fill(22)
    keep(log, tmp_path / "late", stable=20)
    assert Said(*save, tmp_path / "late", "--out", late).code == 0
    chain, other = tmp_path / "epochs.json", tmp_path / "other.bin"
    chain.write_bytes(chain_json(log.chain()))
    other.write_bytes(g.encode(PaperLog(4, "other").genesis))
    for known in (bare, chain):
        assert Said("continue", "show", late, "--old-chain", known).code == 0
    assert Said("continue", "show", early, "--old-chain", bare).code == 0
    assert "ends with epoch 0, and epoch 1 was seen" in refused(
        "continue", "show", early, "--old-chain", chain
    )
    assert "contradicts the cluster" in refused("continue", "show", late, "--old-chain", other)
    assert "cannot be read" in refused("continue", "show", late, "--old-chain", tmp_path / "none")


def test_r10_a_ledger_in_use_is_not_saved_from(tmp_path: Path) -> None:
    log = old_log(SEQUENCE)
    keep(log, tmp_path / "data", stable=SEQUENCE)
    ledger = open_ledger(
        ClusterFolder(tmp_path / "data").node("r0").ledger, cluster_id=log.cluster, alias="held"
    )
    try:
        where = ("--data-dir", tmp_path / "data", "--id", "r0", "--out", tmp_path / "x.state")
        assert "in use" in refused("continue", "save", *where)
    finally:
        ledger.close()


def refused(*arguments: Any) -> str:
    """The one sentence with which a command ends."""
    said = Said(*arguments)
    assert said.code == 1
    assert "\n" not in said.error
    return said.error


# --- several parties ----------------------------------------------------------------------------------


@pytest.fixture
def pair(state: Path, tmp_path: Path) -> list[Party]:
    """Two parties that joined the new cluster."""
    draft = tmp_path / "draft.genesis"
    said = Said("continue", "init", state, "--name", "Cup 2", "--members", 2, "--out", draft)
    assert said.code == 0, said.error
    parties = [Party(tmp_path, name) for name in PORTS]
    for party in parties:
        party.receives(draft)
        assert party.joins(PORTS[party.name]).code == 0
    return parties


def sealed(pair: list[Party], state: Path) -> list[Party]:
    for _round in range(2):
        for party in pair:
            said = party.seals(*(other.file for other in pair), more=("--state", str(state)))
            assert said.code == 0, said.error
    return pair


def test_r11_parties_continue_a_cluster_by_the_ordinary_ceremony(
    old: tuple[PaperLog, Path], state: Path, pair: list[Party]
) -> None:
    parties = sealed(pair, state)
    said = Said("show", parties[0].file)
    assert (
        f"continues    cluster {old[0].cluster.hex()} at sequence 10, epoch 0, signed by r0, r1, r2"
        in said.text
    )
    for party in parties:
        genesis = c.open_genesis(party.folder.genesis.read_bytes())
        assert g.continued(genesis) == open_state(state).continued
        assert party.folder.continued.read_bytes() == state.read_bytes()
        assert party.folder.node(party.name).genesis.exists()


def test_r11_every_verifier_reads_the_file_that_the_parties_sealed(state: Path, pair: list[Party]) -> None:
    """They make the same cluster of it, and know where its log begins."""
    parties = sealed(pair, state)
    data = parties[0].folder.genesis.read_bytes()
    genesis = c.open_genesis(data)
    bare, cluster = g.encode(genesis), g.cluster_id(genesis)
    unsealed = c.encode(replace(c.decode(data), seals=()))
    below = certificate_by(parties, cluster)
    given = [
        {"chain": base64.b64encode(chain).decode(), "certificate": base64.b64encode(below).decode()}
        for chain in (data, bare, unsealed, data.replace(b"dtvn-genesis-2", b"dtvn-genesis-1"))
    ]
    outside = {"refused": "outside_epoch", "place": "sequence 3"}
    expected = [
        *[outside] * 2,
        {"refused": "invalid_genesis", "place": "genesis"},
        {"refused": "malformed", "place": "genesis"},
    ]
    assert by_browser(given) == expected
    assert [by_dtvn(each) for each in given] == expected
    assert [by_one_file(each) for each in given] == expected


def test_r11_a_newcomer_is_given_the_state_by_its_own_genesis(
    state: Path, pair: list[Party], tmp_path: Path
) -> None:
    parties = sealed(pair, state)
    folder = ClusterFolder(tmp_path / "late")
    folder.create()
    install = ("continue", "install", state, "--data-dir", folder.root)
    make_newcomer(folder.node("late"), parties[0].folder.genesis.read_bytes())
    assert "holds no platform, but late: give the node's --id" in refused(*install)
    root, options = folder.node("late").root, NodeOptions(bind=("127.0.0.1", 0))
    with pytest.raises(StartError, match="genesis continue install"):
        build_node(root, logging.getLogger("test.continue"), options, open_ledger)
    assert Said(*install, "--id", "late").code == 0
    node = build_node(root, logging.getLogger("test.continue"), options, open_ledger)
    try:
        assert isinstance(node, NonMember)
        node.start()
        assert node.executed == SEQUENCE
    finally:
        node.close()


def test_r11_sealing_requires_a_check_of_the_own_state_file(
    state: Path, later: Path, pair: list[Party], tmp_path: Path
) -> None:
    promoter, venue = pair
    files = (promoter.file, venue.file)
    why = promoter.seals(*files).error
    assert "give its state file" in why
    forged = tmp_path / "forged.state"
    data = bytearray(state.read_bytes())
    data[-40] ^= 1
    forged.write_bytes(data)
    assert "is not the state" in promoter.seals(*files, more=("--state", str(forged))).error
    why = promoter.seals(*files, more=("--state", str(later))).error
    assert "is the state of sequence 20" in why
    assert "sequence 10" in why
    assert (
        "not sealed" in Said("show", promoter.file).error
        or "have joined" in Said("show", promoter.file).error
    )
    same = old_log(SEQUENCE)
    keep(same, tmp_path / "same", stable=SEQUENCE, signers=(1, 2, 3))
    mine = tmp_path / "mine.state"
    assert Said("continue", "save", "--data-dir", tmp_path / "same", "--id", "r0", "--out", mine).code == 0
    why = promoter.seals(*files, more=("--state", str(mine))).error
    assert "under signatures of r1, r2, r3, and the genesis names those of r0, r1, r2" in why
    plain = tmp_path / "plain.genesis"
    assert Said("init", "--name", "x", "--members", 2, "--out", plain).code == 0
    promoter.file.write_bytes(plain.read_bytes())
    assert "continues no other cluster" in promoter.seals(more=("--state", str(state))).error


def test_r11_a_node_without_the_state_does_not_start(state: Path, later: Path, pair: list[Party]) -> None:
    promoter, _venue = sealed(pair, state)
    root = promoter.folder.node("promoter").root
    logger = logging.getLogger("test.continue")
    promoter.folder.continued.unlink()
    options = NodeOptions(bind=("127.0.0.1", 0))
    with pytest.raises(StartError, match="genesis continue install"):
        build_node(root, logger, options, open_ledger)
    with pytest.raises(StartError, match="genesis continue install"):
        build_learner(promoter.data, logger, "", open_ledger)
    data = bytearray(state.read_bytes())
    data[-40] ^= 1
    promoter.folder.continued.write_bytes(data)
    with pytest.raises(StartError, match="is not the state of sequence 10"):
        build_node(root, logger, options, open_ledger)
    promoter.folder.continued.write_bytes(later.read_bytes())
    with pytest.raises(StartError, match="is not the state that this cluster's genesis names"):
        build_node(root, logger, options, open_ledger)
    promoter.folder.continued.unlink()
    assert Said("continue", "install", state, "--data-dir", promoter.data).code == 0
    node = build_node(root, logger, options, open_ledger)
    assert node.ledger.state_value("snapshot_base") is not None
    node.close()
    learner = build_learner(promoter.data, logger, "", open_ledger)
    try:
        learner.start()
        counted = read.count_tickets(learner.ledger.alias)
        assert (learner.executed, counted["CONSUMED"], counted["ISSUED"]) == (SEQUENCE, 2, 5)
        assert read.newest_checkpoint(learner.ledger.alias) is None, "its members signed none yet (R18)"
        root_of_rows = learner.host.application.root()
    finally:
        learner.close()
    promoter.folder.continued.unlink()
    node = build_node(root, logger, options, open_ledger)  # its ledger has it now
    try:
        node.start()
        assert (node.executed, node.state) == (SEQUENCE, "waiting"), "for the other one of two (R11)"
        assert node.application.root() == root_of_rows
    finally:
        node.close()


# --- ledgers that begin with a state -------------------------------------------------------------------


def test_r11_a_ledger_that_begins_with_a_later_state_cannot_go_back(tmp_path: Path, state: Path) -> None:
    """It took a state of others and executed on: its first state no longer exists."""
    log = old_log(SEQUENCE)
    keep(old_log(3), tmp_path / "data", stable=3)
    head, pieces = head_of(log)
    staging = Staging.begin(log.cluster, head.manifest, log.roots[-1])
    assert staging is not None
    assert all(staging.add(*piece) for piece in pieces)
    entry = log.steps[-1].entry
    frames = log.checkpoint_frames(SEQUENCE)
    record = CheckpointRecord(0, SEQUENCE, log.roots[-1], log.log_root(SEQUENCE), entry.timestamp, frames)
    log.fill(12)
    node = ClusterFolder(tmp_path / "data").node("r0")
    ledger = open_ledger(node.ledger, cluster_id=log.cluster, alias="old")
    ledger.load()
    ledger.install(Install(record, head.entry, head.peaks, staging.rows))
    ledger.load()
    save = ("continue", "save", "--data-dir", tmp_path / "data", "--id", "r0", "--out")
    ledger.close()
    assert Said(*save, tmp_path / "good.state").code == 0, "its rows are still those of the checkpoint"
    assert (tmp_path / "good.state").read_bytes() != b""
    ledger = open_ledger(node.ledger, cluster_id=log.cluster, alias="old")
    ledger.load()
    ledger.append([step.record(()) for step in log.steps[SEQUENCE:]])
    ledger.materialise([], 12, log.executor.timestamp)
    ledger.close()
    assert "begins behind sequence 10" in refused(*save, tmp_path / "bad.state")
