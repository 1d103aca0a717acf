"""The one-file verifier gives the same sentences as DTVN's own, and accepts no more (R27)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine import Admit
from dtvn.proof import (
    ProofError,
    certificate_json,
    chain_json,
    compare,
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
from verifier import dtvn_verify

FILE = Path(dtvn_verify.__file__)
SECOND = FILE.with_name("dtvn_verify_evidence.py")
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


@pytest.mark.parametrize(
    ("file", "lines", "needs"),
    [(FILE, 265, {"nacl"}), (SECOND, 435, {"nacl", FILE.stem})],
    ids=["first", "second"],
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


def test_r27_both_verifiers_report_every_outcome_in_the_same_words(log: PaperLog) -> None:
    ours, theirs = read_chain(log.chain()), dtvn_verify.Chain(log.chain())
    for sequence in range(1, 31):
        for data in (log.receipts(sequence), log.checkpointed(sequence, 30)):
            expected = verify(decode_certificate(data), ours).sentences()
            assert list(dtvn_verify.Proved(data, theirs).sentences()) == expected


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
    said = list(dtvn_verify.Proved(data, dtvn_verify.Chain(chain)).sentences())
    assert said == verify(decode_certificate(data), read_chain(chain)).sentences()
    with pytest.raises(ValueError, match="epoch 1 is not in this chain"):
        dtvn_verify.Proved(data, dtvn_verify.Chain(log.chain()))
    forged = later.prove(admit, epoch=1, checkpoint_epoch=1, names=[*log.names, "r8", "r9", "r10"])
    with pytest.raises(ValueError, match="the signature of r1 does not fit"):
        dtvn_verify.Proved(forged, dtvn_verify.Chain(chain))


def test_r27_the_standalone_command_proves_refuses_and_convicts(log: PaperLog, tmp_path: Path) -> None:
    other = PaperLog()
    other.admit(gate="south")
    chain, one, two, bad = (tmp_path / name for name in ("chain", "one.json", "two", "bad"))
    chain.write_bytes(log.chain())
    one.write_bytes(b'{"success":true,"data":%b}' % certificate_json(log.receipts(3, signers=[0, 1, 2])))
    two.write_bytes(other.receipts(3, signers=[1, 2, 3]))
    bad.write_bytes(one.read_bytes()[:-9])
    code, said = run("certificate", one, "--genesis", chain)
    assert (code, said.splitlines()) == (
        0,
        verify(decode_certificate(log.receipts(3)), read_chain(log.chain())).sentences(),
    )
    code, said = run("certificate", one, "--genesis", chain, "--against", two)
    proved = [
        verify(decode_certificate(d), read_chain(log.chain())) for d in (log.receipts(3), two.read_bytes())
    ]
    expected = compare(*proved)
    assert expected is not None
    assert (code, said.splitlines()[-2:]) == (1, expected.sentences())
    assert run("certificate", one, "--genesis", chain, "--against", one)[1].endswith("both can be true\n")
    for arguments in (
        ("certificate", bad),
        ("certificate", tmp_path / "none"),
        ("evidence", one),
        ("other", one),
    ):
        code, said = run(*arguments, "--genesis", chain)
        assert code == 1
        assert said.startswith("not proved: ")


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
    expected = verify(decode_certificate(log.receipts(3)), read_chain(log.chain())).sentences()
    shown = "\n".join(expected).encode("ascii", "backslashreplace").decode()
    assert "\\u5317\\u53e3 \\U0001f3aa" in shown
    assert (code, said.splitlines()) == (0, shown.splitlines())


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
    with pytest.raises(ProofError, match="the genesis has not the form of one"):
        read_chain(odd)
    with pytest.raises(ValueError, match="the genesis has not the form of one"):
        dtvn_verify.Chain(odd)


def files_of_evidence(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files of evidence that convicts, and the sentence of DTVN's own verifier."""
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
        found[code] = path, convict(data, read_chain(CHAINS["short"])).sentence()
    return found


def copied(folder: Path, *files: Path) -> Path:
    """These files in a folder of their own; returns the first."""
    folder.mkdir()
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / files[0].name


def test_p22_the_two_verifier_files_judge_every_kind_of_evidence(tmp_path: Path) -> None:
    chain, two = tmp_path / "chain", copied(tmp_path / "two", FILE, SECOND)
    for path, sentence in files_of_evidence(tmp_path).values():
        assert run("evidence", path, "--genesis", chain, program=("-I", two)) == (0, f"{sentence}\n")
    for name, frames, why in (
        ("honest", [change(stable())], "this VIEW-CHANGE proves what it claims"),
        (
            "far",
            [change(stable(epoch=1))],
            "epoch 1 is not in this chain, which ends with 0: this verifier cannot decide",
        ),
    ):
        (tmp_path / name).write_bytes(encode_evidence(LOG.cluster, "bad_view_change", frames))
        told = run("evidence", tmp_path / name, "--genesis", chain, program=("-I", two))
        assert told == (1, f"not proved: {why}\n")


def test_p22_the_first_verifier_file_alone_names_the_missing_one(tmp_path: Path) -> None:
    chain, one = tmp_path / "chain", copied(tmp_path / "one", FILE)
    lacks = "is judged by dtvn_verify_evidence.py, which is not beside this file"
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
    proved = verify(decode_certificate(log.checkpointed(3, 30)), read_chain(log.chain()))
    assert (code, said.splitlines()) == (0, proved.sentences())
    code, said = run("certificate", one, "--genesis", chain, "--against", one, program=program)
    lacks = "is judged by dtvn_verify_evidence.py, which is not beside this file"
    assert (code, said) == (1, f"not proved: --against {lacks}\n")
