"""Three verifiers, one verdict: DTVN's own, the one of one file, and the browser's under node (R27)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dtvn.proof import (
    ProofError,
    certificate_json,
    chain_json,
    compare,
    decode_certificate,
    read_chain,
    unwrap,
    verify,
)
from tests.needed import lacking
from tests.proof import vectors
from verifier import dtvn_verify, dtvn_verify_evidence

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")
GIVEN = json.loads(vectors.FILE.read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = GIVEN["vectors"]
NAMES = [vector["name"] for vector in VECTORS]


def told(vector: dict[str, Any]) -> dict[str, Any]:
    return {key: vector[key] for key in ("sentences", "against_sentences", "refused") if key in vector}


def by_dtvn(vector: dict[str, Any]) -> dict[str, Any]:
    read = {
        key: base64.b64decode(vector[key]) for key in ("chain", "certificate", "against") if key in vector
    }
    try:
        chain = read_chain(read["chain"])
        proved = verify(decode_certificate(read["certificate"]), chain)
        said: dict[str, Any] = {"sentences": proved.sentences()}
        if "against" in read:
            found = compare(proved, verify(decode_certificate(read["against"]), chain))
            said["against_sentences"] = found.sentences() if found else []
    except ProofError:
        return {"refused": True}
    return said


def by_one_file(vector: dict[str, Any]) -> dict[str, Any]:
    read = {
        key: base64.b64decode(vector[key]) for key in ("chain", "certificate", "against") if key in vector
    }
    try:
        chain = dtvn_verify.Chain(read["chain"])
        proved = dtvn_verify.Proved(read["certificate"], chain)
        said: dict[str, Any] = {"sentences": list(proved.sentences())}
        if "against" in read:
            lines = list(
                dtvn_verify_evidence.contradiction(proved, dtvn_verify.Proved(read["against"], chain))
            )
            said["against_sentences"] = "\n".join(lines).splitlines()
    except ValueError:
        return {"refused": True}
    return said


def by_browser(given: dict[str, Any], *flags: str) -> list[dict[str, Any]]:
    if NODE is None:
        lacking("no node on this machine: the browser's verifier is tested in chromium only")
    done = subprocess.run(
        [NODE, ROOT / "tests/proof/check_vectors.cjs", *flags],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_the_stored_vectors_equal_the_generated_ones() -> None:
    assert vectors.FILE.read_text(encoding="utf-8") == vectors.text()
    assert len({*NAMES}) == len(NAMES)
    assert sum("refused" in vector for vector in VECTORS) >= 20


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_r27_two_verifiers_in_python_agree(vector: dict[str, Any]) -> None:
    assert by_dtvn(vector) == told(vector)
    assert by_one_file(vector) == told(vector)


@pytest.mark.parametrize("flags", [(), ("--fallback",)], ids=["webcrypto", "vendored"])
def test_r27_the_browser_agrees(flags: tuple[str, ...]) -> None:
    found = by_browser(GIVEN, *flags)
    for vector, said in zip(VECTORS, found, strict=True):
        said.pop("why", None)
        assert said == told(vector), vector["name"]


def test_r27_the_browser_refuses_every_changed_byte() -> None:
    """Each byte of a small certificate, in the file as it is downloaded."""
    log, _fork = vectors.logs()
    chain = chain_json(log.chain())
    file = b'{"success":true,"data":%b}' % certificate_json(log.receipts(3, signers=[0, 1, 2]))
    files = [file] + [file[:at] + bytes([file[at] ^ 1 << at % 8]) + file[at + 1 :] for at in range(len(file))]
    coded = [
        {"chain": base64.b64encode(chain).decode(), "certificate": base64.b64encode(each).decode()}
        for each in files
    ]
    good, *bad = by_browser({"vectors": coded})
    assert good["sentences"][0].startswith("ticket TICKET-1")
    assert [said for said in bad if not said.get("refused")] == []
    assert unwrap("certificate", file) == log.receipts(3)


def test_vendored_files_are_the_published_ones() -> None:
    shelf = ROOT / "static/vendor"
    rows = [line.split("|") for line in (shelf / "README.md").read_text(encoding="utf-8").splitlines()]
    listed = {
        row[4].strip(): row[5].strip() for row in rows if len(row) == 7 and row[4].strip().endswith(".js")
    }
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in shelf.glob("*.js")}
    assert listed == there


def test_the_page_has_no_inline_script_and_loads_only_local_files() -> None:
    page = (ROOT / "static/verifier/index.html").read_text(encoding="utf-8")
    sources = [part.split('"')[0] for part in page.split('src="')[1:]]
    vendored = ["../vendor/sha256.min.js", "../vendor/nacl-fast.min.js"]
    assert sources == [*vendored, "forms.js", "verify.js", "page.js"]
    assert all((ROOT / "static/verifier" / source).exists() for source in sources)
    assert page.count("<script") == len(sources)
    assert not [word for word in ("http:", "https:", "onclick", "style=") if word in page]
