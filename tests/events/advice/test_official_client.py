"""What was tried with the official client 1.0 (@ag-ui/client from npm, and the JSON Patch library that it
uses): which values end its run, and what patches make of a state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from dtvn.events.advice.json_patch import Document, same
from dtvn.events.rules import Severity
from dtvn.events.rules.messages import Patch
from dtvn.events.validation_config import ValidationConfig
from tests.events.advice.support import HERE, told
from tests.events.rules.samples import FULL
from tests.support.table import table

VALUES: list[dict[str, Any]] = json.loads((HERE / "official_values.json").read_bytes())
PATCHES: list[dict[str, Any]] = json.loads((HERE / "official_patches.json").read_bytes())
REFUSALS: list[tuple[str, str, Any]] = [
    tuple(each) for each in json.loads((HERE / "official_refusals.json").read_bytes())
]
"""Of each event with every field, with one of them left out or of another value: (type, path, value, or
`absent`) of those that the rules take and the client's schema does not."""
STRICTER = {"unkrole"}
"""The client leaves out a message of an unknown role, and the rules refuse it (contract 7.3)."""


@table("case", [each for each in VALUES if each["name"] not in STRICTER], ids=lambda c: c["name"], count=36)
def test_a_run_that_the_client_ends_is_told_of(case: dict[str, Any]) -> None:
    data = "\n".join(map(json.dumps, case["events"])).encode()
    found = told(data, ValidationConfig(accept_protocol_0x=True))
    ends = [each for each in found if each.severity is Severity.ERROR or each.code == "CLIENT_REFUSES"]
    assert bool(ends) == case["refused"], found


@table("case", PATCHES, ids=range(len(PATCHES)), count=200)
def test_a_patch_does_what_it_does_in_the_client(case: dict[str, Any]) -> None:
    document = Document(json.dumps(case["document"]).encode(), 1024)
    failure = document.apply(msgspec.json.decode(json.dumps(case["patch"]), type=Patch))
    assert (failure is None) == case["applies"], failure
    assert same(document.value, case["result"] if case["applies"] else case["document"])


OPAQUE = {
    "rawEvent",
    "snapshot",
    "value",
    "event",
    "result",
    "state",
    "forwardedProps",
    "payload",
    "responseSchema",
}
OPAQUE |= {"parameters"}
CONVERTED = {("TOOL_CALL_START", "parentMessageId"), ("TOOL_CALL_CHUNK", "parentMessageId")}
CONVERTED |= {
    ("RUN_FINISHED", "outcome"),
    *((kind, name) for kind in FULL for name in ("rawEvent", "result")),
}
"""Nulls that the client converts before its schema sees them."""
IN_INPUT = ("forwardedProps", "parameters", "payload")


def is_converted(kind: str, path: str) -> bool:
    """Also what RUN_STARTED repeats of its input, and the metadata of media parts; in the result of a call
    these end the run, but the rules do not look at them."""
    of_part = "content[" in path and path.endswith("metadata")
    return (kind, path) in CONVERTED or of_part or (path.startswith("input.") and path.endswith(IN_INPUT))


def paths(value: Any, above: str = "") -> Iterator[str]:
    """Of all fields and items within an event that the protocol describes."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield f"{above}{name}"
            if name not in OPAQUE:
                yield from paths(each, f"{above}{name}.")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from paths(each, f"{above.removesuffix('.')}[{number}].")


def changed(given: dict[str, Any], path: str, value: Any) -> bytes:
    """The event with another value at this path; `absent` leaves it out."""
    made = json.loads(json.dumps(given))
    owner: Any = made
    *above, last = re.findall(r"[^.\[\]]+", path)
    for name in above:
        owner = owner[int(name) if isinstance(owner, list) else name]
    if value == "absent":
        del owner[last]
    else:
        owner[last] = value
    return json.dumps(made).encode()


@table("kind", FULL, count=31)
def test_each_value_that_ends_a_run_in_the_client_is_told(kind: str) -> None:
    """And no other, of all fields of all events."""
    config = ValidationConfig(skip_sequence_validation=True, advice_only=("CLIENT_REFUSES",))
    found = set()
    for path in paths(FULL[kind]):
        if path.endswith("]") or path.rpartition(".")[2] in ("type", "op"):
            continue
        for value in (None, "12", "absent"):
            told_of = told(changed(FULL[kind], path, value), config)
            if told_of and all(each.severity is Severity.WARNING for each in told_of):
                found.add((path, value))
    expected = {(path, value) for name, path, value in REFUSALS if name == kind and not path.endswith("]")}
    assert found == {
        (path, value) for path, value in expected if value is not None or not is_converted(kind, path)
    }
