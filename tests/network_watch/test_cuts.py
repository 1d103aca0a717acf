"""What a cut is called, who can decide, and what is none."""

from __future__ import annotations

from itertools import pairwise

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


def test_one_way() -> None:
    found = cut(("venue", "promoter"))
    assert sentences(found) == ["venue does not hear promoter since 900; promoter hears venue"]
    found = cut(("venue", "promoter"), unseen=["promoter"])
    assert sentences(found) == ["venue does not hear promoter since 900; promoter reports nothing of venue"]


def test_of_many_pairs_some_are_named() -> None:
    names = tuple("abcdefg")
    pairs = [pair for one, other in pairwise(names) for pair in between(one, other)]
    found = cut(*pairs, names=names)
    assert len(found.statements) == TOLD_MAX
    assert found.statements[-1].what == "2 more pairs"


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
