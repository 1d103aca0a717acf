"""What audits, certificates and evidence tell on the command line: forks, convictions, every refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from dtvn.machine import Issue
from dtvn.proof import evidence_json
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.contradiction import RECORD, Contradiction
from dtvn.protocol.consensus.effects import EvidenceRecord, SlotRecord, StateRecord
from tests.golden import Compare
from tests.proof.support import PaperLog
from tests.proof.test_commands import PAPER, forked, keep
from tests.proof.test_evidence import digest_of, file_of, pairs

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


class Story:
    """Commands over files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.write("chain", g.encode(PAPER.genesis))

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return name

    def tell(self, title: str) -> None:
        self.lines.append(f"\n== {title}")

    def run(self, command: str, *words: str, chain: str = "chain") -> None:
        """One command: what it prints, and how it ends."""
        self.lines.append(f"\n$ {command} {' '.join(words)}")
        named = [word if word.startswith("--") else str(self.folder / word) for word in words]
        out = StringIO()
        end = "exit 0"
        try:
            call_command(command, *named, "--genesis", str(self.folder / chain), stdout=out)
        except CommandError as error:
            end = f"exit {error.returncode}: {error}"
        except SystemExit as ended:
            end = f"exit {ended.code}"
        self.lines += [f"  {line}" for line in out.getvalue().splitlines()]
        self.lines.append(end)

    def text(self) -> str:
        return "\n".join(self.lines).replace(str(self.folder), "FOLDER") + "\n"


def ledgers(folder: Path) -> None:
    """Three histories that part, and records of what nodes found."""
    one, other = forked()
    third = PaperLog()
    third.admit(gate="north")
    for log, ticket in ((one, "A"), (other, "A"), (third, "B")):
        log.order([log.operation(Issue(), ticket)])
    keep(folder / "first", one, 0, (0, 1))
    keep(folder / "second", other, 0, (2, 3))
    keep(folder / "third", third, 0, (1, 2))
    keep(folder / "same", one, 1, (1, 2, 3))
    changes = [m.ViewChange(0, index, 1, (), ()) for index in (1, 2, 3)]
    new_view = m.NewView(0, 1, 1, tuple((each.sender, digest_of(each)) for each in changes), ())
    frames = tuple(PAPER.sign(each) for each in (new_view, *changes))
    slots = SlotRecord(0, 1, 0, "new_view", frames), SlotRecord(0, 3, 0, "view", ())
    keep(folder / "later view", other, 3, (1, 2, 3), *slots)
    crime = tuple(PAPER.sign(message) for message in pairs()["prepare"])
    keep(folder / "evidence", PaperLog(), 0, (0, 1, 2), EvidenceRecord("prepare", 0, 1, 0, 7, crime))
    theirs = m.Commit(0, 0, 1, 3, other.steps[2].entry.batch_digest)
    votes = tuple(PAPER.sign(msgspec.structs.replace(theirs, sender=sender)) for sender in (1, 2, 3))
    found = Contradiction(1, "batch", 0, 3, (), votes)
    keep(folder / "halted", forked()[0], 0, (0, 1, 2), StateRecord(RECORD, canonical.encode(found)))
    keep(folder / "damaged", forked()[0], 0, (0, 1, 2), StateRecord(RECORD, b"noise"))
    keep(folder / "foreign", PaperLog(name="foreign"), 0, (0, 1, 2))


def test_audits(tmp_path: Path, golden: Compare) -> None:
    ledgers(tmp_path)
    story = Story(tmp_path)
    story.write("noise", b"noise" * 1_000)
    cases = [
        ("first",),
        ("first", "same"),
        ("first", "second"),
        ("first", "second", "third", "same"),
        ("first", "later view"),
        ("evidence",),
        ("halted",),
        ("damaged", "evidence"),
        ("first", "foreign"),
        ("noise",),
        ("missing",),
    ]
    for names in cases:
        story.run("audit", *names)
    story.run("audit", "first", "second", "third", "same", "--json")
    story.run("audit", "third", "first", "evidence", "--out", "files")
    story.run("audit", "first", "third", "--out", "noise")
    story.run("audit", "first", chain="noise")
    for path in sorted((tmp_path / "files").iterdir()):
        story.lines.append(f"{path.name} {json.loads(path.read_bytes())['format']}")
        story.run("verify_evidence", f"files/{path.name}")
    golden(GOLDEN / "audits.txt", story.text())


def test_evidence(tmp_path: Path, golden: Compare) -> None:
    story = Story(tmp_path)
    for kind, (one, other) in pairs().items():
        story.run("verify_evidence", story.write(kind, file_of(kind, one, other)))
    one, other = pairs()["prepare"]
    whole = file_of("prepare", one, other)
    for name, data in {
        "turned": file_of("prepare", other, one),
        "twice-the-same": file_of("prepare", one, one),
        "cut": whole[:-1],
        "changed": whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:],
        "json": evidence_json(whole),
        "said-to-be-commit": file_of("commit", one, other),
        "said-to-be-nothing": file_of("nothing", one, other),
    }.items():
        story.run("verify_evidence", story.write(name, data))
    story.run("verify_evidence", "missing")
    golden(GOLDEN / "evidence.txt", story.text())


def test_certificates(tmp_path: Path, golden: Compare) -> None:
    story = Story(tmp_path)
    one, other = forked()
    for log in (one, other):
        log.fill(12)
    story.write("chain", one.chain())
    files = {
        "receipts": one.receipts(3),
        "others": one.receipts(3, signers=[0, 2, 3]),
        "checkpoint": one.checkpointed(3, 10),
        "fork": other.receipts(3),
        "fork later": other.checkpointed(3, 10),
        "four": one.receipts(4),
        "few": one.receipts(3, signers=[0, 1]),
        "many": one.receipts(3, signers=[0, 1, 2, 3]),
        "cut": one.receipts(3)[:-1],
        "noise": b"noise",
        "empty": b"",
    }
    for name, data in files.items():
        story.write(name, data)
        story.run("verify_certificate", name)
    for against in ("others", "fork", "fork later", "four", "noise", "missing"):
        story.run("verify_certificate", "receipts", "--against", against)
    for name in ("receipts", "checkpoint", "four", "fork", "receipts"):
        story.run("verify_certificate", name, "--pin", "pins")
    story.write("other chain", PaperLog(5).chain())
    story.run("verify_certificate", "receipts", chain="other chain")
    story.run("verify_certificate", "receipts", "--pin", "pins", chain="receipts")
    golden(GOLDEN / "certificates.txt", story.text())
