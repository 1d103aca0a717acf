"""Certificates: what they prove, in how many bytes, and that nothing in them can be changed (R26, R27)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine import Admit, Annul, Block, Consume, Force, Issue
from dtvn.proof import (
    ProofError,
    Proved,
    assembly,
    certificate_json,
    chain_json,
    compare,
    decode_certificate,
    encode_certificate,
    read_chain,
    unwrap,
    verify,
)
from dtvn.proof.certificate import Receipts
from dtvn.protocol import canonical
from dtvn.protocol.consensus.log_tree import climb, inclusion_path
from tests.proof.support import Later, PaperLog, subtree_of
from tests.support.table import table

BYTES_MAX = 2_048


def proved(data: bytes, log: PaperLog) -> Proved:
    return verify(decode_certificate(data), read_chain(log.chain()))


@pytest.fixture(scope="module")
def log() -> PaperLog:
    made = PaperLog()
    made.admit()
    made.fill(30)
    return made


@table("size", [1, 2, 3, 7, 8, 9, 30, 33], count=8)
def test_r26_every_entry_has_one_path_to_the_root_of_every_log_size(size: int) -> None:
    hashes = [bytes([number]) * 32 for number in range(size)]
    for index in range(size):
        path = inclusion_path(index, size, subtree_of(hashes))
        assert climb(index, size, hashes[index], path) == canonical.merkle_root(hashes)
        assert not path or climb(index, size, hashes[index], path[:-1]) is None
        assert climb(index, size, hashes[index], (*path, bytes(32))) is None
        for other in range(size):
            if other != index:
                assert climb(other, size, hashes[index], path) != canonical.merkle_root(hashes)


def test_r27_a_receipt_certificate_shows_its_outcome_and_signers(log: PaperLog) -> None:
    found = proved(log.receipts(3), log)
    assert found.sentences() == [
        "ticket TICKET-1 of event default: admit -> ok at sequence 3, index 0, epoch 0, "
        "log time 2026-11-18 11:06:42.000000 UTC",
        "signed by r0, r1, r2: 3 of 4 members, of whom 1 may lie",
        "proved by their receipts for this sequence",
        "right after it the ticket was CONSUMED, gate north, device scanner-7",
        "It is an outcome at one point of the log and says nothing about what came later.",
    ]


def test_r26_an_old_outcome_is_proved_by_any_later_checkpoint(log: PaperLog) -> None:
    first = proved(log.receipts(3), log)
    for checkpoint in (3, 10, 20, 30):
        found = proved(log.checkpointed(3, checkpoint), log)
        assert (found.entry_hash, found.checkpoint) == (first.entry_hash, (0, checkpoint))
    assert found.sentences()[2] == "proved by the log under their checkpoint at sequence 30, epoch 0"


def test_r27_each_operation_of_a_full_batch_has_its_own_certificate() -> None:
    log = PaperLog()
    tickets = [f"T-{number}" for number in range(12)]
    operations = [log.operation(Issue(), ticket) for ticket in tickets]
    log.order(operations[:1], operations[1:8], operations[8:])
    for index, ticket in enumerate(tickets):
        found = proved(log.receipts(2, index), log)
        assert (found.ticket, found.kind, found.index) == (ticket, "issue", index)


def test_a_refusal_is_proved_like_any_outcome() -> None:
    log = PaperLog()
    log.admit()
    log.order([log.operation(Admit(gate="south"), "TICKET-1")])
    found = proved(log.receipts(4), log)
    assert (found.code, found.sequence) == ("already_consumed", 4)
    assert "gate north" in found.sentences()[3]


def test_r26_receipts_are_those_of_q_members_of_their_own_epoch(log: PaperLog) -> None:
    proof = decode_certificate(log.receipts(3)).proof
    assert isinstance(proof, Receipts)
    signed = proof.signatures
    chain = read_chain(log.chain())
    [founded] = chain.epochs
    small = msgspec.structs.replace(founded, members=founded.members[:1])
    longer = msgspec.structs.replace(chain, epochs=(founded, small))
    hashed = proved(log.receipts(3), log).entry_hash
    offered = iter([(3, signed[0][1]), *signed, (3, b"not asked for")])
    assert assembly.receipts(0, 3, hashed, longer, offered).signatures == signed
    assert list(offered) == [(3, b"not asked for")], "nobody is waited for after the q-th"


@table("members", [1, 2, 3], count=3)
def test_r37_a_small_cluster_says_that_it_is_crash_only(members: int) -> None:
    log = PaperLog(members)
    log.admit()
    assert proved(log.receipts(3), log).sentences()[1].endswith("crash-only, no liar tolerated")


def test_r27_an_admission_has_at_most_2_kb_at_four_members() -> None:
    log = PaperLog()
    log.fill(511)
    admitted = [log.operation(Admit(gate="north-2", device="scanner-17"), f"FILL-{n}") for n in range(1, 257)]
    log.order(*[admitted[start : start + 64] for start in range(0, 256, 64)])
    log.fill(520)
    receipts, path = log.receipts(512, 100), log.checkpointed(512, 520, 100)
    sizes = {"receipts": len(certificate_json(receipts)), "checkpoint": len(certificate_json(path))}
    assert max(sizes.values()) <= BYTES_MAX, sizes
    # A million entries and the longest path of all: the receipts' form stays small, whatever the log's.
    longest = msgspec.structs.replace(decode_certificate(receipts), path=bytes(32 * 12), sides=0)
    assert len(certificate_json(encode_certificate(longest))) <= BYTES_MAX


# --- nothing can be changed ------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_r27_any_changed_byte_of_a_certificate_is_refused(log: PaperLog, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([log.receipts(3), log.checkpointed(3, 20)]))
    form = data.draw(st.sampled_from(["bare", "file", "answer"]))
    file = whole if form == "bare" else certificate_json(whole)
    if form == "answer":
        file = b'{"success":true,"data":' + file + b"}"
    assert proved(unwrap("certificate", file), log).code == "ok"
    at = data.draw(st.integers(0, len(file) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = file[:at] + bytes([file[at] ^ flip]) + file[at + 1 :]
    with pytest.raises(ProofError):
        proved(unwrap("certificate", changed), log)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_r27_a_shortened_or_lengthened_certificate_is_refused(log: PaperLog, data: st.DataObject) -> None:
    whole = log.checkpointed(3, 20)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for changed in (whole[:cut], whole + bytes([cut % 256])):
        with pytest.raises(ProofError):
            proved(changed, log)


@pytest.mark.parametrize(
    ("signers", "sentence"),
    [
        ([0, 1], "it has 2 signatures; exactly 3 of 4 are needed"),
        ([0, 1, 2, 3], "it has 4 signatures; exactly 3 of 4 are needed"),
        ([0, 1, 1], "its signers are not distinct members in ascending order"),
        ([2, 1, 0], "its signers are not distinct members in ascending order"),
    ],
)
def test_r27_exactly_q_distinct_members_must_sign(log: PaperLog, signers: list[int], sentence: str) -> None:
    for data in (log.receipts(3, signers=signers), log.checkpointed(3, 10, signers=signers)):
        with pytest.raises(ProofError, match=sentence):
            proved(data, log)


def test_p10_a_certificate_of_another_cluster_with_equal_keys_is_refused(log: PaperLog) -> None:
    other = PaperLog(name="other")
    other.admit()
    with pytest.raises(ProofError, match="of another cluster"):
        proved(other.receipts(3), log)
    forged = msgspec.structs.replace(decode_certificate(other.receipts(3)), cluster=log.cluster[:8])
    with pytest.raises(ProofError, match="signature of r0 does not fit"):
        proved(encode_certificate(forged), log)


# --- epochs ----------------------------------------------------------------------------------------


def test_r35_the_chain_leads_to_the_members_of_a_later_epoch() -> None:
    log = PaperLog()
    log.admit()
    later = Later(log, ["r1", "r2", "r3", "r4", "r5", "r6", "r7"])
    admit = log.operation(Admit(gate="east"), "TICKET-9")
    data = later.prove((0, admit, "ok", b""), epoch=1, checkpoint_epoch=1, names=later.names)
    with pytest.raises(ProofError, match="epoch 1 is not in this chain, which ends with 0"):
        proved(data, log)
    chain = read_chain(unwrap("chain", chain_json(log.chain(later.epoch_change_proof))))
    assert verify(decode_certificate(data), chain).sentences()[1] == (
        "signed by r1, r2, r3, r4, r5: 5 of 7 members, of whom 2 may lie"
    )
    # R26: what epoch 0 ordered is proved by a checkpoint of epoch 1 too, and by its own receipts still.
    assert verify(decode_certificate(log.receipts(3)), chain).epoch == 0


def test_r35_no_removed_member_signs_later_and_no_entry_leaves_its_epoch() -> None:
    log = PaperLog()
    log.admit()
    later = Later(log, ["r1", "r2", "r3", "r4"])
    chain = read_chain(log.chain(later.epoch_change_proof))
    admit = (0, log.operation(Admit(), "TICKET-9"), "ok", b"")
    by_old = later.prove(admit, epoch=1, checkpoint_epoch=1, names=log.names)
    with pytest.raises(ProofError, match="signature of r1 does not fit"):
        verify(decode_certificate(by_old), chain)
    beyond = later.prove(admit, epoch=0, checkpoint_epoch=0, names=log.names)
    with pytest.raises(ProofError, match="sequence 6 is not in epoch 0"):
        verify(decode_certificate(beyond), chain)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_r35_any_changed_byte_of_a_chain_is_refused_or_another_cluster(data: st.DataObject) -> None:
    log = PaperLog()
    later = Later(log, ["r1", "r2", "r3", "r4"])
    whole = log.chain(later.epoch_change_proof)
    at, flip = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    with pytest.raises(ProofError):
        verify(decode_certificate(later.epoch_change_proof), read_chain(changed))


# --- contradictions --------------------------------------------------------------------------------


def forked() -> tuple[PaperLog, PaperLog]:
    """Two logs of the same cluster that part at sequence 3."""
    one, other = PaperLog(), PaperLog()
    one.admit(gate="north")
    other.admit(gate="south")
    return one, other


def test_r27_two_contradicting_certificates_convict_f_plus_1_signers() -> None:
    one, other = forked()
    one.fill(10)
    other.fill(10)
    pairs = [
        (one.receipts(3, signers=[0, 1, 2]), other.receipts(3, signers=[1, 2, 3])),
        (one.receipts(3, signers=[0, 1, 2]), other.checkpointed(3, 10, signers=[1, 2, 3])),
        (one.checkpointed(3, 5, signers=[0, 1, 2]), other.checkpointed(3, 10, signers=[1, 2, 3])),
    ]
    for left, right in pairs:
        found = compare(proved(left, one), proved(right, one))
        assert found is not None
        assert found.sentences() == [
            "contradiction: two entries at sequence 3",
            "convicted, having signed both: r1, r2 (f + 1 = 2)",
        ]


def test_r27_a_ticket_admitted_twice_convicts_the_signers_of_both() -> None:
    one, other = forked()
    other = PaperLog()
    other.fill(5)
    other.admit(gate="south", code=b"")
    found = compare(proved(one.receipts(3, signers=[0, 1, 3]), one), proved(other.receipts(7), one))
    assert found is not None
    assert (found.convicted, found.needed) == (("r0", "r1"), 2)
    assert "was final at sequence 3" in found.why


def test_certificates_of_two_epochs_convict_f_plus_1_of_the_smaller_one() -> None:
    one, other = (proved(log.receipts(3), log) for log in forked())
    for members in ((4, 7), (7, 4)):
        found = compare(
            *(
                msgspec.structs.replace(each, members=count)
                for each, count in zip((one, other), members, strict=True)
            )
        )
        assert found is not None
        assert found.needed == 2


def test_r41_two_admissions_of_the_first_form_convict_nobody() -> None:
    """The first may have been annulled between them: neither state says whether it was."""
    one, _ = forked()
    other = PaperLog()
    other.fill(5)
    other.admit(gate="south")
    assert compare(proved(one.receipts(3), one), proved(other.receipts(7), one)) is None


@pytest.mark.parametrize("code", [None, b""])
def test_r41_an_honest_log_of_second_thoughts_never_contradicts_itself(code: bytes | None) -> None:
    log = PaperLog()
    log.admit(code=code)
    scan = Admit("north", "scanner-7", b"")
    for command in (
        Admit("south", "scanner-7", b"", kind="exit"),
        Annul(device="scanner-7"),
        Annul(device="scanner-7"),
        scan,
        scan,
        Force("south", "scanner-7", reason="guest of the house"),
        Consume(),
        Admit(),
        Block(),
    ):
        log.order([log.operation(command, "TICKET-1")])
    log.fill(14)
    every = [proved(make, log) for s in range(1, 15) for make in (log.receipts(s), log.checkpointed(s, 14))]
    assert {each.code for each in every} == {"ok", "already_consumed"}
    assert [compare(a, b) for a in every for b in every if compare(a, b)] == []


def test_certificates_of_one_log_never_contradict_each_other() -> None:
    log = PaperLog()
    log.admit()
    log.order([log.operation(Admit(gate="south"), "TICKET-1")])
    log.order([log.operation(Admit(gate="north", device="scanner-7"), "TICKET-1", nonce=b"scan-1")])
    log.fill(12)
    every = [proved(make, log) for s in range(1, 13) for make in (log.receipts(s), log.checkpointed(s, 12))]
    assert [compare(a, b) for a in every for b in every if compare(a, b)] == []
