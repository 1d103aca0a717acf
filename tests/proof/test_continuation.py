"""A cluster that continues another one: its initial state is proved, as its certificates show (R11)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dtvn.machine import Admit, Issue, parts
from dtvn.machine.continued_state import Piece, StateError, initial_rows, proved_items
from dtvn.machine.tree import GROUPS
from dtvn.proof import ChainFile, ProofError, decode_certificate, read_chain, verify
from dtvn.proof.continuation import StateHead, certified, read_head
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from tests.proof.continuing import ADMITTED, LOST, ContinuedLog, head_of, old_log
from tests.proof.support import PaperLog
from tests.proof.verdicts import by_browser, by_dtvn, by_one_file
from verifier import dtvn_verify


@pytest.fixture(scope="module")
def old() -> PaperLog:
    return old_log()


@pytest.fixture(scope="module")
def new(old: PaperLog) -> ContinuedLog:
    log = ContinuedLog(old)
    log.order([log.operation(Admit(gate="south"), ADMITTED[0], nonce=b"again")])
    log.order([log.operation(Issue(), "NEW-1")])
    log.order([log.operation(Admit(gate="south"), "NEW-1", nonce=b"new")])
    log.fill(20)
    return log


def read(head: StateHead, pieces: list[Piece]) -> int:
    """Items that a reader of the file takes in."""
    found = certified(read_head(canonical.encode(head)))
    items = proved_items(found.cluster, head.manifest, found.state_root, pieces)
    return sum(len(some) for some in items)


def test_r11_the_content_of_a_new_genesis_follows_from_q_signatures(old: PaperLog) -> None:
    head, pieces = head_of(old)
    found = certified(head)
    assert (found.cluster, found.epoch, found.sequence) == (old.cluster, 0, 10)
    assert (found.state_root, found.log_root) == (old.roots[9], old.log_root(10))
    assert found.timestamp == old.steps[9].entry.timestamp
    assert [signer.id for signer in found.signers] == ["r0", "r1", "r2"]
    assert read(head, pieces) > 8


def test_r11_a_state_of_a_later_epoch_is_proved_through_the_old_chain() -> None:
    old = old_log()
    old.change(leaves="r0", joins="r9")
    old.fill(20)
    found = certified(head_of(old)[0])
    assert (found.epoch, [signer.id for signer in found.signers]) == (1, ["r9", "r1", "r2"])
    bare = canonical.encode(
        msgspec.structs.replace(canonical.decode(ChainFile, old.chain()), epoch_changes=())
    )
    with pytest.raises(ProofError, match="epoch 1 is not in this chain"):
        certified(head_of(old, chain=bare)[0])


def forged_heads(old: PaperLog) -> dict[str, tuple[dict[str, Any], str]]:
    """Fields of a head that prove nothing, and what is said."""
    frames = old.checkpoint_frames(10)
    other = old_log(11)
    return {
        "fewer than q": ({"checkpoint": frames[:2]}, "prove nothing"),
        "nobody": ({"checkpoint": ()}, "no checkpoint"),
        "one twice": ({"checkpoint": (frames[0], frames[0], frames[1])}, "prove nothing"),
        "not signed": ({"checkpoint": (*frames[:2], frames[2][:-1] + b"x")}, "CHECKPOINT"),
        "by another cluster": ({"chain": PaperLog(4, "other").chain()}, "is invalid"),
        "another entry": ({"entry": other.steps[10].entry}, "does not end with the entry"),
        "another log below": ({"peaks": (bytes(32), *head_of(old)[0].peaks[1:])}, "does not end with"),
        "another format": ({"format": "dtvn-state-9"}, "this program knows"),
    }


@pytest.mark.parametrize("name", forged_heads(old_log()))
def test_r11_a_head_that_q_members_did_not_sign_is_refused(old: PaperLog, name: str) -> None:
    fields, why = forged_heads(old)[name]
    with pytest.raises(ProofError, match=why):
        certified(read_head(canonical.encode(head_of(old, **fields)[0])))


def test_r11_a_signer_of_another_epoch_does_not_count() -> None:
    """r0 was a member until epoch 1 began, and signs its first checkpoint nevertheless."""
    old = old_log()
    old.change(leaves="r0", joins="r9")
    old.fill(20)
    body = old._checkpoint(20)
    frames = old.frames_of(body, ["r0", "r1", "r2"])
    with pytest.raises(ProofError, match="signature"):
        certified(head_of(old, checkpoint=frames)[0])


def test_r11_every_piece_of_the_state_is_proved(old: PaperLog) -> None:
    head, pieces = head_of(old)
    other, others = head_of(old_log(11))
    ticket = next(at for at, (_n, items) in enumerate(pieces) if any(len(item) == 2 for item in items))
    number, items = pieces[ticket]
    changed = [tuple(part[:-1] + bytes([part[-1] ^ 1]) for part in items[0]), *items[1:]]
    for wrong, why in (
        ([*pieces[:ticket], (number, tuple(changed)), *pieces[ticket + 1 :]], "not that of the state"),
        ([*pieces[:ticket], (number, items[1:]), *pieces[ticket + 1 :]], "not that of the state"),
        (pieces[:-1], "it ends before"),
        ([*pieces, pieces[-1]], "something follows"),
        (pieces[1:], "stands where"),
        (others, "not that of the state|stands where"),
    ):
        with pytest.raises(StateError, match=why):
            read(head, wrong)
    with pytest.raises(StateError, match="not those of the state"):
        read(replace(head, manifest=other.manifest), pieces)


def test_r11_a_state_is_read_piece_by_piece(old: PaperLog) -> None:
    """Whatever its size, one group is in memory."""
    head, pieces = head_of(old)
    taken: list[int] = []
    found = certified(head)
    watched = (taken.append(number) or (number, items) for number, items in pieces)  # type: ignore[func-returns-value]
    items = proved_items(found.cluster, head.manifest, found.state_root, watched)
    for count, _some in enumerate(items, 1):
        assert len(taken) == count
    assert len(taken) == len(pieces) > 8


def test_r11_a_large_group_is_proved_leaf_by_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    log = old_log()
    log.fill(80)
    whole = read(*head_of(log))
    monkeypatch.setattr(parts, "WHOLE_BYTES_MAX", 1)
    monkeypatch.setattr(parts, "PART_LEAVES", 1)
    head, pieces = head_of(log)
    assert any(len(items) == 1 and len(items[0]) > 2 for _number, items in pieces), "a list"
    assert read(head, pieces) == whole > 80
    at, (number, ((state, issued),)) = next(
        (at, (number, items))
        for at, (number, items) in enumerate(pieces)
        if number >= GROUPS and len(items[0]) == 2
    )
    changed: Piece = (number, ((state, issued[:-1] + bytes([issued[-1] ^ 1])),))
    with pytest.raises(StateError, match="a part of group"):
        read(head, [*pieces[:at], changed, *pieces[at + 1 :]])
    last = max(at for at, (number, _items) in enumerate(pieces) if number >= GROUPS)
    number, items = pieces[last]
    with pytest.raises(StateError, match="a part of group"):
        read(head, [*pieces[:last], (number, (*items, items[0])), *pieces[last + 1 :]])
    for at, (number, _items) in enumerate(pieces[:12]):
        other: Piece = (number, ((b"",),))
        for wrong in ([*pieces[:at], *pieces[at + 1 :]], [*pieces[:at], other, *pieces[at + 1 :]]):
            with pytest.raises(StateError):
                read(head, wrong)


def test_r11_tickets_are_carried_whole_and_what_was_admitted_is_refused(old: PaperLog) -> None:
    new = ContinuedLog(old)
    for ticket in ADMITTED:
        before, after = old.application.row("default", ticket), new.application.row("default", ticket)
        assert before is not None
        assert after == replace(before, clock={})

    def code(ticket: str, **fields: Any) -> str:
        step = new.order([new.operation(Admit(gate=fields.pop("gate", "north")), ticket, **fields)])
        return step.done()[0][1].outcomes[0].code

    assert code(ADMITTED[0], nonce=b"another") == "already_consumed"
    assert code(ADMITTED[0]) == "already_consumed"
    assert code(ADMITTED[0], nonce=b"scan-0") == "ok", "the retry of what stands is recognised (R13)"
    assert code(ADMITTED[0], nonce=b"scan-0", gate="south") == "nonce_reused"
    assert code(LOST, nonce=b"late") == "ok"
    assert code(LOST, nonce=b"later") == "already_consumed"
    shown = new.application.row("default", LOST)
    assert shown is not None
    assert shown.clock == {"n0": 1}


def test_r11_sessions_nonces_principals_and_members_are_not_carried(old: PaperLog) -> None:
    head, pieces = head_of(old)
    found = certified(head)
    genesis = g.continuing(g.Genesis("bare", 1, old.genesis.members, (), g.Parameters(), demo=False), found)
    assert ContinuedLog(old).application.size() == old.application.size()
    tables = {change.table for change in rows_of(genesis, head, pieces)}
    assert tables == {"ticket"}


def rows_of(genesis: g.Genesis, head: StateHead, pieces: list[Piece]) -> list[Any]:
    found = certified(head)
    items = proved_items(found.cluster, head.manifest, found.state_root, pieces)
    return list(initial_rows(items, [member.id for member in genesis.members], searched=False))


# --- verifiers ----------------------------------------------------------------------------------------


def vector(chain: bytes, certificate: bytes) -> dict[str, str]:
    return {"chain": base64.b64encode(chain).decode(), "certificate": base64.b64encode(certificate).decode()}


def test_r11_three_verifiers_report_continued_not_proved_by_all(old: PaperLog, new: ContinuedLog) -> None:
    bare = g.encode(new.genesis)
    given = [
        vector(chain, certificate)
        for chain in (new.chain(), bare)
        for certificate in (new.receipts(12), new.receipts(14), new.checkpointed(14, 20))
    ]
    said = [by_dtvn(each) for each in given]
    assert (said[0]["ticket"], said[0]["kind"], said[0]["code"]) == ("TICKET-1", "admit", "already_consumed")
    assert {each["continues"] for each in said} == {old.cluster.hex()}
    assert [by_one_file(each) for each in given] == said
    assert by_browser(given) == said
    proved = verify(decode_certificate(new.receipts(12)), read_chain(bare))
    small = dtvn_verify.Proved(new.receipts(12), dtvn_verify.Chain(bare))
    for sentences in (proved.sentences(), list(small.sentences())):
        assert sentences[-2].startswith("continued, not proved by all:")


def test_r11_old_certificates_stay_valid_and_convict_no_member(old: PaperLog, new: ContinuedLog) -> None:
    """Sequence 12 was decided in both: the old cluster admitted a ticket there, and lost it."""
    lost = old_log()
    lost.fill(11)
    lost.order([lost.operation(Admit(gate="north"), LOST, nonce=b"lost")])
    certificate = lost.receipts(12)
    good = vector(lost.chain(), certificate)
    assert by_dtvn(good)["continues"] is None
    crossed = [
        vector(new.chain(), certificate),  # under the new chain
        vector(lost.chain(), new.receipts(12)),
        good | {"against": base64.b64encode(new.receipts(12)).decode()},
        vector(new.chain(), new.receipts(12)) | {"against": base64.b64encode(certificate).decode()},
        vector(new.chain(), old.receipts(5)),
    ]
    assert [by_dtvn(each) for each in crossed] == [{"refused": "other_cluster", "place": "certificate"}] * 5
    assert [by_one_file(each) for each in [good, *crossed]] == [by_dtvn(each) for each in [good, *crossed]]
    assert by_browser([good, *crossed]) == [by_dtvn(each) for each in [good, *crossed]]


def test_r11_no_sequence_of_the_old_log_is_one_of_the_new_cluster(new: ContinuedLog) -> None:
    """Its members sign what they did not execute: no verifier takes it."""
    forged = decode_certificate(new.receipts(12))
    chain = read_chain(new.chain())
    assert verify(forged, chain).sequence == 12
    below = new.receipts(10, names=new.names)
    given = vector(new.chain(), below)
    outside = {"refused": "outside_epoch", "place": "sequence 10"}
    assert [by_dtvn(given), by_one_file(given), *by_browser([given])] == [outside] * 3
