"""The two-file verifier decodes exactly the messages of the wire, and refuses all else (row 15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire.envelope import encode_envelope
from tests.canonical_form import is_canonical
from tests.host.test_door_fuzz import any_message
from tests.support.table import table
from verifier import dtvn_verify_evidence

ONE = bytes([1]) * 32
ENTRY = (0, 1, ONE, ONE, 1, ONE)
OPERATION = ("", "", "", "", "", 1, b"", b"")


def formed(kind: int, body: bytes) -> bool:
    """Whether the verifier of two files takes this for a message."""
    try:
        dtvn_verify_evidence.decoded(encode_envelope(kind, body, b""))
    except dtvn_verify_evidence.ProvesNothing:
        return False
    return True


def test_every_kind_of_message_has_its_form() -> None:
    assert {*dtvn_verify_evidence.SAID, *dtvn_verify_evidence.FORMS} == {*m.KINDS}
    assert not {*dtvn_verify_evidence.SAID} & {*dtvn_verify_evidence.FORMS}


@pytest.mark.ci
@settings(max_examples=400, deadline=None)
@given(any_message())
def test_p15_the_wire_and_the_small_verifier_accept_the_same_messages(message: Any) -> None:
    """And nothing else is: numbers out of range, hashes and texts of a wrong length."""
    kind, body = m.KIND_OF[type(message)], canonical.encode(message)
    assert formed(kind, body) is is_canonical(m.KINDS[kind], body)


@pytest.mark.ci
@settings(max_examples=400, deadline=None)
@given(any_message(), st.data())
def test_p15_both_decoders_agree_on_a_message_with_a_replaced_field(
    message: Any, data: st.DataObject
) -> None:
    fields = list(msgspec.structs.astuple(message))
    odd = st.sampled_from(
        [0, 1023, 1024, -1, 2**62, True, "", b"", ONE, [], [ONE], [[0, 0]], [""], None, 0.5, {}]
    )
    at = data.draw(st.integers(0, len(fields)))
    fields[at : at + data.draw(st.integers(0, 1))] = [data.draw(odd)]
    kind, body = m.KIND_OF[type(message)], canonical.encode(fields)
    assert formed(kind, body) is is_canonical(m.KINDS[kind], body)


SAMPLES: dict[int, tuple[Any, ...]] = {
    1: (0, "gateway", b"12345678", (1, 0), 1, 0, [OPERATION]),
    20: (0, 1, 1, "silent_primary"),
    23: (0, 1, 0, False, 10, 10, 11, [11], True),
    25: (0, 1, (1, 0), 3, ONE, 11, 0, ["ok"]),
    27: (0, 1, 9, ONE, 5),
    64: (ONE,),
    65: (b"body",),
    66: (0, 1, 9),
    67: ([(ENTRY, b"body", [b"commit"])], [b"checkpoint"]),
    68: (ONE,),
    69: ([b"frame"],),
    70: ((1, 0), 1, ONE, ENTRY, 0, [("ok", b"state")], [(True, ONE)], b"receipt"),
    71: ((1, 0), 1, ONE, "busy", 500, 9),
    72: (0, 1),
    73: (b"12345678",),
    74: (1, "ticket", ["T-1"]),
    75: (1, "ok", "{}"),
    76: (1, True, 0, 2, 1),
    77: (1, 9, [b"frame"], [b"checkpoint"], 2, 1, False),
    80: (0, 9),
    84: (b"body",),
    85: (b"body",),
    81: ([b"checkpoint"], ENTRY, [ONE], b"manifest"),
    82: (9, [1]),
    83: (9, [(1, [[b"leaf", b"what it covers"]])]),
    90: (0, 5, 9, 4, 8, True, 1),
    91: (0, 5, False, True, 5),
    92: (0, 5, 8, 4, [b"body"], 7),
    93: (0, 5, True, 9, 8, 1),
    94: (0, 9, [b"head"]),
    95: (b"of the overlay",),
    96: (0, 7),
}
"""One of each message that the second file has a form for."""
OTHERS = (
    0,
    -1,
    2**63,
    1.5,
    True,
    None,
    "",
    b"",
    ONE,
    {},
    [],
    [0],
    [""],
    [b""],
    [[]],
    [[b""]],
    [ENTRY],
    [[0, 0]],
)


def replaced(value: Any) -> Iterator[Any]:
    """`value` with one part of it left out, doubled, or another thing: at every depth."""
    yield from OTHERS
    if isinstance(value, tuple | list):
        yield bytes(len(value))  # as many numbers, for who only counts and looks at each
        for at, each in enumerate(value):
            yield [*value[:at], *value[at + 1 :]]
            yield [*value[:at], each, *value[at:]]
            for other in replaced(each):
                yield [*value[:at], other, *value[at + 1 :]]


@table("kind", SAMPLES, count=32)
def test_p15_each_form_is_that_of_the_wire_field_by_field(kind: int) -> None:
    assert formed(kind, canonical.encode(SAMPLES[kind]))
    for fields in replaced(SAMPLES[kind]):
        body = canonical.encode(fields)
        assert formed(kind, body) is is_canonical(m.KINDS[kind], body), fields


def test_there_is_a_sample_for_every_form() -> None:
    assert {*SAMPLES} == {*dtvn_verify_evidence.FORMS}


BOUNDS: dict[str, tuple[int, int, Callable[[int], Any]]] = {
    "entries of a range": (67, 32_768, lambda n: ([(ENTRY, b"", ())] * n, ())),
    "COMMITs of an entry": (67, 31, lambda n: ([(ENTRY, b"", [b""] * n)], ())),
    "supplied frames": (69, 256, lambda n: ([b""] * n,)),
    "a client's id": (73, 32, lambda n: (b"x" * n,)),
    "arguments of a question": (74, 16, lambda n: (1, "what", [""] * n)),
    "an argument": (74, 1_024, lambda n: (1, "what", ["ü" * n])),
    "a word": (75, 256, lambda n: (1, "ü" * n, "")),
    "a text, which has no bound": (75, 1 << 20, lambda n: (1, "", "x" * n)),
    "frames under the asker's key": (77, 256, lambda n: (1, 1, [b""] * n, (), 0, 0)),
    "what is missing": (23, 64, lambda n: (0, 1, 0, False, 10, 10, 11, [11] * n, True)),
    "hashes of a log's frontier": (81, 62, lambda n: ((), ENTRY, [ONE] * n, b"")),
    "hashes of all groups": (81, 65_536, lambda n: ((), ENTRY, (), b"x" * n)),
    "groups asked for": (82, 1_024, lambda n: (1, [0] * n)),
    "a group's number": (82, 1_023, lambda n: (1, [n])),
    "entries of a leader": (92, 64, lambda n: (0, 5, 8, 4, [b""] * n, 7)),
    "groups given": (83, 32, lambda n: (1, [(1, ())] * n)),
    "operations of a request": (1, 5_000, lambda n: (0, "", b"", (1, 0), 1, 0, [OPERATION] * n)),
}


@table("name", BOUNDS, count=17)
def test_p15_both_verifiers_have_the_bounds_of_the_wire(name: str) -> None:
    kind, most, fields = BOUNDS[name]
    for count in (most, most + 1):
        body = canonical.encode(fields(count))
        bounded = count == most or "no bound" in name
        assert formed(kind, body) is is_canonical(m.KINDS[kind], body) is bounded
