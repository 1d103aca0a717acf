"""An oversize file is refused with one code, and read only up to the size limit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dtvn.proof import FILE_BYTES_MAX, ProofError, chain_json, read_chain, read_file
from dtvn.proof.certificate import CERTIFICATE_BYTES_MAX, decode_certificate
from dtvn.proof.evidence import convict
from dtvn.proof.files import BYTES_MAX
from tests.proof.support import PaperLog
from tests.proof.test_standalone import FILE, MANAGE
from tests.support.table import table
from verifier import dtvn_verify

HUGE = 3 * 1024**3
MEMORY = 2 * 1024**3
"""Address space of a verifier: less than the file has."""
SMALL, ZERO = ("-I", str(FILE)), "/dev/zero"


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A sparse file of three gigabytes."""
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, HUGE)
    return path


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain"
    path.write_bytes(chain_json(PaperLog().chain()))
    return path


def confined() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and what was said, in little memory."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=confined,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("endless", [False, True], ids=["three gigabytes", "without an end"])
@pytest.mark.parametrize(
    ("program", "of"),
    [
        ((*SMALL, "certificate"), "certificate"),
        ((*SMALL, "certificate"), "chain"),
        ((*SMALL, "evidence"), "evidence"),
        ((MANAGE, "verify_certificate"), "certificate"),
        ((MANAGE, "verify_evidence"), "evidence"),
        ((MANAGE, "verify_evidence"), "chain"),
    ],
    ids=lambda each: each if isinstance(each, str) else str(each[-1]),
)
def test_files_larger_than_memory_are_refused(
    program: tuple[object, ...], of: str, endless: bool, huge: Path, chain: Path
) -> None:
    large = ZERO if endless else huge
    checked, trusted = (chain, large) if of == "chain" else (large, chain)
    code, said = run(*program, checked, "--genesis", trusted)
    assert (code, said.rpartition(" [")[2]) == (1, "too_large]\n")
    assert f" {of}" in said


def test_an_audit_refuses_an_endless_chain_file(tmp_path: Path) -> None:
    code, said = run(MANAGE, "audit", tmp_path, "--genesis", ZERO)
    why = f"this file is no chain: it is too large, over {2 * BYTES_MAX['chain']} bytes"
    assert (code, said) == (2, f"CommandError: nothing was audited: {why}\n")


def test_an_endless_pin_file_is_refused(tmp_path: Path, chain: Path) -> None:
    code, said = run(MANAGE, "verify_certificate", chain, "--genesis", chain, "--pin", ZERO)
    assert (code, said) == (1, f"CommandError: not proved: {ZERO} is not a pin file [wrong_file]\n")


def test_an_endless_genesis_file_is_refused(tmp_path: Path) -> None:
    code, said = run(MANAGE, "genesis", "show", ZERO)
    why = f"CommandError: {ZERO} is not an unfinished genesis: it is too large, over 1048576 bytes.\n"
    assert (code, said) == (1, why)


@pytest.mark.parametrize("kind", ["certificate", "chain", "evidence"])
def test_a_file_is_refused_from_the_first_byte_above_the_bound(kind: str, tmp_path: Path) -> None:
    """A file of exactly the maximum size is decoded, and refused for another reason."""
    most, path = FILE_BYTES_MAX[kind], tmp_path / "file"
    for size, why in ((most, "wrong_file"), (most + 1, "too_large")):
        path.touch()
        os.truncate(path, size)
        with pytest.raises(ProofError) as ours:
            read_file(kind, path)
        with pytest.raises(dtvn_verify.Refused) as theirs:
            dtvn_verify.read(path, kind)
        assert ours.value.code == theirs.value.code == why


@table(
    ("kind", "most"),
    [
        ("certificate", CERTIFICATE_BYTES_MAX),
        ("chain", BYTES_MAX["chain"]),
        ("evidence", BYTES_MAX["evidence"]),
    ],
    count=3,
)
def test_what_did_not_come_from_a_file_is_bounded_too(kind: str, most: int) -> None:
    """The bounds are those of what a member or a platform sends."""
    trusted = read_chain(PaperLog().chain())
    readers: dict[str, Callable[[bytes], object]] = {
        "certificate": decode_certificate,
        "chain": read_chain,
        "evidence": lambda data: convict(data, trusted),
    }
    for size, large in ((most, False), (most + 1, True)):
        with pytest.raises(ProofError) as refused:
            readers[kind](bytes(size))
        assert (refused.value.code == "too_large") is large
        assert not large or f"at most {most} bytes, not {size}" in str(refused.value)
