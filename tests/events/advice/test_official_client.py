"""What was tried with the official client 1.0 (@ag-ui/client from npm, and the JSON Patch library that it
uses): which values end its run, and what patches make of a state."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from dtvn.events.advice.json_patch import Document, same
from dtvn.events.rules import Severity
from dtvn.events.rules.messages import Patch
from tests.events.advice.support import HERE, told
from tests.support.table import table

VALUES: list[dict[str, Any]] = json.loads((HERE / "official_values.json").read_bytes())
PATCHES: list[dict[str, Any]] = json.loads((HERE / "official_patches.json").read_bytes())


@table("case", VALUES, ids=lambda c: c["name"], count=37)
def test_a_run_that_the_client_ends_is_told_of(case: dict[str, Any]) -> None:
    data = "\n".join(map(json.dumps, case["events"])).encode()
    found = told(data)
    ends = [each for each in found if each.severity is Severity.ERROR or each.code == "CLIENT_REFUSES"]
    assert bool(ends) == case["refused"], found


@table("case", PATCHES, ids=range(len(PATCHES)), count=200)
def test_a_patch_does_what_it_does_in_the_client(case: dict[str, Any]) -> None:
    document = Document(json.dumps(case["document"]).encode(), 1024)
    failure = document.apply(msgspec.json.decode(json.dumps(case["patch"]), type=Patch))
    assert (failure is None) == case["applies"], failure
    assert same(document.value, case["result"] if case["applies"] else case["document"])
