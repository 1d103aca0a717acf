"""Leaves signed by q members that no honest one would sign: all verifiers agree on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dtvn.proof import Certificate, Receipts, encode_certificate
from dtvn.proof.certificate import CLUSTER_TAG_SIZE
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from tests.proof.support import START, PaperLog

BEYOND, LARGEST = 2**53 + 1, 2**62
OPERATION = ["admit", "default", "TICKET-1", "gate", "r0", START, b"", b""]
TICKET = ["default", "TICKET-1", 3, "r0", START, 3, 0, "admit", "gateway", "gate", b"", "n", "d", "", [1, 2]]
WIDE = "\U0001f3aa"
"""Two letters for JavaScript, one for Python."""

pack = msgspec.msgpack.encode


def leaf(**changed: Any) -> bytes:
    plain = {"index": 0, "operation": OPERATION, "code": "ok", "time": START, "state": b""}
    return pack(list((plain | changed).values()))


def state(at: int, value: Any) -> bytes:
    """A leaf with one field of the ticket's state changed."""
    return leaf(state=pack([*TICKET[:at], value, *TICKET[at + 1 :]]))


def named(name: str) -> bytes:
    return leaf(operation=[*OPERATION[:2], name, *OPERATION[3:]])


def holding(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate)"""
    for name, data, time, sequence in (
        ("numbers beyond 2^53", leaf(index=BEYOND + 2, time=BEYOND), BEYOND, BEYOND),
        ("the largest numbers", leaf(index=LARGEST, time=LARGEST), LARGEST, LARGEST),
        ("a name with NUL and a mark", named("\ufeffT\0"), START, 3),
        ("a name of 200 letters beyond 16 bits", named(WIDE * 200), START, 3),
        ("a code of 256 letters beyond 16 bits", leaf(code=WIDE * 256), START, 3),
        ("a state of fourteen fields", leaf(state=b"\x9e" + bytes(14)), START, 3),
        ("a state that is noise", leaf(state=b"\xff\x9f\0"), START, 3),
        ("a state of the largest numbers", state(14, [LARGEST, BEYOND]), START, 3),
        ("a state of another ticket", state(1, "TICKET-2"), START, 3),
    ):
        yield f"odd: {name}", by_receipts(log, data, time, sequence)


def refused(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate)"""
    sound = leaf(state=pack(TICKET))
    for name, data in (
        ("a state cut after its first byte", leaf(state=b"\x9f")),
        ("a state of fifteen numbers", leaf(state=b"\x9f" + bytes(15))),
        ("a state with a byte too many", leaf(state=pack(TICKET) + b"\0")),
        (
            "a state with a length in a longer spelling",
            leaf(state=pack(TICKET).replace(b"\xa2r0", b"\xd9\2r0")),
        ),
        *((f"a state whose number is {each}", state(2, each)) for each in (0, 6, 3.0, True, -1, 2**64 - 1)),
        *((f"a state whose time is {each}", state(4, each)) for each in (-1, 1.0, LARGEST + 1)),
        *(
            (f"a state whose clock is {each}", state(14, [each]))
            for each in (-1, -0.0, "1", None, LARGEST + 1)
        ),
        ("a state whose clock is a number", state(14, 1)),
        *(
            (f"an index that is {each}", leaf(index=each))
            for each in (1.0, -0.0, -1, True, None, LARGEST + 1)
        ),
        ("a code of 257 letters beyond 16 bits", leaf(code=WIDE * 257)),
        ("a text for bytes", leaf(state="")),
        ("bytes for a text", leaf(code=b"ok")),
        ("a field too many", leaf(more=1)),
        ("a map", leaf(operation={"kind": "admit"})),
        ("a lone surrogate", sound.replace(b"TICKET-1", b"\xed\xa0\x80KET-1")),
        ("an overlong letter", sound.replace(b"TICKET-1", b"\xc0\x80CKET-1")),
        ("a leaf a thousand deep", b"\x91" * 1_000 + b"\0"),
    ):
        yield f"odd: {name}", by_receipts(log, data, START, 3)
    yield "odd: a sequence beyond all", by_receipts(log, leaf(), START, LARGEST + 1)


ANSWER = [*TICKET, "Stalls", "A1", 0, 0, False, "", 0, False]
"""A ticket's state with its terms, as the kinds and forms have it that came with codes."""
BY_CODE = [*OPERATION[:2], "", *OPERATION[3:]]


def answer(at: int, value: Any) -> bytes:
    """A leaf of an admission by code with one field of the answer changed."""
    return leaf(operation=BY_CODE, state=pack([*ANSWER[:at], value, *ANSWER[at + 1 :]]))


def answers_holding(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate), in version 3."""
    for name, data in (
        ("as it is", answer(0, "default")),
        (
            "without product and seat",
            leaf(operation=BY_CODE, state=pack([*TICKET, "", "", 0, 0, False, "", 0, False])),
        ),
        ("blocked, without a reason", answer(19, True)),
        ("with a reason that is none", answer(20, "told by nobody")),
        (
            "with a reason and marks",
            leaf(state=pack([*ANSWER[:19], True, "\u202eevil" + WIDE * 200, 0, True])),
        ),
        ("of a window without an end", answer(18, 2**63 - 1)),
        (
            "of another ticket than the operation names",
            leaf(state=pack([*ANSWER[:1], "TICKET-2", *ANSWER[2:]])),
        ),
        ("of another event", answer(0, "elsewhere")),
    ):
        yield f"answer: {name}", by_receipts(log, data, START, 3, version=3)
    many = leaf(state=b"\xdc\x00\x19" + pack([*ANSWER, 0][:15])[1:] + bytes(10))
    yield "answer: noise of 25 fields", by_receipts(log, many, START, 3)


def answers_refused(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate)"""
    for name, data in (
        ("cut after its head", leaf(state=b"\xdc\x00\x17")),
        ("of 23 numbers", leaf(state=b"\xdc\x00\x17" + bytes(23))),
        ("with a byte too many", leaf(state=pack(ANSWER) + b"\0")),
        *((f"whose block is {each}", answer(19, each)) for each in (0, None, "")),
        *((f"whose end is {each}", answer(18, each)) for each in (-1, 2**63, 1.0, True)),
        *((f"whose entry is {each}", answer(21, each)) for each in (-1, 2**63)),
        ("whose time is beyond all", answer(4, LARGEST + 1)),
        ("whose state is 6", answer(2, 6)),
    ):
        yield f"answer: {name}", by_receipts(log, data, START, 3, version=3)
    yield "answer: in version 1", by_receipts(log, answer(0, "default"), START, 3)
    yield (
        "answer: a state without terms in version 3",
        by_receipts(log, leaf(state=pack(TICKET)), START, 3, version=3),
    )
    yield "answer: no state in version 3", by_receipts(log, leaf(), START, 3, version=3)


VISIT = ["vip", "exit", 2, 3, 1, False, START, "north", "d1"]
"""What an answer tells of a list besides."""


def listed(at: int, value: Any) -> bytes:
    """A leaf of a scan with one field of what it tells of the list changed."""
    return leaf(operation=BY_CODE, state=pack([*ANSWER, [*VISIT[:at], value, *VISIT[at + 1 :]]]))


def lists_holding(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate), in version 4."""
    for name, data in (
        ("as it is", listed(0, "vip")),
        (
            "of a ticket that never entered",
            leaf(state=pack([*ANSWER, ["main", "", 0, 0, 0, False, 0, "", ""]])),
        ),
        ("of the largest numbers", listed(2, LARGEST)),
        ("of the last moment", listed(6, 2**63 - 1)),
        ("of a forced entry", listed(5, True)),
    ):
        yield f"list: {name}", by_receipts(log, data, START, 3, version=4)


def lists_refused(log: PaperLog) -> Iterator[tuple[str, bytes]]:
    """(name, certificate)"""
    for name, data in (
        ("cut after its head", leaf(state=b"\xdc\x00\x18")),
        ("of 24 numbers", leaf(state=b"\xdc\x00\x18" + bytes(24))),
        ("of eight fields", leaf(state=pack([*ANSWER, VISIT[:8]]))),
        ("of ten fields", leaf(state=pack([*ANSWER, [*VISIT, 0]]))),
        ("without what it tells", leaf(state=pack([*ANSWER, None]))),
        *((f"whose used entries are {each}", listed(2, each)) for each in (-1, 1.0, LARGEST + 1, None)),
        *((f"whose allowed entries are {each}", listed(3, each)) for each in (-1, LARGEST + 1)),
        *((f"whose persons inside are {each}", listed(4, each)) for each in (-1, True, LARGEST + 1)),
        *((f"whose force is {each}", listed(5, each)) for each in (0, "")),
        *((f"whose moment is {each}", listed(6, each)) for each in (-1, 2**63)),
        ("whose gate is a number", listed(7, 1)),
        ("whose product is a number", leaf(state=pack([*ANSWER[:15], 1, *ANSWER[16:], VISIT]))),
    ):
        yield f"list: {name}", by_receipts(log, data, START, 3, version=4)
    yield "list: in version 3", by_receipts(log, listed(0, "vip"), START, 3, version=3)
    yield "list: in version 1", by_receipts(log, listed(0, "vip"), START, 3)
    yield (
        "list: an answer without one in version 4",
        by_receipts(log, answer(0, "default"), START, 3, version=4),
    )


def by_receipts(log: PaperLog, leaf: bytes, time: int, sequence: int, version: int = 1) -> bytes:
    """A certificate of these bytes as the only leaf of an entry."""
    results, cluster = canonical.digest(b"\x00" + leaf), log.cluster[:CLUSTER_TAG_SIZE]
    entry = m.Entry(0, sequence, bytes(32), results, time, bytes(32))
    proof = Receipts(log.sign(m.Receipt(0, 0, sequence, m.entry_hash(entry))))
    return encode_certificate(
        Certificate(version, cluster, leaf, 0, b"", 0, sequence, bytes(32), bytes(32), proof)
    )
