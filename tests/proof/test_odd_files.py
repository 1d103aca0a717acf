"""Odd files: every verifier must make the same of them (decision 0151).

One table, odd-files.json, goes through `manage.py`, the verifier of one file and the browser's
under node. The browser knows no evidence.
"""

from __future__ import annotations

import base64
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.proof import vectors
from tests.proof.test_evidence import GENESIS, file_of, pairs
from tests.proof.verdicts import by_browser
from tests.support.table import table
from verifier import dtvn_verify

TABLE = Path(__file__).resolve().parents[2] / "docs/understand/protocol/odd-files.json"
ROWS: list[dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))["files"]
VECTOR = json.loads(vectors.FILE.read_text(encoding="utf-8"))["vectors"][0]
GOOD = {
    "certificate": base64.b64decode(VECTOR["certificate"]),
    "chain": base64.b64decode(VECTOR["chain"]),
    "evidence": file_of("commit", *pairs()["commit"]),
}
CASES = [(kind, row) for row in ROWS for kind in GOOD if row.get("of", kind) == kind]
IDS = [f"{kind}: {row['name']}" for kind, row in CASES]


def content(kind: str, row: dict[str, Any]) -> bytes:
    good = GOOD[kind]
    coded = base64.b64encode(good)
    stands_for = {
        b"KIND": kind.encode(),
        b"BASE64": coded,
        b"BYTES": good,
        b"BIGHEX": good.hex().upper().encode(),
        b"HEX": good.hex().encode(),
        b"TWICE": base64.b64encode(coded),
    }
    names = re.compile(b"|".join(stands_for))
    parts = [(part, 1) if isinstance(part, str) else part for part in row["file"]]
    whole = b"".join(part.encode("latin-1") * times for part, times in parts)
    return names.sub(lambda found: stands_for[found[0]], whole)


def files(kind: str, row: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """(what is checked, the chain), one of them odd."""
    checked, chain = folder / "checked", folder / "chain"
    odd = content(kind, row)
    chain.write_bytes(odd if kind == "chain" else GENESIS if kind == "evidence" else GOOD["chain"])
    checked.write_bytes(GOOD["certificate"] if kind == "chain" else odd)
    return checked, chain


def codes(row: dict[str, Any]) -> list[str]:
    """The codes with which a row may be refused; several if they depend on the kind of its file."""
    code = row.get("code", [])
    return code if isinstance(code, list) else [code]


def test_the_table_has_unique_names_and_one_verdict_for_each() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) >= 100
    assert all(("holds" in row) is not ("refused" in row) for row in ROWS)
    assert all(("code" in row) is ("refused" in row) for row in ROWS)


@table("kind, row", CASES, count=421, ids=IDS)
def test_p15_manage_py_gives_odd_files_the_verdicts_of_the_table(
    kind: str, row: dict[str, Any], tmp_path: Path
) -> None:
    checked, chain = files(kind, row, tmp_path)
    command = "verify_evidence" if kind == "evidence" else "verify_certificate"
    arguments = (command, str(checked), "--genesis", str(chain))
    if "holds" in row:
        call_command(*arguments, stdout=StringIO())
        return
    with pytest.raises(CommandError, match=r"^not proved: ") as refusal:
        call_command(*arguments, stdout=StringIO())
    assert refusal.value.returncode == 1
    assert str(refusal.value).rpartition(" [")[2][:-1] in codes(row)


@table("kind, row", CASES, count=421, ids=IDS)
def test_p15_the_standalone_verifier_gives_the_verdicts_of_the_table(
    kind: str, row: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked, chain = files(kind, row, tmp_path)
    command = "evidence" if kind == "evidence" else "certificate"
    assert dtvn_verify.main(command, str(checked), "--genesis", str(chain)) == ("refused" in row)
    if "refused" in row:
        assert capsys.readouterr().out.rpartition(" [")[2][:-2] in codes(row)


def test_p15_the_browser_gives_odd_files_the_verdicts_of_the_table() -> None:
    given = []
    cases = [(kind, row) for kind, row in CASES if kind != "evidence"]
    for kind, row in cases:
        read = {"certificate": GOOD["certificate"], "chain": GOOD["chain"], kind: content(kind, row)}
        given.append({name: base64.b64encode(data).decode() for name, data in read.items()})
    for (kind, row), said in zip(cases, by_browser(given), strict=True):
        assert (said["refused"] in codes(row)) if "refused" in said else "holds" in row, (kind, row["name"])
