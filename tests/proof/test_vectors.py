"""Three verifiers, one verdict: DTVN's own, the one of one file, and the browser's under node (R27)."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import pytest

from dtvn.proof import certificate_json, chain_json, decode_certificate, read_chain, verify
from tests.proof import vectors
from tests.proof.verdicts import ROOT, by_browser, by_dtvn, by_one_file
from tests.support.table import table
from verifier import dtvn_verify

VECTORS: list[dict[str, Any]] = json.loads(vectors.FILE.read_text(encoding="utf-8"))["vectors"]
NAMES = [vector["name"] for vector in VECTORS]


def due(vector: dict[str, Any]) -> dict[str, Any]:
    """The recorded refusal, else what DTVN's own verifier finds."""
    if "refused" in vector:
        return {"refused": vector["code"], "place": vector["place"]}
    return by_dtvn(vector)


def test_the_stored_vectors_equal_the_generated_ones() -> None:
    assert vectors.FILE.read_text(encoding="utf-8") == vectors.text()
    assert len({*NAMES}) == len(NAMES)
    assert sum("refused" in vector for vector in VECTORS) >= 20


@table("vector", VECTORS, ids=NAMES, count=215)
def test_r27_two_verifiers_in_python_agree(vector: dict[str, Any]) -> None:
    assert by_dtvn(vector) == due(vector)
    assert by_one_file(vector) == due(vector)


@pytest.mark.parametrize("flags", [(), ("--fallback",)], ids=["webcrypto", "vendored"])
def test_r27_the_browser_agrees(flags: tuple[str, ...]) -> None:
    for vector, found in zip(VECTORS, by_browser(VECTORS, *flags), strict=True):
        assert found == due(vector), vector["name"]


def test_r27_sentences_name_the_ticket_the_outcome_and_every_signer() -> None:
    log, _fork = vectors.logs()
    for data in (log.receipts(3), log.checkpointed(3, 20)):
        proved = verify(decode_certificate(data), read_chain(log.chain()))
        small = dtvn_verify.Proved(data, dtvn_verify.Chain(log.chain()))
        for lines in (proved.sentences(), list(small.sentences())):
            said = " ".join(lines)
            for fact in (proved.ticket, proved.kind, proved.code, *(name for _key, name in proved.signers)):
                assert fact in said


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
    good, *bad = by_browser(coded)
    assert good == by_dtvn(coded[0])
    assert good["ticket"] == "TICKET-1"
    assert [verdict for verdict in bad if "refused" not in verdict] == []


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
    assert sources == [*vendored, "forms.js", "verify.js", "transcripts.js", "page.js"]
    assert all((ROOT / "static/verifier" / source).exists() for source in sources)
    assert page.count("<script") == len(sources)
    assert not [word for word in ("http:", "https:", "onclick", "style=") if word in page]
