"""Every refusal has a code of suspicion, and the page of certificates has every kind of evidence."""

from __future__ import annotations

import re
from pathlib import Path

from dtvn.proof.evidence import DOUBLES, EVENT_VOTE
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.evidence import SENTENCES
from dtvn.protocol.consensus.offences import OFFENCES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "understand" / "protocol"


def test_every_refusal_is_a_suspicion() -> None:
    assert {each.code for each in OFFENCES.values()} == {reason.value for reason in Reason}


def test_the_page_of_certificates_lists_every_kind_of_evidence() -> None:
    page = (DOCS / "certificates.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z_, ]+) \| (?:two|a|one) .*\|$", page, re.MULTILINE)
    listed = {code.strip() for row in rows for code in row.split(",")}
    assert listed == {*DOUBLES, "hidden_commit", "bad_view_change", "bad_new_view", EVENT_VOTE}
    assert set(SENTENCES) <= listed
