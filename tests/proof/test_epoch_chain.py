"""An epoch has one end and one chain: any other end is refused (R27, R35, P18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dtvn.proof import ProofError, chain_of_genesis, extend_chain, read_chain
from dtvn.proof.certificate import Leaf
from dtvn.proof.chain import EpochStart
from dtvn.proof.epoch_chain import EpochChain, epoch_change_certificate
from dtvn.proof.verify import Chain
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.quorum import MEMBERS_MAX
from dtvn.protocol.wire.envelope import KIND_OF, encode_envelope
from tests.host.support import key_pair
from tests.proof.support import Later, PaperLog
from tests.support.table import table

NAMES = ["r1", "r2", "r3", "r4"]
WORDS = "does not end with this epoch change proof"


def founded(log: PaperLog) -> Chain:
    """The chain of a verifier that knows genesis alone."""
    return read_chain(canonical.encode(chain_of_genesis(g.encode(log.genesis))))


def ended(epoch: int = 1, kind: str = "reconfigure", code: str = "ok", **start: Any) -> Chain:
    """The chain behind an end of epoch 0 that q of its members signed, of this shape."""
    later = Later(PaperLog(), NAMES)
    members = tuple(start.pop("members", later.members))
    operation = replace(later.epoch_change_leaf[1], kind=kind)
    leaf = (0, operation, code, canonical.encode(EpochStart(epoch, members)))
    data = later.prove(leaf, epoch=0, checkpoint_epoch=0, names=later.log.names)
    return extend_chain(founded(later.log), data)


def member(name: str, **other: Any) -> g.Member:
    return replace(g.Member(name, key_pair(name)[0], "127.0.0.1", 7000), **other)


def test_r35_the_next_epoch_begins_where_its_members_say() -> None:
    chain = ended()
    assert [each.id for each in chain.epochs[1].members] == NAMES
    assert len(ended(members=[member("r1")]).epochs[1].members) == 1
    largest = ended(members=[member(f"m{i}") for i in range(MEMBERS_MAX)])
    assert len(largest.epochs[1].members) == MEMBERS_MAX
    assert ended(members=[member("r1", port=0)])
    assert ended(members=[member("r1", port=2**62)])


@table("wrong", [{"epoch": 0}, {"epoch": 2}, {"kind": "barrier"}, {"code": "not_ready"}], ids=str, count=4)
def test_r35_an_invalid_end_of_an_epoch_does_not_extend_the_chain(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProofError, match=WORDS):
        ended(**wrong)


ODD_MEMBERS: dict[str, list[g.Member]] = {
    "none": [],
    "one too many": [member(f"m{i}") for i in range(MEMBERS_MAX + 1)],
    "a member twice": [member("r1"), member("r1")],
    "a name twice": [member("r1"), member("r1", public_key=key_pair("r2")[0])],
    "a key twice": [member("r1"), member("r2", public_key=key_pair("r1")[0])],
    "a short key": [member("r1", public_key=b"k" * 31)],
    "a long key": [member("r1", public_key=b"k" * 33)],
    "a port below all numbers": [member("r1", port=-1)],
    "a port above all numbers": [member("r1", port=2**62 + 1)],
}


@table("name", ODD_MEMBERS, count=9)
def test_p18_an_invalid_list_of_members_begins_no_epoch(name: str) -> None:
    with pytest.raises(ProofError):
        ended(members=ODD_MEMBERS[name])


def changed() -> PaperLog:
    """Two changes of the membership with some sequences after each."""
    log = PaperLog()
    log.change(leaves="r1", joins="r5")
    log.fill(5)
    log.change(leaves="r2", joins="r6")
    return log


def test_r35_an_end_is_proved_by_the_checkpoint_at_its_own_sequence() -> None:
    """Receipts, and the path to a later checkpoint, prove an outcome; they do not end an epoch."""
    log = changed()
    first, second = (each.entry.sequence for each in log.epoch_changes)
    chain = founded(log)
    begun = extend_chain(chain, log.checkpointed(first, first))
    assert len(extend_chain(begun, log.checkpointed(second, second)).epochs) == 3
    for other in (log.receipts(first), log.checkpointed(first, first + 1, epoch=0)):
        with pytest.raises(ProofError, match=WORDS):
            extend_chain(chain, other)
    for again in (log.checkpointed(first, first), log.checkpointed(first, second)):
        with pytest.raises(ProofError, match=WORDS):
            extend_chain(begun, again)


def test_r35_each_sequence_is_in_one_epoch() -> None:
    log = changed()
    first = log.epoch_changes[0].entry.sequence
    begun = extend_chain(founded(log), log.checkpointed(first, first))
    for epoch, sequence in ((0, 1), (0, first), (1, first + 1), (1, first + 1_000)):
        assert begun.members(epoch, sequence) == begun.epochs[epoch].members
    for epoch, sequence in ((0, 0), (0, first + 1), (1, 1), (1, first), (2, first + 1), (3, first + 1)):
        with pytest.raises(ProofError):
            begun.members(epoch, sequence)


def test_r35_a_chain_must_contain_the_pinned_epochs() -> None:
    log = changed()
    whole = read_chain(log.chain())
    pins = whole.pinned(())
    assert whole.pinned(pins) == whole.pinned(pins[:2]) == pins
    shorter = replace(whole, epochs=whole.epochs[:2])
    with pytest.raises(ProofError, match="ends with epoch 1, and epoch 2 was seen before"):
        shorter.pinned(pins)
    with pytest.raises(ProofError, match="contradicts epoch 1"):
        whole.pinned((pins[0], pins[2], pins[2]))
    with pytest.raises(ProofError, match="contradicts the cluster"):
        whole.pinned(pins[1:])


def commit() -> bytes:
    body = canonical.encode(m.Commit(0, 1, 0, 2, b"d" * 32))
    return encode_envelope(KIND_OF[m.Commit], body, b"s" * 64)


SEALS: dict[str, Callable[[tuple[bytes, ...]], tuple[bytes, ...]]] = {
    "none": lambda frames: (),
    "a COMMIT first": lambda frames: (commit(), *frames),
    "a COMMIT among them": lambda frames: (*frames, commit()),
    "no frame": lambda frames: (*frames, b"noise"),
}


@table("name", SEALS, count=4)
def test_r35_a_stored_epoch_end_without_checkpoints_is_refused(name: str) -> None:
    log = changed()
    whole = log.epoch_changes[0]
    assert extend_chain(founded(log), epoch_change_certificate(canonical.encode(whole), log.cluster))
    other = msgspec.structs.replace(whole, checkpoint=SEALS[name](whole.checkpoint))
    with pytest.raises(ProofError):
        epoch_change_certificate(canonical.encode(other), log.cluster)


@table("by", [-1, 1], count=2)
@table("field", ["results_root", "timestamp"], count=2)
def test_r11_a_kept_end_holds_the_entry_of_its_operation(field: str, by: int) -> None:
    """What its CHECKPOINTs or the recovery sign does not hold these two."""
    log = changed()
    whole = log.epoch_changes[0]
    right = getattr(whole.entry, field)
    wrong = bytes([right[0] + by, *right[1:]]) if isinstance(right, bytes) else right + by
    other = replace(whole, entry=replace(whole.entry, **{field: wrong}))
    with pytest.raises(ProofError, match="not that of its operation"):
        epoch_change_certificate(canonical.encode(other), log.cluster)


def test_r11_the_end_that_all_members_signed_begins_the_next_epoch() -> None:
    log = PaperLog()
    log.admit()
    now = founding(log.genesis)
    end = canonical.encode(log.recover())
    chain = EpochChain(log.genesis, (now,))
    certificate = chain.take(end)
    begun = chain.present
    assert [each.public_key for each in begun.members] == [key_pair(name)[0] for name in log.names]
    members = extend_chain(founded(log), certificate).epochs[1].members
    assert begun == replace(now, epoch=1, after=len(log.steps), members=members)
    with pytest.raises(ProofError):
        chain.take(end)
    assert chain.present == begun


@table(
    ("kind", "payload"),
    [("admit", canonical.encode(("", ""))), ("reconfigure", b"noise"), ("nonsense", b"")],
    count=3,
)
def test_r35_an_end_by_another_operation_begins_no_epoch(kind: str, payload: bytes) -> None:
    """q members signed the outcome of one, but the ledger keeps something else than they executed."""
    log = changed()
    now = founding(log.genesis)
    chain = EpochChain(log.genesis, (now,))
    whole = log.epoch_changes[0]
    leaf = canonical.decode(Leaf, whole.leaf)
    other = replace(leaf, operation=replace(leaf.operation, kind=kind, payload=payload))
    with pytest.raises(ProofError):
        chain.take(canonical.encode(replace(whole, leaf=canonical.encode_trimmed(other))))
    with pytest.raises(ProofError, match="no epoch change proof"):
        chain.take(b"noise")
    assert chain.present == now
    chain.take(canonical.encode(whole))
    assert chain.present.epoch == 1
