"""One crooked file, one sentence: whoever checks it, with whichever verifier (decision 0151)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

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
from tests.proof.test_odd_files import CASES, GENESIS, GOOD, content
from tests.proof.test_vectors import by_browser
from verifier import dtvn_verify, dtvn_verify_evidence

HOLDS = "it holds"
Said = dict[str, str]
"""Verifier -> what it says: HOLDS, or why it refuses."""


def by_dtvn(kind: str, checked: bytes, chain: bytes) -> str:
    try:
        trusted = read_chain(unwrap("chain", chain))
        if kind == "evidence":
            convict(unwrap("evidence", checked), trusted)
        else:
            verify(decode_certificate(unwrap("certificate", checked)), trusted)
    except ProofError as refused:
        return str(refused)
    return HOLDS


def by_one_file(kind: str, checked: bytes, chain: bytes, folder: Path) -> str:
    (folder / "checked").write_bytes(checked)
    (folder / "chain").write_bytes(chain)
    try:
        trusted = dtvn_verify.Chain(dtvn_verify.read(folder / "chain", "chain"))
        data = dtvn_verify.read(folder / "checked", kind)
        if kind == "evidence":
            list(dtvn_verify_evidence.evidence(data, trusted))
        else:
            dtvn_verify.Proved(data, trusted)
    except ValueError as refused:
        return str(refused)
    return HOLDS


def all_say(cases: list[tuple[str, str, bytes, bytes]], folder: Path) -> dict[str, Said]:
    """What each verifier says of (name, kind of what is checked, its file, the chain's file), by name."""
    told = {
        name: {"dtvn": by_dtvn(kind, *files), "one file": by_one_file(kind, *files, folder)}
        for name, kind, *files in cases
    }
    shown = [case for case in cases if case[1] == "certificate"]
    given = [
        {"certificate": base64.b64encode(checked).decode(), "chain": base64.b64encode(chain).decode()}
        for _name, _kind, checked, chain in shown
    ]
    for case, verdict in zip(shown, by_browser({"vectors": given}), strict=True):
        told[case[0]]["browser"] = verdict.get("why", HOLDS)
    assert len(told) == len(cases)
    return told


def one_sentence(told: dict[str, Said]) -> dict[str, str]:
    """What all of them say."""
    assert {name: said for name, said in told.items() if len({*said.values()}) > 1} == {}
    return {name: said["dtvn"] for name, said in told.items()}


def test_odd_files_and_odd_certificates(tmp_path: Path) -> None:
    cases = []
    for kind, row in CASES:
        odd = content(kind, row)
        checked = GOOD["certificate"] if kind == "chain" else odd
        chain = {"chain": odd, "evidence": GENESIS}.get(kind, GOOD["chain"])
        what = "evidence" if kind == "evidence" else "certificate"
        cases.append((f"{kind}: {row['name']}", what, checked, chain))
    for vector in json.loads(vectors.FILE.read_text(encoding="utf-8"))["vectors"]:
        if "refused" in vector:
            checked, chain = (base64.b64decode(vector[key]) for key in ("certificate", "chain"))
            cases.append((f"vector: {vector['name']}", "certificate", checked, chain))
    said = one_sentence(all_say(cases, tmp_path))
    assert len({*said.values()}) >= 20


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


@pytest.mark.parametrize("form", ["receipts", "checkpoint", "file"])
def test_every_byte_of_a_certificate(form: str, tmp_path: Path) -> None:
    log, _fork = vectors.logs()
    data = log.checkpointed(3, 20) if form == "checkpoint" else log.receipts(3)
    data = certificate_json(data) if form == "file" else data
    cases = [(str(at), "certificate", changed(data, at), log.chain()) for at in range(len(data))]
    cases += [(f"cut to {at}", "certificate", data[:at], log.chain()) for at in range(0, len(data), 7)]
    assert HOLDS not in one_sentence(all_say(cases, tmp_path)).values()


def test_every_byte_of_a_chain(tmp_path: Path) -> None:
    """That no cluster could start from a genesis is told by DTVN's own verifier only: of the others it makes
    another cluster, or a member without a key that anybody has."""
    log = PaperLog()
    log.admit()
    data = log.chain(Later(log, ["r1", "r2", "r3", "r4"]).epoch_change_proof)
    cases = [(str(at), "certificate", log.receipts(3), changed(data, at)) for at in range(len(data))]
    told = all_say(cases, tmp_path)
    assert not [name for name, said in told.items() if HOLDS in said.values()]
    said = one_sentence(
        {name: each for name, each in told.items() if not each["dtvn"].startswith("the genesis is none")}
    )
    assert len(said) > len(told) / 2


@pytest.mark.parametrize("code", ["commit", "view_change", "hidden_commit"])
def test_every_byte_of_evidence(code: str, tmp_path: Path) -> None:
    data = file_of(code, *pairs()[code])
    cases = [(str(at), "evidence", changed(data, at), GENESIS) for at in range(len(data))]
    assert HOLDS not in one_sentence(all_say(cases, tmp_path)).values()


# --- versions, and who has sealed ---------------------------------------------------------------------


def test_another_version_is_told_with_its_number(tmp_path: Path) -> None:
    log, _fork = vectors.logs()
    certificate, chain = log.receipts(3), log.chain()
    evidence = file_of("commit", *pairs()["commit"])

    def of_version(data: bytes, version: int) -> bytes:
        return data[:1] + bytes([version]) + data[2:]

    cases = [
        ("certificate", "certificate", of_version(certificate, 2), chain),
        ("chain", "certificate", certificate, of_version(chain, 0)),
        ("evidence", "evidence", of_version(evidence, 127), GENESIS),
        ("no version", "certificate", of_version(certificate, 0xFF), chain),
    ]
    assert one_sentence(all_say(cases, tmp_path)) == {
        "certificate": "a certificate of version 2; this verifier knows 1",
        "chain": "an epoch chain of version 0; this verifier knows 1",
        "evidence": "evidence of version 127; this verifier knows 1",
        "no version": "the certificate has not the form of one",
    }


def unsealed(root: Path) -> Iterator[tuple[str, bytes, str]]:
    """(name, file, what is wrong with it)."""
    party = found(root, {"promoter": 41002, "seller": 41003, "venue": 41001})[0]
    whole = ceremony.decode(party.folder.genesis.read_bytes())
    bare = replace(whole, seals=())
    yield "sealed", ceremony.encode(whole), "the certificate is of another cluster than this chain"
    yield (
        "by one",
        ceremony.encode(replace(whole, seals=whole.seals[1:2])),
        "the genesis is none: it is not sealed yet: promoter, venue must still sign it",
    )
    yield (
        "by nobody",
        ceremony.encode(bare),
        "the genesis is none: it is not sealed yet: promoter, seller, venue must still sign it",
    )
    yield (
        "one is missing",
        ceremony.encode(replace(bare, records=bare.records[1:])),
        "the genesis is none: records: 2 of 3 parties have joined",
    )
    forged = replace(whole.seals[1], signature=whole.seals[0].signature)
    yield (
        "with another's seal",
        ceremony.encode(replace(whole, seals=(whole.seals[0], forged, whole.seals[2]))),
        "the genesis is none: seals: the seal of 'seller' is not of this genesis",
    )
    yield "of another format", ceremony.encode(replace(whole, format="dtvn-genesis-2")), NO_GENESIS
    yield "cut", ceremony.encode(whole)[:-1], NO_GENESIS
    yield "bare, cut", g.encode(ceremony.founded(whole))[:-1], NO_GENESIS
    yield "bare, no UTF-8", g.encode(ceremony.founded(whole)).replace(b"venue", b"v\xffnue"), NO_GENESIS


NO_GENESIS = "the genesis has not the form of one"


def test_a_genesis_that_is_not_sealed_by_all(tmp_path: Path) -> None:
    certificate = PaperLog().receipts(1)
    rows = [*unsealed(tmp_path)]
    cases = [(name, "certificate", certificate, file) for name, file, _why in rows]
    assert one_sentence(all_say(cases, tmp_path)) == {name: why for name, _file, why in rows}


# --- files that cannot be read ------------------------------------------------------------------------


def by_command(kind: str, checked: Path, chain: Path) -> str:
    with pytest.raises(CommandError) as refused:
        call_command(f"verify_{kind}", str(checked), "--genesis", str(chain), stdout=StringIO())
    assert refused.value.returncode == 1
    return str(refused.value)


def is_missing(path: Path) -> str:
    return "No such file or directory"


def is_a_folder(path: Path) -> str:
    path.mkdir()
    return "Is a directory"


def is_below_a_file(path: Path) -> str:
    path.parent.rmdir()
    path.parent.write_bytes(b"")
    return "Not a directory"


def is_a_circle(path: Path) -> str:
    path.symlink_to(path)
    return "Too many levels of symbolic links"


@pytest.mark.parametrize("spoil", [is_missing, is_a_folder, is_below_a_file, is_a_circle])
@pytest.mark.parametrize("kind", ["certificate", "evidence"])
def test_a_file_that_cannot_be_read(
    kind: str, spoil: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good", tmp_path / "folder" / "bad"
    good.write_bytes(GENESIS)
    bad.parent.mkdir()
    why = f"not proved: {bad} cannot be read: {spoil(bad)}"
    for checked, chain in ((bad, good), (good, bad)):
        assert by_command(kind, checked, chain) == why
        assert dtvn_verify.main(kind, str(checked), "--genesis", str(chain)) == 1
        assert capsys.readouterr().out == f"{why}\n"


def test_a_ledger_is_audited_only_with_a_chain_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("audit", str(tmp_path), "--genesis", str(tmp_path / "none"), stdout=StringIO())
    said = f"nothing was audited: {tmp_path / 'none'} cannot be read: No such file or directory"
    assert (str(refused.value), refused.value.returncode) == (said, 2)


def unreadable(*_arguments: Any, **_options: Any) -> Any:
    raise PermissionError(13, "Permission denied", "/secret")


def test_a_file_that_nobody_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may read all, so the refusal of the system is played."""
    monkeypatch.setattr(Path, "open", unreadable)
    why = "not proved: /secret cannot be read: Permission denied"
    assert by_command("certificate", Path("/secret"), Path("/secret")) == why
    assert dtvn_verify.main("certificate", "/secret", "--genesis", "/secret") == 1
    assert capsys.readouterr().out == f"{why}\n"
