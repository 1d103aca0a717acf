"""The auditor and the evidence verifier on the command line, over real ledger files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from dtvn.machine import Issue
from dtvn.proof import evidence_json
from dtvn.proof.evidence import convict
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.contradiction import RECORD, Contradiction
from dtvn.protocol.consensus.effects import EvidenceRecord, SlotRecord, StateRecord
from tests.host.support import Paper
from tests.proof.support import PaperLog
from tests.proof.test_evidence import CHAIN, digest_of, file_of, pairs
from tickets.management.auditing import write_files
from tickets.management.commands import verify_certificate
from validators.ledger import open_ledger
from verifier import dtvn_verify

PAPER = Paper()


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.bin"
    path.write_bytes(g.encode(PAPER.genesis))
    return path


def keep(folder: Path, log: PaperLog, view: int, signers: tuple[int, ...], *extra: Any) -> Path:
    """The log as a node's ledger, each entry with the COMMITs of these members."""
    ledger = open_ledger(folder, cluster_id=log.cluster, alias=folder.name)
    ledger.load()
    for step in log.steps:
        entry = step.entry
        commits = tuple(
            PAPER.sign(m.Commit(0, index, view, entry.sequence, entry.batch_digest)) for index in signers
        )
        ledger.append([step.record(commits)])
    for each in extra:
        ledger.append([each])
    ledger.close()
    return folder


def audit(*arguments: object) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit", *map(str, arguments), stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def forked() -> tuple[PaperLog, PaperLog]:
    one, other = PaperLog(), PaperLog()
    one.admit(gate="north")
    other.admit(gate="south")
    return one, other


def test_p22_two_ledgers_that_agree_convict_no_member(tmp_path: Path, chain: Path) -> None:
    one, _other = forked()
    first = keep(tmp_path / "first", one, 0, (0, 1, 2))
    second = keep(tmp_path / "second", one, 1, (1, 2, 3))
    code, said = audit(first, second, "--genesis", chain)
    assert (code, said.splitlines()[-1]) == (0, "no member is convicted")


def test_p22_a_fork_in_one_view_convicts_members_that_committed_twice(tmp_path: Path, chain: Path) -> None:
    one, other = forked()
    first = keep(tmp_path / "first", one, 0, (0, 1, 2))
    second = keep(tmp_path / "second", other, 0, (1, 2, 3))
    code, said = audit(
        first, second / "ledger.sqlite3", "--genesis", chain, "--json", "--out", tmp_path / "files"
    )
    report = json.loads(said)
    assert (code, report["needed"], [fork["sequence"] for fork in report["forks"]]) == (1, 2, [3])
    assert report["culprits"] == {
        name: [f"{name} is convicted: commit, epoch 0, view 0, sequence 3"] for name in ("r1", "r2")
    }
    for name in report["culprits"]:
        (file,) = (tmp_path / "files").glob(f"{name}-*.json")
        assert dtvn_verify.main("evidence", file, "--genesis", chain) == 0


def test_p22_every_fork_of_several_ledgers_is_followed_from_the_first_on(tmp_path: Path, chain: Path) -> None:
    """r2 signed on both sides of the one at 3, r1 of that at 4."""
    one, other = forked()
    third = PaperLog()
    third.admit(gate="north")
    for log, ticket in ((one, "A"), (other, "A"), (third, "B")):
        log.order([log.operation(Issue(), ticket)])
    places = [
        keep(tmp_path / "first", one, 0, (0, 1)),
        keep(tmp_path / "second", other, 0, (2, 3)),
        keep(tmp_path / "third", third, 0, (1, 2)),
    ]
    code, said = audit(*places, "--genesis", chain, "--json")
    report = json.loads(said)
    assert [(fork["sequence"], fork["ledgers"]) for fork in report["forks"]] == [
        (3, [str(places[0]), str(places[1])]),
        (4, [str(places[0]), str(places[2])]),
        (3, [str(places[1]), str(places[2])]),
    ]
    assert (code, report["needed"]) == (1, 2)
    found = {
        name: sorted(piece.rpartition(" ")[2] for piece in pieces)
        for name, pieces in report["culprits"].items()
    }
    assert found == {"r1": ["4"], "r2": ["3", "4"]}


def test_p22_each_members_evidence_has_its_own_files(tmp_path: Path) -> None:
    """Similar names of members do not share files."""
    data = file_of("prepare", *pairs()["prepare"])
    found = convict(data, CHAIN)
    write_files(tmp_path, {name: [(found, data)] * 2 for name in ("node-1", "node_1", "node.1")})
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"{name}-{number:02}-prepare.json" for name in ("node-1", "node.1", "node_1") for number in range(2)
    ]


def test_p22_a_fork_needs_the_liars_of_its_own_epoch(tmp_path: Path) -> None:
    """Seven members, of whom three must have lied; that six were left afterwards takes none away."""
    one, other = PaperLog(7), PaperLog(7)
    one.admit(gate="north")
    other.admit(gate="south")
    first = keep(tmp_path / "first", one, 0, ())
    second = keep(tmp_path / "second", other, 0, ())
    one.change(leaves="r6")
    chain = tmp_path / "chain"
    chain.write_bytes(one.chain())
    code, said = audit(first, second, "--genesis", chain, "--json")
    report = json.loads(said)
    assert (code, report["forks"][0]["sequence"], report["needed"]) == (1, 3, 3)
    said = audit(first, second, "--genesis", chain)[1]
    assert "a fork needs 3 Byzantine members: ledgers of more members may convict the others" in said
    assert json.loads(audit(first, "--genesis", chain, "--json")[1])["needed"] == 2, "of the newest epoch"


def test_p22_a_fork_over_two_views_convicts_members_that_hid_commits(tmp_path: Path, chain: Path) -> None:
    one, other = forked()
    changes = [m.ViewChange(0, index, 1, (), ()) for index in (1, 2, 3)]
    new_view = m.NewView(0, 1, 1, tuple((each.sender, digest_of(each)) for each in changes), ())
    frames = tuple(PAPER.sign(each) for each in (new_view, *changes))
    record = SlotRecord(0, 1, 0, "new_view", frames)
    first = keep(tmp_path / "first", one, 0, (0, 1, 2))
    second = keep(tmp_path / "second", other, 3, (1, 2, 3), record, SlotRecord(0, 3, 0, "view", ()))
    code, said = audit(first, second, "--genesis", chain)
    assert code == 1
    assert "r1 is convicted: hidden_commit, epoch 0, sequence 3, view 1" in said
    assert "r2 is convicted: hidden_commit, epoch 0, sequence 3, view 1" in said
    assert "r0" not in said
    assert "r3" not in said


def test_p22_evidence_that_a_node_stored_is_found_again(tmp_path: Path, chain: Path) -> None:
    log = PaperLog()
    crime = tuple(PAPER.sign(message) for message in pairs()["prepare"])
    record = EvidenceRecord("prepare", 0, 1, 0, 7, crime)
    folder = keep(tmp_path / "first", log, 0, (0, 1, 2), record)
    code, said = audit(folder, "--genesis", chain)
    assert code == 1
    assert "r1 is convicted: prepare, epoch 0, view 0, sequence 7" in said


@pytest.mark.parametrize(("view", "guilty"), [(0, ["r1", "r2"]), (1, [])], ids=["one view", "two views"])
def test_p22_a_ledger_of_a_halted_node_is_never_reported_as_fine(
    tmp_path: Path, chain: Path, view: int, guilty: list[str]
) -> None:
    """The other certificate lies in its record alone, where votes of different views convict no member."""
    log, other = forked()
    theirs = m.Commit(0, 0, view, 3, other.steps[-1].entry.batch_digest)
    frames = tuple(PAPER.sign(msgspec.structs.replace(theirs, sender=sender)) for sender in (1, 2, 3))
    found = Contradiction(1, "batch", 0, 3, (), frames)
    folder = keep(tmp_path / "first", log, 0, (0, 1, 2), StateRecord(RECORD, canonical.encode(found)))
    code, said = audit(folder, "--genesis", chain)
    assert code == 1
    assert f"contradiction: {folder} reports that quorums signed two batches at sequence 3 of epoch 0" in said
    report = json.loads(audit(folder, "--genesis", chain, "--json")[1])
    assert list(report["culprits"]) == guilty
    assert report["contradictions"] == {str(folder): "quorums signed two batches at sequence 3 of epoch 0"}


def test_p22_a_record_of_two_certificates_that_is_damaged_stops_no_audit(tmp_path: Path, chain: Path) -> None:
    log, _other = forked()
    folder = keep(tmp_path / "first", log, 0, (0, 1, 2), StateRecord(RECORD, b"noise"))
    code, said = audit(folder, "--genesis", chain)
    assert code == 1
    assert f"contradiction: {folder} reports that it found one, in a record that cannot be read" in said


def test_p22_evidence_that_cannot_be_written_is_no_verdict(tmp_path: Path, chain: Path) -> None:
    """1 means forked or convicted; an error of files means neither."""
    one, _other = forked()
    folder = keep(tmp_path / "first", one, 0, (0, 1, 2))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CommandError, match="no evidence was written: ") as told:
        audit(folder, "--genesis", chain, "--out", tmp_path / "file" / "x")
    assert told.value.returncode == 2


def test_unreadable_and_unwritable_pin_files_are_reported(tmp_path: Path) -> None:
    log, _other = forked()
    one, epochs, deep = (tmp_path / name for name in ("one", "epochs", "deep"))
    one.write_bytes(log.receipts(3))
    epochs.write_bytes(log.chain())
    deep.write_text("[" * 200_000, encoding="ascii")
    for pin, why in (
        (deep, "is not a pin file"),
        (tmp_path / "none" / "pin", "cannot be written"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(CommandError, match=f"not proved: .* {why}") as told:
            call_command("verify_certificate", str(one), "--genesis", str(epochs), "--pin", str(pin))
        assert told.value.returncode == 1


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"format": "dtvn-pin/1"}',
        '{"format": "dtvn-pin/2", "epochs": []}',
        '{"epochs": []}',
        '{"format": "dtvn-pin/1", "epochs": ["xy"]}',
        '{"format": "dtvn-pin/1", "epochs": [1]}',
        '{"format": "dtvn-pin/1", "epochs": []}' + " " * 30,
    ],
)
def test_a_file_that_is_no_pin_is_not_taken_for_one_nor_written_over(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _other = forked()
    one, epochs, pin = (tmp_path / name for name in ("one", "epochs", "pin"))
    one.write_bytes(log.receipts(3))
    epochs.write_bytes(log.chain())
    pin.write_text(content, encoding="ascii")
    monkeypatch.setattr(verify_certificate, "PIN_BYTES_MAX", 60)
    with pytest.raises(CommandError) as told:
        call_command("verify_certificate", str(one), "--genesis", str(epochs), "--pin", str(pin))
    assert str(told.value) == f"not proved: {pin} is not a pin file [wrong_file]"
    assert pin.read_text(encoding="ascii") == content


def test_a_pin_of_the_greatest_size_is_read_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _other = forked()
    one, epochs, pin = (tmp_path / name for name in ("one", "epochs", "pin"))
    one.write_bytes(log.receipts(3))
    epochs.write_bytes(log.chain())
    told = []
    for _time in range(2):
        out = StringIO()
        call_command("verify_certificate", str(one), "--genesis", str(epochs), "--pin", str(pin), stdout=out)
        told.append((out.getvalue(), pin.read_text(encoding="ascii")))
        monkeypatch.setattr(verify_certificate, "PIN_BYTES_MAX", pin.stat().st_size)
    assert told[0] == told[1]
    written = told[0][1]
    assert (written[-1], json.loads(written)["format"], len(json.loads(written)["epochs"])) == (
        "\n",
        "dtvn-pin/1",
        1,
    )


def test_a_ledger_of_another_cluster_or_no_ledger_is_reported(tmp_path: Path, chain: Path) -> None:
    foreign = PaperLog(name="foreign")
    folder = keep(tmp_path / "foreign", foreign, 0, (0, 1, 2))
    (tmp_path / "noise").write_bytes(b"noise" * 1_000)
    for path, why in (
        (folder, "another cluster"),
        (tmp_path / "noise", "not a ledger"),
        (tmp_path / "no", "exist"),
    ):
        with pytest.raises(CommandError, match=f"nothing was audited: .*{why}") as told:
            audit(path, "--genesis", chain)
        assert told.value.returncode == 2


def test_p22_the_same_file_convinces_the_command_and_the_small_verifier(tmp_path: Path, chain: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(evidence_json(file_of("commit", *pairs()["commit"])))
    out = StringIO()
    call_command("verify_evidence", str(file), "--genesis", str(chain), stdout=out)
    assert out.getvalue() == "r1 is convicted: commit, epoch 0, view 3, sequence 7\n"
    done = subprocess.run(
        [sys.executable, "-I", dtvn_verify.__file__, "evidence", file, "--genesis", chain],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "r1"
    one = pairs()["commit"][0]
    file.write_bytes(evidence_json(file_of("commit", one, one)))
    for path in (file, tmp_path / "none"):
        with pytest.raises(CommandError, match="not proved: ") as refused:
            call_command("verify_evidence", str(path), "--genesis", str(chain))
        assert refused.value.returncode == 1
