"""docs/understand/protocol/suspicions.md lists every code with its sentence, as the one table has them."""

from __future__ import annotations

import re
from pathlib import Path

from dtvn.proof.evidence import DOUBLES
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.evidence import SENTENCES
from dtvn.protocol.consensus.offences import OFFENCES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "understand" / "protocol"


def test_the_page_lists_every_suspicion_and_every_crime() -> None:
    page = (DOCS / "suspicions.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `(\w+)` \| (.*?) \|(?: (yes)? ?\|)?$", page, re.MULTILINE)
    suspected = [(each.code, each.sentence, "yes" if each.grave else "") for each in OFFENCES.values()]
    assert found == [*suspected, *((code, sentence, "") for code, sentence in SENTENCES.items())]
    assert {each.code for each in OFFENCES.values()} == {reason.value for reason in Reason}


def test_the_page_of_certificates_lists_every_kind_of_evidence() -> None:
    page = (DOCS / "certificates.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z_, ]+) \| (?:two|a|one) .*\|$", page, re.MULTILINE)
    listed = {code.strip() for row in rows for code in row.split(",")}
    assert listed == {*DOUBLES, "hidden_commit", "bad_view_change", "bad_new_view"}
    assert set(SENTENCES) <= listed
