"""What members say of each other without proof, and how many pieces of evidence are kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.watch import read_report
from validators.models import MemberEvidence
from validators.services import evidence


def member(name: str, refused: Any) -> Any:
    return read_report(name, {"refused": refused})


def test_counts_of_members_are_told_serious_ones_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member may send anything: whatever is not a table of counts is skipped, and long names are cut."""
    members = [
        member("b", {"a": {"bad_signature": 2, "stale": 9}}),
        member("a", {"z" * 100: {"bad_signature": 2}, "b": {"bad_signature": 2}}),
        member("c", ["no counts"]),
        member("d", {}),
    ]
    monkeypatch.setattr(evidence, "gateway", lambda: SimpleNamespace(members=lambda: members))
    found = evidence.suspicions()
    graves = [each.offence.grave for each in found]
    assert graves == sorted(graves, reverse=True)
    assert set(graves) == {True, False}
    told = {(each.node, each.peer, each.count) for each in found}
    assert told == {("b", "a", 2), ("b", "a", 9), ("a", "z" * 64, 2), ("a", "b", 2)}
    same = [(each.node, each.peer) for each in found if each.count == 2]
    assert same == [("a", "b"), ("a", "z" * 64), ("b", "a")]


@pytest.mark.django_db
def test_of_each_member_a_bounded_number_of_pieces_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PER_MEMBER_MAX", 4), ("AT_LEAST", 2), ("PIECES_MAX", 5)):
        monkeypatch.setattr(evidence, name, value)

    def keep(member: int, place: int, epoch: int = 0) -> bool:
        found: Any = SimpleNamespace(
            code="two_votes", epoch=epoch, member=member, name=f"r{member}", where=str(place)
        )
        return evidence._store(found, b"content", "r0")

    assert [keep(1, place) for place in (1, 1, 2, 3, 4, 5)] == [True, False, True, True, True, False]
    assert [keep(2, place) for place in (1, 2, 3)] == [True, True, False], "its first two always"
    assert keep(1, 9, epoch=1), "in each epoch"
    row = MemberEvidence.objects.get(member=2, place="2")
    assert (row.code, row.name, row.reported_by, bytes(row.content)) == ("two_votes", "r2", "r0", b"content")
