"""With f = 0 a start waits for every other member's answer, or for the operator's order (R11)."""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.pinging import HEARD, OTHERS_ARE_GONE
from tests.consensus.doubles import MemoryJournal
from tests.consensus.helpers import Cluster, Node


def three() -> Cluster:
    """Three entries are decided, and no checkpoint."""
    cluster = Cluster(3)
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.advance(200)
    return cluster


def restarted(*, operator: bool = False) -> Cluster:
    """m2 starts while m1 is down."""
    cluster = three()
    cluster[1].crash()
    cluster[2].crash()
    cluster.waiting.clear()
    if operator:
        cluster[2].journal.states[OTHERS_ARE_GONE.name] = OTHERS_ARE_GONE
    cluster[2].restart()
    cluster.advance(2_000)
    return cluster


def rebuilt(node: Node) -> None:
    """Its process makes another core over its ledger."""
    load = node.journal.load

    def continued() -> LedgerTail:
        return msgspec.structs.replace(load(), continued=True)

    node.journal.load = continued  # type: ignore[method-assign]
    node.restart()


def forgotten() -> Cluster:
    """m0 and m2 decide a fourth batch that m1 does not hear of, and stop. m2 gets an older disk."""
    cluster = three()
    older = copy.deepcopy(cluster[2].journal)
    cluster.cut(1)
    cluster.request("T-last")
    cluster.advance(100)
    assert cluster.executed() == [4, 3, 4]
    cluster[0].crash()
    cluster[2].crash()
    cluster.heal()
    cluster.waiting.clear()
    cluster[2].journal = older
    return cluster


def test_r11_where_f_is_zero_a_quorum_of_answers_is_not_enough() -> None:
    cluster = restarted()
    pinging = cluster[2].core.pinging
    assert pinging.state.voting_right.holding
    assert pinging.awaited == (1,)
    assert cluster[2].told("awaits_all") == [{"members": cluster[2].core.config.members[1]}], (
        "it is said once"
    )
    cluster.request("T-after")
    cluster.advance(400)
    assert cluster.executed()[0] == 3, "no vote is given"
    cluster[1].restart()
    cluster.advance(400)
    assert not pinging.state.voting_right.holding
    assert cluster.executed()[0] == 4, "the last word has come"


def test_r11_awaited_members_are_named_before_any_answer() -> None:
    cluster = Cluster(2)
    cluster[0].crash()
    cluster[1].restart()
    cluster.advance(400)
    assert cluster[1].core.pinging.awaited == (0,)


def test_r11_others_are_gone_holds_until_a_checkpoint_is_stable() -> None:
    cluster = restarted(operator=True)
    journal = cluster[2].journal
    assert not cluster[2].core.state.voting_right.holding
    assert cluster[2].core.pinging.vouched
    for number in range(7):
        cluster.request(f"T-more-{number}")
        cluster.advance(300)
    assert journal.checkpoints, "a checkpoint became stable"
    assert journal.states[OTHERS_ARE_GONE.name].value == b"0"
    cluster[2].crash()
    cluster[2].restart()
    cluster.advance(1_000)
    assert cluster[2].core.pinging.awaited == (1,), "the word was for one start"


@pytest.mark.parametrize("again", [Node.restart, rebuilt], ids=["killed", "rebuilt"])
def test_r11_a_waiting_member_killed_or_rebuilt_waits_on(again: Callable[[Node], None]) -> None:
    """Its disk is the one that it began with, but that one may have been older than its statements."""
    cluster = forgotten()
    cluster[2].restart()
    cluster.advance(1_000)
    cluster[2].crash()
    again(cluster[2])
    cluster.advance(1_000)
    assert cluster[2].core.pinging.awaited == (0,)
    cluster.request("T-other", to=[1, 2])
    cluster.advance(10_000)
    assert cluster.executed()[1:] == [3, 3], "no other batch is the fourth"
    cluster[0].restart()
    cluster.advance(5_000)
    assert len({node.log[3] for node in cluster.nodes}) == 1


@pytest.mark.parametrize(
    ("again", "awaited"), [(Node.restart, (1,)), (rebuilt, ())], ids=["killed", "rebuilt"]
)
def test_r11_a_finished_wait_is_over_for_its_process_only(
    again: Callable[[Node], None], awaited: tuple[int, ...]
) -> None:
    cluster = restarted()
    cluster[1].restart()
    cluster.advance(1_000)
    assert not cluster[2].core.state.voting_right.holding
    cluster[1].crash()
    cluster[2].crash()
    again(cluster[2])
    cluster.advance(1_000)
    assert cluster[2].core.pinging.awaited == awaited
    assert cluster[2].core.state.voting_right.holding == bool(awaited)


def test_r11_the_last_returning_member_reveals_an_older_disk() -> None:
    cluster = three()
    older = copy.deepcopy(cluster[2].journal)
    cluster[1].crash()
    cluster.waiting.clear()
    cluster.request("T-last")
    cluster.advance(100)
    assert cluster.executed()[0] == 4
    cluster[0].crash()
    cluster[2].crash()
    cluster.waiting.clear()
    cluster[2].journal = older
    cluster[1].restart()
    cluster[2].restart()
    cluster.advance(5_000)
    assert cluster.executed()[1:] == [3, 3], "both know nothing of the fourth, and decide nothing"
    cluster[0].restart()
    cluster.advance(1_000)
    assert min(cluster.executed()) >= 4
    cluster.agree()
    assert [node.core.voting for node in cluster.nodes] == [True, True, False]


def test_r11_a_disk_from_before_the_first_vote_waits_for_all_too() -> None:
    cluster = Cluster(3)
    cluster.cut(1)
    cluster.request("T-first")
    cluster.advance(100)
    assert cluster.executed() == [1, 0, 1]
    cluster[0].crash()
    cluster[2].crash()
    cluster.heal()
    cluster.waiting.clear()
    cluster[2].journal = MemoryJournal()
    cluster[2].restart()
    cluster.request("T-other", to=[1, 2])
    cluster.advance(10_000)
    assert cluster.executed()[1:] == [0, 0], "no other batch is the first"
    assert cluster[2].core.pinging.awaited == (0,)
    cluster[0].restart()
    cluster.advance(5_000)
    assert len({node.log[0] for node in cluster.nodes}) == 1


def without_ledger(cluster: Cluster) -> MemoryJournal:
    """m0, which alone knows of m2's last votes, starts on an empty ledger; returns the one that it lost."""
    lost, cluster[0].journal = cluster[0].journal, MemoryJournal()
    cluster[0].restart(voting=False)
    return lost


def test_r11_where_f_is_zero_the_word_of_a_lost_ledger_is_none() -> None:
    """An acknowledged entry would be replaced in silence: m1 and m2 are a quorum, and neither knows of it."""
    cluster = forgotten()
    lost = without_ledger(cluster)
    cluster[2].restart()
    cluster.advance(5_000)
    assert cluster[2].core.pinging.awaited == (0,)
    assert [told["members"] for told in cluster[2].told("awaits_all")] == [cluster[2].core.config.members[0]]
    cluster.request("T-other", to=[0, 1, 2])
    cluster.advance(10_000)
    assert max(cluster.executed()) == 3, "no other batch is the fourth"
    cluster[0].crash()
    cluster[0].journal = lost  # it was found again
    cluster[0].restart()
    cluster.advance(2_000)
    assert [node.core.voting for node in cluster.nodes] == [True, True, False]
    assert cluster.executed()[0] > 4
    cluster.agree()


def test_r11_beside_a_member_without_its_ledger_the_operators_word_helps() -> None:
    cluster = forgotten()
    cluster[2].journal.states[OTHERS_ARE_GONE.name] = OTHERS_ARE_GONE
    without_ledger(cluster)
    cluster[2].restart()
    cluster.advance(2_000)
    assert not cluster[2].core.state.voting_right.holding
    cluster.request("T-other", to=[1, 2])
    cluster.advance(10_000)
    assert min(cluster.executed()) >= 4
    cluster.agree()


@pytest.mark.parametrize(("members", "said"), [(3, False), (4, True)])
def test_r11_a_member_says_that_it_forgot_only_where_that_may_matter(members: int, said: bool) -> None:
    """Where liars are tolerated a quorum has enough that remember, and the answer keeps its first form."""
    cluster = Cluster(members)
    cluster[0].crash()
    without_ledger(cluster)
    cluster.advance(5_000)
    assert {pong.remembers for pong in cluster.messages(m.Pong, source=0)[-2:]} == {said}
    assert all(pong.remembers for pong in cluster.messages(m.Pong, source=1))


def test_r11_an_answer_of_the_form_before_counts_as_one_that_remembers() -> None:
    first = m.Pong(7, 3, (b"frame",), (), 1, 2)
    fields = msgspec.structs.astuple(first)
    bare = msgspec.msgpack.encode(fields[:6])
    assert canonical.encode_trimmed(first) == bare
    assert canonical.decode(m.Pong, bare) == first
    told = msgspec.structs.replace(first, remembers=False)
    assert canonical.decode(m.Pong, canonical.encode_trimmed(told)) == told
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(m.Pong, msgspec.msgpack.encode(fields))


def test_r11_a_member_of_a_later_epoch_gives_no_answer_for_this_one() -> None:
    """It cannot show statements of this epoch: the wait continues in the next one."""
    cluster = restarted()
    asked = cluster.messages(m.Ping, 2)[-1]
    answer = m.Pong(number=asked.number, executed=3, frames=(), checkpoint=(), view=0, epoch=1)
    cluster[2].hear(cluster[1], cluster[1].signer.link(answer))
    assert cluster[2].core.pinging.awaited == (1,)
    assert HEARD not in cluster[2].journal.states.values()
