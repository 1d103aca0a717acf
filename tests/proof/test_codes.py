"""Every code of dtvn.proof.Code is given by the verifiers that check what it stands for."""

from __future__ import annotations

import ast
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec

from dtvn.machine import Admit
from dtvn.proof import Code
from dtvn.protocol import genesis as g
from tests.proof import vectors
from tests.proof.support import Later, PaperLog
from tests.proof.test_odd_files import ROWS
from tests.proof.verdicts import ROOT, by_browser, by_dtvn, by_one_file

SMALL = [
    ROOT / "verifier" / name
    for name in ("dtvn_verify.py", "dtvn_verify_evidence.py", "dtvn_verify_transcript.py")
]
BROWSER = [ROOT / "static/verifier" / name for name in ("forms.js", "verify.js", "transcripts.js", "page.js")]
OURS_ONLY = {"unwritable", "pin_contradicted", "pin_ahead", "bad_checkpoint", "bad_answer"}
"""Pins, and proofs that are no files of users."""
EVIDENCE = {
    "unknown_evidence",
    "wrong_statement",
    "unknown_member",
    "no_contradiction",
    "valid_view_change",
    "valid_new_view",
    "missing_view_change",
    "other_epoch",
    "undecided_epoch",
    "undecided_mixed",
    "undecided_size",
}
"""Evidence, which the browser does not read."""
TRANSCRIPTS = {"wrong_event", "wrong_chunk"}
"""Transcripts, which have vectors of their own (tests/events/transcript)."""
SMALL_ONLY = {"usage", "missing_file"}
CONTRADICTIONS = {"two_entries", "changed_final"}
ALL = {str(code) for code in Code}


def words(paths: list[Path]) -> set[str]:
    """All texts in the code of Python files."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def given(paths: list[Path]) -> set[str]:
    """Codes that Python files give to `need` and to Refused."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            place = {"need": 1, "Refused": 0}.get(name)
            if place is not None and isinstance(node, ast.Call) and len(node.args) > place:
                code = node.args[place]
                found |= {code.value} if isinstance(code, ast.Constant) else set()
    return found


def test_the_stand_alone_verifier_gives_the_codes_of_dtvn_and_its_own() -> None:
    assert words(SMALL) >= ALL - OURS_ONLY
    assert given(SMALL) <= (ALL - OURS_ONLY) | SMALL_ONLY


def test_the_browser_gives_every_code_but_those_of_evidence() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in BROWSER)
    spelled = set(re.findall(r'"([a-z]+(?:_[a-z]+)*)"', text))
    assert spelled >= ALL - OURS_ONLY - EVIDENCE
    assert {word for word in spelled if "_" in word} <= ALL | CONTRADICTIONS


def test_dtvn_raises_every_code() -> None:
    places = ("dtvn/proof/*.py", "dtvn/events/transcript/*.py", "tickets/management/commands/verify_*.py")
    paths = [path for place in places for path in ROOT.glob(place)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths if path.name != "errors.py")
    assert set(re.findall(r"Code\.([A-Z_]+)", text)) == {code.name for code in Code}


def test_the_vectors_hold_each_refusal_code_of_certificates_and_chains() -> None:
    kept: list[dict[str, Any]] = json.loads(vectors.FILE.read_text(encoding="utf-8"))["vectors"]
    found = {vector["code"] for vector in kept if "refused" in vector}
    for row in ROWS:
        code = row.get("code", [])
        found |= set(code if isinstance(code, list) else [code])
    # Of genesis files see test_sealed, of files that cannot be read test_same_verdict.
    elsewhere = {"unreadable", "invalid_genesis", "early_checkpoint", "bad_members"}
    assert ALL - OURS_ONLY - EVIDENCE - TRANSCRIPTS - elsewhere <= found


def test_all_verifiers_give_the_codes_that_no_kept_vector_has() -> None:
    log = PaperLog()
    log.admit()
    later = Later(log, ["r1", "r2", "r3", "r4"])
    admit = (0, log.operation(Admit(gate="east"), "TICKET-9"), "ok", b"")
    early = later.prove(admit, epoch=1, checkpoint_epoch=0, names=later.names)
    first, second, *others = log.genesis.members
    members = (
        (first, first),
        (first, msgspec.structs.replace(second, public_key=first.public_key), *others),
        (first, msgspec.structs.replace(second, id=first.id), *others),
        (),
    )
    given = [
        {"chain": b64encode(chain).decode(), "certificate": b64encode(certificate).decode()}
        for chain, certificate in (
            (log.chain(later.epoch_change_proof), early),
            *(
                (g.encode(msgspec.structs.replace(log.genesis, members=one)), log.receipts(3))
                for one in members
            ),
        )
    ]
    due = [
        {"refused": "early_checkpoint", "place": "epoch 0"},
        *({"refused": "bad_members", "place": "members"} for _ in members),
    ]
    assert [by_dtvn(each) for each in given] == due
    assert [by_one_file(each) for each in given] == due
    assert by_browser(given) == due
