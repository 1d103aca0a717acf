"""One crooked file, one verdict: whichever verifier reads it, it holds or it is refused (decision 0151).

All give one code and place; in which words each of them refuses is its own affair.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from msgspec.structs import replace

from dtvn.proof import certificate_json
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony
from tests.founding.parties import found
from tests.proof import vectors
from tests.proof.support import Later, PaperLog
from tests.proof.test_evidence import file_of, pairs
from tests.proof.test_odd_files import GENESIS, GOOD
from tests.proof.verdicts import (
    Vector,
    Verdict,
    by_browser,
    by_dtvn,
    by_one_file,
    evidence_by_dtvn,
    evidence_by_two_files,
)
from tests.support.table import table
from verifier import dtvn_verify

pytestmark = pytest.mark.ci

Case = tuple[str, str, bytes, bytes]
"""(name, kind of what is checked, its file, the chain's file)."""


def agree(found: list[Verdict]) -> bool:
    """Whether verdicts are equal. Only DTVN's own asks whether a cluster may start from a genesis: what it
    calls invalid the others may refuse for what comes later."""
    first, *others = found
    if first.get("refused") == "invalid_genesis":
        return all("refused" in each for each in others)
    return all(each == first for each in others)


def verdicts(cases: list[Case]) -> dict[str, Verdict]:
    """The verdict on each case by its name: all verifiers give the same facts, or code and place. The browser
    reads no evidence."""
    found: dict[str, list[Verdict]] = {}
    shown: dict[str, Vector] = {}
    for name, kind, checked, chain in cases:
        if kind == "evidence":
            found[name] = [evidence_by_dtvn(checked, chain), evidence_by_two_files(checked, chain)]
            continue
        vector = {"certificate": b64encode(checked).decode(), "chain": b64encode(chain).decode()}
        shown[name], found[name] = vector, [by_dtvn(vector), by_one_file(vector)]
    for name, verdict in zip(shown, by_browser(list(shown.values())), strict=True):
        found[name].append(verdict)
    assert len(found) == len(cases)
    assert {name: each for name, each in found.items() if not agree(each)} == {}
    return {name: each[0] for name, each in found.items()}


def all_refused(cases: list[Case]) -> bool:
    return all("refused" in verdict for verdict in verdicts(cases).values())


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


@table("form", ["receipts", "checkpoint", "file"], count=3)
def test_every_changed_byte_of_a_certificate_is_refused(form: str) -> None:
    log, _fork = vectors.logs()
    data = log.checkpointed(3, 20) if form == "checkpoint" else log.receipts(3)
    data = certificate_json(data) if form == "file" else data
    cases: list[Case] = [(str(at), "certificate", changed(data, at), log.chain()) for at in range(len(data))]
    cases += [(f"cut to {at}", "certificate", data[:at], log.chain()) for at in range(0, len(data), 7)]
    assert all_refused(cases)


def test_every_changed_byte_of_a_chain_is_refused() -> None:
    log = PaperLog()
    log.admit()
    data = log.chain(Later(log, ["r1", "r2", "r3", "r4"]).epoch_change_proof)
    cases: list[Case] = [
        (str(at), "certificate", log.receipts(3), changed(data, at)) for at in range(len(data))
    ]
    assert all_refused(cases)


@table("code", ["commit", "view_change", "hidden_commit"], count=3)
def test_every_changed_byte_of_evidence_is_refused(code: str) -> None:
    data = file_of(code, *pairs()[code])
    assert all_refused([(str(at), "evidence", changed(data, at), GENESIS) for at in range(len(data))])


@table("kind", ["certificate", "chain", "evidence"], count=3)
def test_another_version_is_refused(kind: str) -> None:
    good = {"certificate": GOOD["certificate"], "chain": GOOD["chain"], "evidence": GOOD["evidence"]}
    for version in (0, 2, 127, 0xFF):
        odd = good | {kind: good[kind][:1] + bytes([version]) + good[kind][2:]}
        case: Case = ("odd", "certificate", odd["certificate"], odd["chain"])
        if kind == "evidence":
            case = ("odd", "evidence", odd["evidence"], GENESIS)
        assert all_refused([case])


def test_a_genesis_that_is_not_sealed_by_all_is_refused(tmp_path: Path) -> None:
    party = found(tmp_path, {"promoter": 41002, "seller": 41003, "venue": 41001})[0]
    whole = ceremony.decode(party.folder.genesis.read_bytes())
    bare = replace(whole, seals=())
    forged = replace(whole.seals[1], signature=whole.seals[0].signature)
    founded = g.encode(ceremony.founded(whole))
    files = {
        "of another cluster": ceremony.encode(whole),
        "by one": ceremony.encode(replace(whole, seals=whole.seals[1:2])),
        "by nobody": ceremony.encode(bare),
        "one is missing": ceremony.encode(replace(bare, records=bare.records[1:])),
        "another's seal": ceremony.encode(replace(whole, seals=(whole.seals[0], forged, whole.seals[2]))),
        "of another format": ceremony.encode(replace(whole, format="dtvn-genesis-2")),
        "cut": ceremony.encode(whole)[:-1],
        "bare, cut": founded[:-1],
        "bare, no UTF-8": founded.replace(b"venue", b"v\xffnue"),
    }
    certificate = PaperLog().receipts(1)
    cases: list[Case] = [(name, "certificate", certificate, file) for name, file in files.items()]
    assert all_refused(cases)


# --- files that cannot be read ------------------------------------------------------------------------


def is_a_folder(path: Path) -> None:
    path.mkdir()


def is_below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(b"")


def is_a_circle(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("spoil", [lambda _path: None, is_a_folder, is_below_a_file, is_a_circle])
@pytest.mark.parametrize("kind", ["certificate", "evidence"])
def test_an_unreadable_file_ends_with_exit_code_1(
    kind: str, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "folder" / "bad"
    good.write_bytes(GENESIS)
    bad.parent.mkdir()
    spoil(bad)
    for checked, chain in ((bad, good), (good, bad)):
        with pytest.raises(CommandError, match=r"^not proved: ") as refused:
            call_command(f"verify_{kind}", str(checked), "--genesis", str(chain), stdout=StringIO())
        assert refused.value.returncode == 1
        assert dtvn_verify.main(kind, str(checked), "--genesis", str(chain)) == 1


def test_a_ledger_is_audited_only_with_a_chain_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^nothing was audited: ") as refused:
        call_command("audit", str(tmp_path), "--genesis", str(tmp_path / "none"), stdout=StringIO())
    assert refused.value.returncode == 2
