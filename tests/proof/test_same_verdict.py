"""One crooked file, one verdict: whichever verifier reads it, it holds or it is refused (decision 0151).

In which words each of them refuses is its own affair.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from msgspec.structs import replace

from dtvn.proof import ProofError, certificate_json, decode_certificate, read_chain, unwrap, verify
from dtvn.proof.evidence import convict
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony
from tests.founding.parties import found
from tests.proof import vectors
from tests.proof.support import Later, PaperLog
from tests.proof.test_evidence import file_of, pairs
from tests.proof.test_odd_files import GENESIS, GOOD
from tests.proof.test_vectors import by_browser
from verifier import dtvn_verify, dtvn_verify_evidence

Case = tuple[str, str, bytes, bytes]
"""(name, kind of what is checked, its file, the chain's file)."""


def dtvn_holds(kind: str, checked: bytes, chain: bytes) -> bool:
    try:
        trusted = read_chain(unwrap("chain", chain))
        if kind == "evidence":
            convict(unwrap("evidence", checked), trusted)
        else:
            verify(decode_certificate(unwrap("certificate", checked)), trusted)
    except ProofError:
        return False
    return True


def read(data: bytes, kind: str) -> bytes:
    """What `dtvn_verify.read` gives of a file with these bytes."""
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        inside: bytes = dtvn_verify.read(Path(file.name), kind)
    return inside


def one_file_holds(kind: str, checked: bytes, chain: bytes) -> bool:
    try:
        trusted = dtvn_verify.Chain(read(chain, "chain"))
        data = read(checked, kind)
        if kind == "evidence":
            list(dtvn_verify_evidence.evidence(data, trusted))
        else:
            dtvn_verify.Proved(data, trusted)
    except ValueError:
        return False
    return True


def verdicts(cases: list[Case]) -> dict[str, bool]:
    """Whether each case holds, by its name; all verifiers agree. The browser reads no evidence."""
    held = {name: [dtvn_holds(*files), one_file_holds(*files)] for name, *files in cases}
    shown = [case for case in cases if case[1] == "certificate"]
    given = [
        {"certificate": base64.b64encode(checked).decode(), "chain": base64.b64encode(chain).decode()}
        for _name, _kind, checked, chain in shown
    ]
    for case, said in zip(shown, by_browser({"vectors": given}), strict=True):
        held[case[0]].append("refused" not in said)
    assert len(held) == len(cases)
    assert {name: each for name, each in held.items() if len(set(each)) > 1} == {}
    return {name: each[0] for name, each in held.items()}


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


@pytest.mark.parametrize("form", ["receipts", "checkpoint", "file"])
def test_every_changed_byte_of_a_certificate_is_refused(form: str) -> None:
    log, _fork = vectors.logs()
    data = log.checkpointed(3, 20) if form == "checkpoint" else log.receipts(3)
    data = certificate_json(data) if form == "file" else data
    cases: list[Case] = [(str(at), "certificate", changed(data, at), log.chain()) for at in range(len(data))]
    cases += [(f"cut to {at}", "certificate", data[:at], log.chain()) for at in range(0, len(data), 7)]
    assert not any(verdicts(cases).values())


def test_every_changed_byte_of_a_chain_is_refused() -> None:
    log = PaperLog()
    log.admit()
    data = log.chain(Later(log, ["r1", "r2", "r3", "r4"]).epoch_change_proof)
    cases: list[Case] = [
        (str(at), "certificate", log.receipts(3), changed(data, at)) for at in range(len(data))
    ]
    assert not any(verdicts(cases).values())


@pytest.mark.parametrize("code", ["commit", "view_change", "hidden_commit"])
def test_every_changed_byte_of_evidence_is_refused(code: str) -> None:
    data = file_of(code, *pairs()[code])
    assert not any(
        verdicts([(str(at), "evidence", changed(data, at), GENESIS) for at in range(len(data))]).values()
    )


@pytest.mark.parametrize("kind", ["certificate", "chain", "evidence"])
def test_another_version_is_refused(kind: str) -> None:
    good = {"certificate": GOOD["certificate"], "chain": GOOD["chain"], "evidence": GOOD["evidence"]}
    for version in (0, 2, 127, 0xFF):
        odd = good | {kind: good[kind][:1] + bytes([version]) + good[kind][2:]}
        case: Case = ("odd", "certificate", odd["certificate"], odd["chain"])
        if kind == "evidence":
            case = ("odd", "evidence", odd["evidence"], GENESIS)
        assert verdicts([case]) == {"odd": False}


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
    assert not any(verdicts(cases).values())


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
