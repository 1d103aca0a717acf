"""Evidence and old views in a real ledger: durable, whole, bounded (PITFALLS rows 3 and 22)."""

from __future__ import annotations

from tests.hostcore.support import Paper
from tests.ledger.samples import CLUSTER
from validators import canonical
from validators.consensus import messages as m
from validators.consensus.effects import Note, SlotRecord
from validators.ledger import Ledger, Location, open_ledger
from validators.ledger.convictions import EVIDENCE_PER_MEMBER_MAX
from validators.ledger.models import Evidence, ViewArchive
from validators.ledger.turn import VIEWS_ARCHIVED

PAPER = Paper()
ALIAS = "ledger-under-test"


def double_commit(sequence: int, member: int = 1) -> Note:
    frames = tuple(PAPER.sign(m.Commit(0, member, 0, sequence, bytes([digest]) * 32)) for digest in (1, 2))
    fields = {"code": "commit", "sender": member, "view": 0, "sequence": sequence, "frames": frames}
    return Note(kind="evidence", fields=fields)


def test_p22_evidence_outlives_the_process(ledger: Ledger, place: Location) -> None:
    note = double_commit(7)
    ledger.notice(note)
    ledger.notice(note)
    ledger.maintain()
    ledger.close()
    again = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    (found,) = Evidence.objects.using(ALIAS).all()
    assert (found.code, found.epoch, found.member, found.sequence) == ("commit", 0, 1, 7)
    assert canonical.decode(tuple[bytes, ...], bytes(found.frames)) == note.fields["frames"]
    again.close()


def test_p22_evidence_goes_with_the_rows_of_the_next_entries(ledger: Ledger) -> None:
    ledger.notice(double_commit(7))
    ledger.materialise([], 0, 0)
    assert Evidence.objects.using(ALIAS).count() == 1


def test_p15_a_member_cannot_fill_the_ledger_with_its_crimes(ledger: Ledger) -> None:
    for sequence in range(1, EVIDENCE_PER_MEMBER_MAX + 40):
        ledger.notice(double_commit(sequence))
        if sequence % 32 == 0:
            ledger.maintain()
    ledger.notice(double_commit(1, member=2))
    ledger.maintain()
    kept = Evidence.objects.using(ALIAS)
    assert kept.filter(member=1).count() == EVIDENCE_PER_MEMBER_MAX
    assert kept.filter(member=1, sequence=1).exists(), "the first ones stay"
    assert kept.filter(member=2).count() == 1


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
