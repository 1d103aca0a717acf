"""Who brings the log: each rule of the tree alone (Plumtree, SRDS 2007; R28, R45)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from dtvn.overlay import tree as t
from dtvn.overlay.tree import Tree
from dtvn.protocol.consensus.sources import RENEW, RENEW_LAZY, Ask

MS = 1_000_000
MEMBERS = 4


def members() -> Tree:
    return Tree(range(MEMBERS), 0)


def asks(tree: Tree, executed: int, now: int, what: str) -> list[Ask]:
    return [ask for ask in tree.due(executed, now) if ask.what == what]


def test_one_peer_is_asked_to_push_and_the_others_to_announce() -> None:
    found = members().due(7, 0)
    assert found == [Ask(0, "eager", 8), *(Ask(peer, "lazy", 8) for peer in (1, 2, 3))]


def test_follows_are_renewed_every_second_and_lazy_ones_every_four() -> None:
    tree = members()
    tree.due(0, 0)
    assert tree.deadline() == RENEW
    assert tree.due(0, RENEW - 1) == []
    assert tree.due(0, RENEW) == [Ask(0, "eager", 1)]
    assert len(tree.due(0, RENEW_LAZY)) == MEMBERS


def test_followers_begin_with_different_peers() -> None:
    assert [Tree(range(MEMBERS), 0, start=start).source for start in range(4)] == [0, 1, 2, 3]


def test_r28_what_was_announced_and_not_brought_is_asked_of_the_announcer_after_300_ms() -> None:
    tree = members()
    tree.due(0, 0)
    tree.announced(2, 5, 10 * MS)
    assert tree.deadline() == 310 * MS
    assert asks(tree, 0, 309 * MS, "fetch") == []
    assert asks(tree, 0, 310 * MS, "fetch") == [Ask(2, "fetch", 1, 16)]
    assert tree.expects(2)
    assert not tree.expects(3)


def test_what_the_source_brings_in_time_is_not_asked_of_others() -> None:
    tree = members()
    tree.announced(2, 5, 0)
    tree.brought(0, 5, 5, 200 * MS)
    assert asks(tree, 5, 400 * MS, "fetch") == []


def test_r28_after_three_overtakings_the_bringer_is_the_source_and_the_old_one_is_pruned() -> None:
    tree = members()
    tree.due(0, 0)
    for executed in (1, 2, 3):
        assert tree.source == 0
        now = executed * 400 * MS
        tree.announced(2, executed, now - 300 * MS)
        tree.due(executed - 1, now)
        tree.brought(2, 1, executed, now)
    assert tree.source == 2
    found = tree.due(3, 1_201 * MS)
    assert Ask(2, "eager", 4) in found
    assert Ask(0, "lazy", 4) in found


def test_r28_races_won_by_others_change_no_source() -> None:
    tree = members()
    for executed in range(2, 60, 2):
        tree.brought(0, 1, executed - 1, executed * MS)
        tree.brought(2, 1, executed, executed * MS)
    assert tree.source == 0


def test_a_source_that_is_late_three_times_is_left_for_who_announced_it() -> None:
    tree = members()
    for executed in (1, 2, 3):
        now = executed * 1_000 * MS
        tree.announced(2, executed, now)
        tree.brought(0, 1, executed, now + 301 * MS)
    assert tree.source == 2


def test_r45_who_does_not_bring_what_it_announced_is_asked_less_and_less() -> None:
    tree = members()
    tree.announced(3, 1 << 60, 0)
    asked = []
    for tick in range(0, 70_000, 50):
        if asks(tree, 0, tick * MS, "fetch"):
            asked.append(tick / 1_000)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert 5 <= len(asked) <= 7
    assert gaps == sorted(gaps)
    assert gaps[-1] > 10


def test_another_announcer_is_asked_while_the_first_owes_its_answer() -> None:
    tree = members()
    tree.announced(2, 5, 0)
    tree.announced(3, 5, 0)
    first = asks(tree, 0, t.GRACE, "fetch")
    second = asks(tree, 0, t.GRACE + t.AGAIN, "fetch")
    assert {first[0].peer, second[0].peer} == {2, 3}
    assert tree.expects(first[0].peer), "a late answer is taken as well"


def test_who_answers_with_nothing_new_is_doubted_and_who_brings_something_believed_again() -> None:
    tree = members()
    tree.announced(2, 5, 0)
    assert asks(tree, 0, t.GRACE, "fetch")
    tree.brought(2, 0, 0, t.GRACE + MS)
    tree.announced(2, 5, t.GRACE + 2 * MS)
    assert asks(tree, 0, 3 * t.GRACE, "fetch") == []
    tree.brought(2, 1, 1, 3 * t.GRACE)
    tree.announced(2, 5, 3 * t.GRACE)
    assert asks(tree, 1, 4 * t.GRACE, "fetch") != []


def test_a_late_answer_to_the_first_question_is_not_held_against_the_second() -> None:
    """It brings nothing new, since another peer was quicker; the newest question has its own time."""
    tree = members()
    tree.announced(2, 5, 0)
    assert asks(tree, 0, t.GRACE, "fetch") == [Ask(2, "fetch", 1, t.FETCHED)]
    asks(tree, 0, 3 * t.GRACE, "fetch")  # it is late, and doubted
    tree.brought(0, 5, 5, 3 * t.GRACE + MS)
    later = 3 * t.GRACE + t.DISTRUST
    tree.announced(2, 9, later)
    assert asks(tree, 5, later + t.GRACE, "fetch") == [Ask(2, "fetch", 6, 5 + t.FETCHED)]
    doubts = tree._links[2].doubts
    tree.brought(2, 0, 5, later + t.GRACE + MS)
    assert tree._links[2].doubts == doubts
    assert tree.expects(2), "the newest is still open"
    tree.brought(2, 4, 9, later + t.GRACE + 2 * MS)
    assert tree._links[2].doubts == 0


def test_r45_who_lies_is_left_at_once_and_not_taken_again_soon() -> None:
    tree = members()
    tree.lied(0, 0)
    assert tree.source == 1
    assert tree.lies(0) == 1
    for peer in (1, 2, 3):
        tree.busy(peer, MS)
    assert tree.source is None, "rather nobody than a liar"
    tree.due(0, t.SHUNNED + 2 * MS)
    assert tree.source is not None


def test_r45_what_a_liar_announced_is_asked_of_nobody() -> None:
    tree = members()
    tree.due(0, 0)
    tree.announced(2, 5, 0)
    tree.lied(2, MS)
    assert asks(tree, 0, t.GRACE + MS, "fetch") == []
    tree.announced(3, 4, t.GRACE + MS)
    assert asks(tree, 0, 2 * t.GRACE + MS, "fetch") == [Ask(3, "fetch", 1, t.FETCHED)]


def test_r45_while_nobody_has_a_place_announcements_are_followed_at_once() -> None:
    tree = members()
    for peer in range(MEMBERS):
        tree.busy(peer, 0)
    assert tree.source is None
    tree.announced(3, 2, MS)
    assert asks(tree, 0, MS, "fetch") == [Ask(3, "fetch", 1, 16)]
    assert tree.deadline() <= t.BUSY


def test_r45_after_three_referrals_in_a_row_a_member_is_asked() -> None:
    tree = Tree([0, 4, 5, 6, 7, 8], 0, relays_from=MEMBERS, relays_first=True)
    asked = []
    for _ in range(4):
        assert tree.source is not None
        asked.append(tree.source)
        tree.busy(tree.source, 0)
    assert [peer >= MEMBERS for peer in asked] == [True, True, True, False]


def test_r45_without_a_linked_member_one_is_wanted_after_three_referrals() -> None:
    tree = Tree([4, 5, 6, 7, 8], 0, relays_from=MEMBERS)
    for count in range(3):
        assert tree.wants_member == (count == 3)
        tree.busy(tree.source or 0, 0)
    assert tree.wants_member
    tree.links([0, 4, 5, 6, 7, 8], MS)
    assert not tree.wants_member


def test_relays_ask_members_first_and_leaves_relays_first() -> None:
    up = [0, 4, 5]
    assert Tree(up, 0, relays_from=MEMBERS).source == 0
    assert Tree(up, 0, relays_from=MEMBERS, relays_first=True).source == 4


def test_a_full_relay_is_asked_again_later_each_time() -> None:
    tree = Tree([4], 0, relays_from=MEMBERS)
    now, waits = 0, []
    for _ in range(6):
        tree.busy(4, now)
        until = next(at for at in range(now, now + 40 * RENEW, RENEW) if tree.due(0, at) and tree.source == 4)
        waits.append((until - now) // RENEW)
        now = until
    assert waits == [1, 2, 4, 8, 16, 16]


def test_r45_a_relay_that_is_never_first_is_left_for_one_that_was() -> None:
    tree = Tree([4, 5], 0, relays_from=MEMBERS)
    assert tree.source == 4
    for second in range(13):
        now = second * RENEW
        tree.fresh(now)
        tree.announced(5, 0, now)
        tree.due(0, now)
    assert tree.source == 5


def test_r45_if_no_relay_is_ever_first_a_member_is_wanted_and_asked() -> None:
    tree = Tree([4, 5], 0, relays_from=MEMBERS)
    tree.due(0, t.STALE)
    assert tree.wants_member
    tree.links([2, 4, 5], t.STALE)
    tree.due(0, 2 * t.STALE)
    assert tree.source == 2


def test_a_silent_member_stays_the_source_while_nobody_is_better() -> None:
    """Of an older version, which signs no heads."""
    tree = members()
    for second in range(60):
        tree.due(0, second * RENEW)
    assert tree.source == 0


def test_a_claim_alone_is_no_lead() -> None:
    tree = Tree([4, 5], 0, relays_from=MEMBERS)
    for second in range(13):
        tree.announced(5, 1_000 + second, second * RENEW)
        tree.due(0, second * RENEW)
    assert tree.wants_member, "nobody brought anything"


def test_a_source_whose_link_breaks_is_replaced_at_once() -> None:
    tree = members()
    tree.links([1, 2, 3], 5 * MS)
    assert tree.source == 1
    assert Ask(1, "eager", 1) in tree.due(0, 5 * MS)


def test_of_many_links_a_few_are_lazy_and_all_in_turn() -> None:
    tree = Tree(range(30), 0)
    lazy: set[int] = set()
    for second in range(40):
        found = {ask.peer for ask in asks(tree, 0, second * RENEW, "lazy")}
        assert len(found) <= t.LAZY_MAX + 1
        lazy |= found
    assert lazy == set(range(1, 30))


def test_no_links_no_source_no_deadline() -> None:
    tree = Tree((), 0)
    assert tree.source is None
    assert tree.due(0, 0) == []
    assert tree.deadline() == t.NEVER
    assert tree.wants_member


PEERS = range(8)


@settings(max_examples=100, deadline=None)
@given(some.data(), some.booleans())
def test_only_linked_peers_are_asked_and_never_at_once_a_liar(data: some.DataObject, relays: bool) -> None:
    tree = Tree(range(5), 0, relays_from=MEMBERS, relays_first=relays, start=1)
    up, now, executed = list(range(5)), 0, 0
    for _step in range(data.draw(some.integers(1, 40))):
        peer, count = data.draw(some.sampled_from(up)), data.draw(some.sampled_from((0, 1, 2, 16)))
        act, liar = data.draw(some.sampled_from(("links", "lied", "busy", "brought", "announced"))), None
        if act == "links":
            up = sorted(data.draw(some.sets(some.sampled_from(PEERS), min_size=1)))
            tree.links(up, now)
        elif act == "lied":
            tree.lied(peer, now)
            liar = peer
        elif act == "busy":
            tree.busy(peer, now)
        elif act == "brought":
            executed += count
            tree.brought(peer, count, executed, now)
        else:
            tree.announced(peer, executed + count, now)
        asked = {ask.peer for ask in tree.due(executed, now) if ask.what != "lazy"}
        assert asked <= set(up)
        assert liar not in asked or len(up) == 1
        assert tree.source is None or tree.source in up
        now += data.draw(some.sampled_from((0, MS, 310 * MS, 5_000 * MS)))
