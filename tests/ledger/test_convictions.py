"""Evidence and old views in a real ledger: durable, whole, bounded (P3 and P22)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.ledger import Location
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EvidenceRecord, SlotRecord, StateRecord
from dtvn.protocol.host.ports import JournalError
from tests.host.support import Paper
from tests.ledger.samples import CLUSTER
from validators.ledger import Ledger, convictions, open_ledger
from validators.ledger.convictions import EVIDENCE_PER_MEMBER_MAX
from validators.ledger.models import Evidence, ViewArchive
from validators.ledger.turn import VIEWS_ARCHIVED

PAPER = Paper()
ALIAS = "ledger-under-test"


def double_commit(sequence: int, member: int = 1, epoch: int = 0) -> EvidenceRecord:
    said = [m.Commit(epoch, member, 0, sequence, bytes([digest]) * 32) for digest in (1, 2)]
    return EvidenceRecord("commit", epoch, member, 0, sequence, tuple(map(PAPER.sign, said)))


def test_p22_evidence_outlives_the_process(ledger: Ledger, place: Location) -> None:
    record = double_commit(7)
    ledger.append([record])
    ledger.append([record, StateRecord("other", b"the turn that finds it again is whole")])
    assert ledger.state_value("other") is not None
    ledger.close()
    again = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    (found,) = Evidence.objects.using(ALIAS).all()
    assert (found.code, found.epoch, found.member, found.sequence) == ("commit", 0, 1, 7)
    assert canonical.decode(tuple[bytes, ...], bytes(found.frames)) == record.frames
    again.close()


def test_p22_evidence_is_in_the_transaction_of_the_turn_that_found_it(ledger: Ledger) -> None:
    """Both or neither: a second vote in the same turn is refused, and takes the evidence with it."""
    said = SlotRecord(0, 0, 7, "prepare", (b"one",))
    ledger.append([double_commit(6), said])
    assert Evidence.objects.using(ALIAS).count() == 1
    with pytest.raises(JournalError):
        ledger.append([double_commit(7), SlotRecord(0, 0, 7, "prepare", (b"other",))])
    assert Evidence.objects.using(ALIAS).count() == 1


def test_p15_evidence_that_is_too_large_keeps_no_other_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = double_commit(1), double_commit(2)
    large = msgspec.structs.replace(large, frames=(large.frames[0], bytes(2_000)))
    monkeypatch.setattr(convictions, "EVIDENCE_BYTES_MAX", 1_000)
    ledger.append([small, large, double_commit(3)])
    assert [*Evidence.objects.using(ALIAS).order_by("pk").values_list("sequence", flat=True)] == [1, 3]


def test_p15_a_member_cannot_fill_the_ledger_with_evidence(ledger: Ledger) -> None:
    for sequence in range(1, EVIDENCE_PER_MEMBER_MAX + 40):
        ledger.append([double_commit(sequence)])
    ledger.append([double_commit(1, member=2)])
    kept = Evidence.objects.using(ALIAS)
    assert kept.filter(member=1).count() == EVIDENCE_PER_MEMBER_MAX
    assert kept.filter(member=1, sequence=1).exists(), "the first ones stay"
    assert kept.filter(member=2).count() == 1


def test_p15_evidence_of_an_old_epoch_leaves_room_for_the_next(ledger: Ledger) -> None:
    ledger.append([double_commit(sequence) for sequence in range(1, EVIDENCE_PER_MEMBER_MAX + 1)])
    ledger.append([double_commit(500, epoch=1)])
    kept = Evidence.objects.using(ALIAS)
    assert kept.filter(epoch=0).count() == EVIDENCE_PER_MEMBER_MAX
    assert kept.filter(epoch=1).count() == 1


def test_p15_epochs_do_not_multiply_the_bound_of_evidence(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of all, only the first few of each seat stay; and those do."""
    monkeypatch.setattr(convictions, "EVIDENCE_MAX", 30)
    for epoch in range(5):
        for sequence in range(1, 21):
            ledger.append([double_commit(sequence, epoch=epoch)])
    kept = Evidence.objects.using(ALIAS)
    assert [kept.filter(epoch=epoch).count() for epoch in range(5)] == [20, 10, 4, 4, 4]
    assert sorted(kept.filter(epoch=4).values_list("sequence", flat=True)) == [1, 2, 3, 4]


def test_p22_the_view_changes_of_views_left_stay_for_auditors(ledger: Ledger) -> None:
    for view in range(1, VIEWS_ARCHIVED + 5):
        ledger.append(
            [
                SlotRecord(0, view, 0, "new_view", (b"new view %d" % view, b"view change")),
                SlotRecord(0, view, 0, "view", ()),
            ]
        )
    archived = ViewArchive.objects.using(ALIAS).order_by("view")
    assert [each.view for each in archived] == list(range(4, VIEWS_ARCHIVED + 4))
    frames = canonical.decode(tuple[bytes, ...], bytes(archived[0].frames))
    assert frames == (b"new view 4", b"view change")
