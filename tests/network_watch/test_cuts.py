"""What a cut is called, who can decide, and what is none."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dtvn.protocol.quorum import Mode
from tests.network_watch.seen import between, look
from validators.network_watch.cuts import TOLD_MAX, Cut, cut_of
from validators.network_watch.hearing import Hearing, Pair, State


def cut(*silent: Pair, **named: object) -> Cut:
    found = seen(look(1_000.0, *silent, **named))  # type: ignore[arg-type]
    assert found is not None
    return found


def seen(hearing: Hearing) -> Cut | None:
    pairs = [pair for pair in hearing.pairs() if hearing.state(pair) is State.SILENT]
    return cut_of(hearing, {pair: 900.0 + place for place, pair in enumerate(pairs)})


def sentences(found: Cut) -> list[str]:
    return [statement.sentence(lambda at: f"{at:.0f}") for statement in found.statements]


def test_all_hear_each_other() -> None:
    assert seen(look(1_000.0)) is None


def test_two_members_do_not_hear_each_other() -> None:
    found = cut(*between(["venue"], ["promoter"]))
    assert sentences(found) == ["venue cut from promoter since 901"]
    assert found.groups == (("venue", "promoter", "seller", "auditor"),)
    assert found.decides == found.groups[0]
    assert found.consequence.startswith("All still reach each other through others (4 of 4 members")


def test_one_way() -> None:
    found = cut(("venue", "promoter"))
    assert sentences(found) == ["venue does not hear promoter since 900; promoter hears venue"]
    found = cut(("venue", "promoter"), unseen=["promoter"])
    assert sentences(found) == ["venue does not hear promoter since 900; promoter reports nothing of venue"]


def test_one_member_is_cut_from_all_others() -> None:
    found = cut(*between(["venue"], ["promoter", "seller", "auditor"]))
    assert sentences(found) == ["venue cut from promoter, seller and auditor since 905"]
    assert found.decides == ("promoter", "seller", "auditor")
    assert found.consequence == (
        "promoter, seller and auditor have a quorum (3 of 4 members, and 3 are needed) and go on; "
        "venue decides nothing until the cut heals, and nothing diverges."
    )


def test_two_groups_of_which_none_decides() -> None:
    found = cut(*between(["venue", "seller"], ["promoter", "auditor"]))
    assert sentences(found) == ["venue and seller | promoter and auditor since 907"]
    assert found.decides == ()
    assert found.consequence.startswith("No side has a quorum (3 of 4 members): nothing is decided")
    assert (found.what, found.since) == ("venue and seller | promoter and auditor", 907.0)


def test_a_cut_inside_a_group_is_told_beside_that_between_groups() -> None:
    names = tuple("abcdefg")
    found = cut(*between("abcde", "fg"), *between("a", "b"), names=names)
    assert [statement.what for statement in found.statements] == [
        "a, b, c, d and e | f and g",
        "a cut from b",
    ]
    assert found.decides == tuple("abcde")


def test_members_beyond_the_cut_that_do_not_report_may_have_stopped() -> None:
    across = [("venue", "promoter"), ("venue", "auditor"), ("seller", "promoter"), ("seller", "auditor")]
    found = cut(*across, unseen=["promoter", "auditor"])
    [statement] = found.statements
    assert statement.what == "venue and seller | promoter and auditor"
    assert statement.also == "promoter and auditor report nothing to this platform, and may have stopped"


def test_who_was_stopped_here_is_in_no_cut() -> None:
    hearing = look(1.0, *between(["venue"], ["promoter", "seller", "auditor"]), stopped=["venue"])
    assert seen(hearing) is None


def test_of_many_pairs_some_are_named() -> None:
    names = tuple("abcdefg")
    pairs = [pair for one, other in pairwise(names) for pair in between(one, other)]
    found = cut(*pairs, names=names)
    assert len(found.statements) == TOLD_MAX
    assert found.statements[-1].what == "2 more pairs"


@pytest.mark.parametrize(("count", "needed"), [(2, 2), (3, 2), (7, 5)])
def test_the_quorum_is_that_of_the_whole_cluster(count: int, needed: int) -> None:
    names = tuple("abcdefg"[:count])
    found = cut(*between(names[:1], names[1:]), names=names)
    assert bool(found.decides) == (count - 1 >= needed)


def test_of_five_with_raft_three_decide() -> None:
    names = tuple("abcde")
    found = cut(*between("abc", "de"), names=names, mode=Mode.RAFT)
    assert found.decides == tuple("abc")
    assert "3 of 5 members, and 3 are needed" in found.consequence
    assert cut(*between("abc", "de"), names=names).decides == ()


def test_with_raft_only_who_reaches_a_majority_itself_leads() -> None:
    names = tuple("abcde")
    found = cut(*between("a", "b"), names=names, mode=Mode.RAFT)
    assert found.consequence == "Decisions go on with a leader that reaches 3 of 5 members itself."
    names = tuple("abcdefg")
    ring = {frozenset(pair) for pair in pairwise([*names, "a"])}
    apart = [(one, other) for one in names for other in names if one != other and {one, other} not in ring]
    found = cut(*apart, names=names, mode=Mode.RAFT)
    assert (found.groups, found.decides) == ((names,), ())
    assert found.consequence.startswith("No member reaches a quorum itself (4 of 7 members)")
    assert cut(*apart, names=names).decides == names, "with PBFT they pass on what others lack"


def test_pairs_that_are_not_named_are_cut_since_the_first_of_them() -> None:
    names = tuple("abcdefg")
    pairs = [pair for one, other in pairwise(names) for pair in between(one, other)]
    found = cut_of(look(1_000.0, *pairs, names=names), {pair: 900.0 - at for at, pair in enumerate(pairs)})
    assert found is not None
    assert [statement.since for statement in found.statements] == [900.0, 898.0, 896.0, 894.0, 890.0]
