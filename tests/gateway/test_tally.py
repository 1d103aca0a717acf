"""What a gateway compares in the members' answers to one bundle, each field by itself (R14, R16)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.gateway import answers
from dtvn.gateway.answers import CODE_LENGTH_MAX, ReplyHead, Tally, Verdict, Verifier
from dtvn.machine.leaf import subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.wire import Door, Envelope
from tests.gateway.support import START, Executed, Members, operation
from tests.host.support import Paper, bundle

NAMES = ("r0", "r1", "r2", "r3")
END = START // 1_000 + 14_000_000
"""`valid_until` of `operation()`."""


class Booth:
    """One bundle of one operation, its tally, and members that answer it."""

    def __init__(self, members: int = 4, door: Door | None = None) -> None:
        self.members = Members(members)
        frame = self.members.paper.sign(bundle(0, operation("A")))
        (self.item,) = self.members.execute(frame)
        self.verifier = Verifier(door or self.members.paper.door, NAMES[:members], 0)
        self.tally = Tally(self.item.request, self.item.bundle.operations, 2)

    def repeat(self, member: int, **changes: Any) -> Verdict | None:
        frame = self.members.repeat(member, self.item, **changes)
        said = self.members.paper.door.statement(self.members.paper.peer(member), frame).message
        return self.tally.repeat(member, frame, said, self.verifier)

    def outcomes(self, item: Executed, entry: m.Entry, **changes: Any) -> tuple[m.Outcome, ...] | None:
        """What the verifier reads in a reply under this entry."""
        fields = {"first_index": item.first_index, "path": item.path} | changes
        outcomes = msgspec.Raw(canonical.encode(item.outcomes))
        head = ReplyHead(
            *(item.bundle.session, 0, item.request, msgspec.Raw(canonical.encode(entry))),
            *(fields["first_index"], outcomes, fields["path"], b""),
        )
        return self.verifier.outcomes(head, entry, item.bundle.operations)


def test_log_time_is_that_of_f_plus_1_members_that_say_expired() -> None:
    """No time counts that is told for another reason, or at which the bundle was still valid."""
    for code, first in ((Reason.BUSY, END + 9), (Reason.UNKNOWN_SESSION, END + 9), (Reason.EXPIRED, END)):
        tally = Booth().tally
        tally.hint(0, code.value, first)
        tally.hint(1, Reason.EXPIRED.value, END + 5)
        assert tally.expired_at() == 0
        tally.hint(2, Reason.EXPIRED.value, END + 7)
        assert tally.expired_at() == END + 5
    tally = Booth().tally
    for member, at in enumerate((END - 1, 0, END + 1)):
        tally.hint(member, Reason.EXPIRED.value, at)
    assert tally.expired_at() == 0


@pytest.mark.parametrize(
    ("codes", "fits"),
    [
        ((), False),
        (("ok", "ok"), False),
        (("x" * CODE_LENGTH_MAX,), True),
        (("x" * (CODE_LENGTH_MAX + 1),), False),
    ],
)
def test_p15_a_repeat_names_one_code_of_bounded_length_for_each_operation(
    codes: tuple[str, ...], fits: bool
) -> None:
    booth = Booth()
    booth.repeat(1, codes=codes)
    assert booth.verifier.refused[1] == (not fits)
    assert len(booth.tally._repeats) == fits


def test_a_signed_statement_of_another_kind_is_neither_receipt_nor_repeat() -> None:
    booth = Booth()
    receipt, repeat = booth.members.receipt(1, booth.item.entry), booth.members.repeat(1, booth.item)
    vote = booth.members.paper.sign(m.Commit(0, 1, 0, 1, bytes(32)))
    asked = booth.members.paper.sign(bundle(0, operation("A")))
    assert isinstance(booth.verifier.receipt(1, receipt), m.Receipt)
    assert isinstance(booth.verifier.repeat(1, repeat), m.Repeat)
    for frame in (repeat, vote, asked, b""):
        assert booth.verifier.receipt(1, frame) is None
    for frame in (receipt, vote, asked, b""):
        assert booth.verifier.repeat(1, frame) is None


class LaterKeys:
    """The same keys in every epoch: a member that stays keeps its key."""

    def __init__(self, paper: Paper) -> None:
        self._keys = paper.keys

    def member_key(self, _epoch: int, index: int) -> bytes | None:
        return self._keys.member_key(0, index)

    def principal_key(self, name: str) -> bytes | None:
        return self._keys.principal_key(name)


@pytest.mark.parametrize(("epoch", "counts"), [(4, False), (5, True), (6, False)])
def test_r16_a_statement_counts_in_its_own_epoch_only(epoch: int, counts: bool) -> None:
    paper = Paper(4)
    verifier = Verifier(Door(paper.cluster, LaterKeys(paper)), NAMES, 5)
    entry = m.Entry(epoch, 9, bytes(32), bytes(32), 1, bytes(32))
    assert (verifier.entry(msgspec.Raw(canonical.encode(entry))) is not None) is counts
    assert verifier.later is (epoch == 6), "the gateway asks for the epoch that it has not heard of"
    receipt = paper.sign(m.Receipt(epoch, 1, 9, m.entry_hash(entry)))
    assert (verifier.receipt(1, receipt) is not None) is counts
    repeat = paper.sign(m.Repeat(epoch, 1, (1, 0), 0, bytes(32), 9, 0, ("ok",)))
    assert (verifier.repeat(1, repeat) is not None) is counts


def test_a_receipt_for_another_sequence_than_its_entrys_counts_for_nobody() -> None:
    """Its entry hash is right, but no verifier would take a certificate with it."""
    booth = Booth()
    entry = booth.item.entry

    def reply(member: int, sequence: int) -> Verdict | None:
        statement = m.Receipt(0, member, sequence, m.entry_hash(entry))
        receipt = booth.members.paper.signer(f"r{member}").sign(statement)
        body = canonical.decode(Envelope, booth.members.reply(member, booth.item, receipt=receipt)).body
        head = booth.verifier.head(body)
        assert head is not None
        return booth.tally.reply(member, head, booth.verifier)

    assert reply(0, entry.sequence) is None
    assert reply(1, entry.sequence + 1) is None
    assert booth.verifier.refused[1] == 1
    found = reply(2, entry.sequence)
    assert found is not None
    assert found.sequence == entry.sequence


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_path_is_one_of_hashes(length: int) -> None:
    """Whatever length its parts have, it would lead to the root that was made of them."""
    booth = Booth()
    item, sibling = booth.item, b"s" * length
    node = subtree(0, item.bundle.operations, item.outcomes, item.entry.timestamp)
    for left in (True, False):
        root = canonical.node_hash(sibling, node) if left else canonical.node_hash(node, sibling)
        entry = msgspec.structs.replace(item.entry, results_root=root)
        assert booth.outcomes(item, entry, path=((left, sibling),)) is None
        whole = canonical.node_hash(bytes(32), node) if left else canonical.node_hash(node, bytes(32))
        entry = msgspec.structs.replace(item.entry, results_root=whole)
        assert booth.outcomes(item, entry, path=((left, bytes(32)),)) == item.outcomes


def test_a_path_is_at_most_so_long_and_a_position_a_number_of_32_bits() -> None:
    booth = Booth()
    item = booth.item

    def taken(index: int, levels: int) -> bool:
        node = subtree(index, item.bundle.operations, item.outcomes, item.entry.timestamp)
        for _ in range(levels):
            node = canonical.node_hash(bytes(32), node)
        entry = msgspec.structs.replace(item.entry, results_root=node)
        return booth.outcomes(item, entry, first_index=index, path=((True, bytes(32)),) * levels) is not None

    assert [taken(0, levels) for levels in (0, 1, 32, 33)] == [True, True, True, False]
    indices = (-1, 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1)
    assert [taken(index, 0) for index in indices] == [False, True, True, False, False]


def test_the_signature_of_a_receipt_is_checked_once_and_few_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "CACHED_RECEIPTS_MAX", 2)
    booth = Booth()
    checked: list[bytes] = []
    right = booth.members.paper.door.statement
    monkeypatch.setattr(
        booth.members.paper.door, "statement", lambda peer, frame: checked.append(frame) or right(peer, frame)
    )
    frames = [booth.members.receipt(member, booth.item.entry) for member in range(3)]
    for member in (0, 1, 0, 1, 2, 1, 2):
        assert booth.verifier.receipt(member, frames[member]) is not None
    assert booth.verifier.receipt(1, frames[0]) is None
    assert checked == [*frames, frames[0]]
    assert [key[0] for key in booth.verifier._receipts] == [1, 2], "nothing is remembered of a false one"
