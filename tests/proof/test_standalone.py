"""The verifier of one file: it proves the same as DTVN's own, and believes no more (R27)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine import Admit
from dtvn.proof import (
    certificate_json,
    chain_json,
    decode_certificate,
    evidence_json,
    read_chain,
    verify,
)
from dtvn.proof.evidence import convict, encode_evidence
from dtvn.protocol import genesis as g
from tests.proof.odd_new_views import new_view
from tests.proof.odd_views import CHAINS, LOG, NOISE, ONE, TWO, change, prepare, stable
from tests.proof.support import Later, PaperLog
from tests.proof.verdicts import facts, small_facts
from tests.support.table import table
from verifier import dtvn_verify

FILE = Path(dtvn_verify.__file__)
SECOND, THIRD = (FILE.with_name(f"dtvn_verify_{name}.py") for name in ("evidence", "transcript"))
MANAGE = FILE.parents[1] / "manage.py"


@pytest.fixture(scope="module")
def log() -> PaperLog:
    made = PaperLog()
    made.admit()
    made.order([made.operation(Admit(gate="süd"), "TICKET-1")])
    made.fill(30)
    return made


def run(
    *arguments: object, program: tuple[object, ...] = ("-I", FILE), **environment: str
) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert not done.stderr
    return done.returncode, done.stdout


@table(
    ("file", "lines", "needs"),
    [(FILE, 342, {"nacl"}), (SECOND, 500, {"nacl", FILE.stem}), (THIRD, 205, {"nacl", FILE.stem})],
    ids=["first", "second", "third"],
    count=3,
)
def test_the_standalone_verifier_is_small_and_has_no_other_imports(
    file: Path, lines: int, needs: set[str]
) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= lines
    imports: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imports |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports.add((node.module or "").split(".")[0])
    assert imports - set(sys.stdlib_module_names) == needs


def test_r27_both_verifiers_prove_the_same_of_every_outcome(log: PaperLog) -> None:
    ours, theirs = read_chain(log.chain()), dtvn_verify.Chain(log.chain())
    for sequence in range(1, 31):
        for data in (log.receipts(sequence), log.checkpointed(sequence, 30)):
            expected = facts(verify(decode_certificate(data), ours))
            assert small_facts(dtvn_verify.Proved(data, theirs)) == expected


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_r27_any_changed_byte_is_refused_by_the_small_verifier_too(
    log: PaperLog, data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from([log.receipts(3), log.checkpointed(3, 20)]))
    at, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    with pytest.raises(ValueError, match=" "):
        dtvn_verify.Proved(changed, dtvn_verify.Chain(log.chain()))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_p15_random_bytes_are_refused_without_an_unexpected_error(noise: bytes) -> None:
    with pytest.raises(ValueError, match=" "):
        dtvn_verify.Chain(noise)


def test_r35_the_standalone_verifier_follows_the_chain_to_later_epochs(log: PaperLog) -> None:
    later = Later(log, ["r1", "r2", "r3", "r4", "r5", "r6", "r7"])
    admit = (0, log.operation(Admit(gate="east"), "TICKET-9"), "ok", b"")
    data = later.prove(admit, epoch=1, checkpoint_epoch=1, names=later.names)
    chain = log.chain(later.epoch_change_proof)
    told = small_facts(dtvn_verify.Proved(data, dtvn_verify.Chain(chain)))
    assert told == facts(verify(decode_certificate(data), read_chain(chain)))
    with pytest.raises(dtvn_verify.Refused) as unknown:
        dtvn_verify.Proved(data, dtvn_verify.Chain(log.chain()))
    assert (unknown.value.code, unknown.value.place) == ("unknown_epoch", "epoch 1")
    forged = later.prove(admit, epoch=1, checkpoint_epoch=1, names=[*log.names, "r8", "r9", "r10"])
    with pytest.raises(dtvn_verify.Refused) as signature:
        dtvn_verify.Proved(forged, dtvn_verify.Chain(chain))
    assert (signature.value.code, signature.value.place) == ("bad_signature", "r1")


def test_r27_the_standalone_command_proves_refuses_and_convicts(log: PaperLog, tmp_path: Path) -> None:
    other = PaperLog()
    other.admit(gate="south")
    chain, one, two, bad = (tmp_path / name for name in ("chain", "one.json", "two", "bad"))
    chain.write_bytes(log.chain())
    one.write_bytes(b'{"success":true,"data":%b}' % certificate_json(log.receipts(3, signers=[0, 1, 2])))
    two.write_bytes(other.receipts(3, signers=[1, 2, 3]))
    bad.write_bytes(one.read_bytes()[:-9])
    code, said = run("certificate", one, "--genesis", chain)
    assert (code, said.split()[:2]) == (0, ["ticket", "TICKET-1"])
    code, said = run("certificate", one, "--genesis", chain, "--against", two)
    assert code == 1
    assert "r1, r2" in said.splitlines()[-1]
    assert run("certificate", one, "--genesis", chain, "--against", one)[1].endswith("both can be true\n")
    for arguments, why in (
        (("certificate", bad), "wrong_file"),
        (("certificate", tmp_path / "none"), "unreadable"),
        (("evidence", one), "wrong_file"),
        (("other", one), "usage"),
    ):
        code, said = run(*arguments, "--genesis", chain)
        assert code == 1
        assert said.startswith("not proved: ")
        assert said.endswith(f" [{why}]\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("verifier", ["one file", "manage.py"])
def test_r27_characters_of_the_terminal_do_not_change_the_verdict(
    tmp_path: Path, encoding: str, verifier: str
) -> None:
    """Names of gates are free text: no name may change the verdict."""
    log = PaperLog()
    log.admit(gate="北口 🎪")
    chain, one = tmp_path / "chain", tmp_path / "one"
    chain.write_bytes(log.chain())
    one.write_bytes(log.receipts(3))
    # Not -I for ours: it would not look at PYTHONIOENCODING.
    small = (FILE, "certificate", one, "--genesis", chain)
    program = small if verifier == "one file" else (MANAGE, "verify_certificate", one, "--genesis", chain)
    code, said = run(program=program, PYTHONIOENCODING=encoding)
    assert code == 0
    assert "\\u5317\\u53e3 \\U0001f3aa" in said


def test_help_of_the_standalone_verifier_contains_no_verdict(tmp_path: Path) -> None:
    for asked in (("--help",), ("certificate", "-h")):
        code, said = run(*asked)
        assert code == 0
        assert "dtvn_verify.py certificate CERT --genesis CHAIN" in said
    code, said = run("certificate", tmp_path / "one", "--genesis")
    assert code == 1
    assert "dtvn_verify.py certificate CERT --genesis CHAIN" in said


@pytest.mark.parametrize("field", ["created_at", "protocol_version"])
@pytest.mark.parametrize("number", [-1, 2**62 + 1])
def test_r27_both_verifiers_refuse_a_genesis_with_numbers_out_of_range(
    log: PaperLog, field: str, number: int
) -> None:
    odd = g.encode(msgspec.structs.replace(log.genesis, **{field: number}))
    for read in (read_chain, dtvn_verify.Chain):
        with pytest.raises(ValueError, match=" ") as refused:
            read(odd)
        found: Any = refused.value
        assert (found.code, found.place) == ("malformed", "genesis")


def files_of_evidence(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files of evidence that convicts, and whom DTVN's own verifier convicts."""
    (folder / "chain").write_bytes(CHAINS["short"])
    found = {}
    for code, frames in {
        "bad_view_change": [change(stable()[:2])],
        "bad_new_view": [new_view([]), NOISE],
        "prepare": [prepare(1, 0, 7, ONE), prepare(1, 0, 7, TWO)],
    }.items():
        data = encode_evidence(LOG.cluster, code, frames)
        path = folder / f"{code}.json"
        path.write_bytes(evidence_json(data))
        found[code] = path, convict(data, read_chain(CHAINS["short"])).name
    return found


def copied(folder: Path, *files: Path) -> Path:
    """These files in a folder of their own; returns the first."""
    folder.mkdir()
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / files[0].name


def test_p22_the_two_verifier_files_judge_every_kind_of_evidence(tmp_path: Path) -> None:
    chain, two = tmp_path / "chain", copied(tmp_path / "two", FILE, SECOND)
    for code, (path, name) in files_of_evidence(tmp_path).items():
        exit_code, said = run("evidence", path, "--genesis", chain, program=("-I", two))
        assert (exit_code, said.split()[0]) == (0, name)
        assert f" {code}, epoch 0, " in said
    for name, frames, why in (
        ("honest", [change(stable())], "valid_view_change"),
        ("far", [change(stable(epoch=1))], "undecided_epoch"),
    ):
        (tmp_path / name).write_bytes(encode_evidence(LOG.cluster, "bad_view_change", frames))
        told = run("evidence", tmp_path / name, "--genesis", chain, program=("-I", two))
        assert told[0] == 1
        assert told[1].endswith(f" [{why}]\n")


def test_p22_the_first_verifier_file_alone_names_the_missing_one(tmp_path: Path) -> None:
    chain, one = tmp_path / "chain", copied(tmp_path / "one", FILE)
    lacks = "is judged by dtvn_verify_evidence.py, which is not beside this file [missing_file]"
    for path, _sentence in files_of_evidence(tmp_path).values():
        expected = (1, f"not proved: evidence {lacks}\n")
        # Wherever it is started: what lies in the reader's own folder is not asked.
        assert run("evidence", path, "--genesis", chain, program=("-I", one)) == expected
        assert (
            run("evidence", path, "--genesis", chain, program=(one,), PYTHONPATH=str(FILE.parent)) == expected
        )


def test_r27_the_first_verifier_file_alone_proves_certificates(log: PaperLog, tmp_path: Path) -> None:
    later = Later(log, ["r1", "r2", "r3", "r4"])
    chain, one = tmp_path / "chain.json", tmp_path / "one.json"
    chain.write_bytes(chain_json(log.chain(later.epoch_change_proof)))
    one.write_bytes(b'{"success":true,"data":%b}' % certificate_json(log.checkpointed(3, 30)))
    program = ("-I", copied(tmp_path / "one", FILE))
    code, said = run("certificate", one, "--genesis", chain, program=program)
    assert (code, said.split()[:2]) == (0, ["ticket", "TICKET-1"])
    code, said = run("certificate", one, "--genesis", chain, "--against", one, program=program)
    lacks = "is judged by dtvn_verify_evidence.py, which is not beside this file [missing_file]"
    assert (code, said) == (1, f"not proved: --against {lacks}\n")
