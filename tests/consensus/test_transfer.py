"""A replica far behind installs a state, although some of the others are silent or lie (R23, R31; P17)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ApplicationChange, Install, Reason
from dtvn.protocol.consensus.transfer.receiving import GROUPS_ASKED
from tests.consensus.doubles import MemoryJournal
from tests.consensus.grouped import GROUPS, Grouped
from tests.consensus.helpers import MILLISECOND, Cluster, Node, open_frame

LAG = 5
SMALL = 1_000
"""Tickets that count as a sequence where the state is small beside the log."""
VOTES = (m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint)
SECOND = 1_000
STEP = 20
HEARD = (m.Status, m.Ping, m.Pong, m.Snapshot, m.Groups)
"""By these alone it learns where the others are, and takes a state."""


class Far(Cluster):
    """All but the last member work; the last one comes back behind, and no member gives it the log."""

    state = Grouped

    def __init__(
        self, members: int = 4, *, known: int = 0, ahead: int = 23, wiped: bool = False, worth: int = SMALL
    ) -> None:
        self.held: list[tuple[int, Node, Node, bytes]] = []
        self.delays: dict[int, int | None] = {}
        self.votes: list[tuple[Node, Node, bytes]] | None = None
        """Votes on their way to it, once they are kept aside."""
        self.late: Node | None = None
        super().__init__(members, transfer_lag=LAG, transfer_tickets=worth)
        self.late = self[members - 1]
        self.work(known)
        self.late.crash()
        self.work(ahead)
        self.advance(100)
        self.drop(lambda _source, target, message: target == members - 1 and type(message) not in HEARD)
        self.waiting.clear()
        self.sent.clear()
        if wiped:
            self.late.journal = MemoryJournal()
        self.late.restart(voting=not wiped)

    def work(self, count: int) -> None:
        for _ in range(count):
            self.request(f"T-{self._number}")
            self.stabilize()

    def post(self, source: Node, target: Node, frame: bytes) -> None:
        if target is self.late and self.votes is not None and type(open_frame(frame)) in VOTES:
            self.votes.append((source, target, frame))
            return
        if target is self.late and source.index in self.delays and type(open_frame(frame)) is m.Groups:
            delay = self.delays[source.index]
            if delay is not None:
                self.held.append((self.time + delay * MILLISECOND, source, target, frame))
            return
        super().post(source, target, frame)

    def pass_time(self, milliseconds: int, **slow: int | None) -> None:
        """Let time pass; `slow`: how many milliseconds the groups of a member take, None: for ever."""
        self.delays = {int(name[1:]): delay for name, delay in slow.items()}
        for _ in range(milliseconds // STEP):
            self.advance(STEP)
            due = [each for each in self.held if each[0] <= self.time]
            self.held = [each for each in self.held if each not in due]
            self.waiting.extend(each[1:] for each in due)
        self.stabilize()

    @property
    def transfer(self) -> Any:
        return self.late.core.transfer

    def asked(self, member: int) -> list[m.FetchGroups]:
        return [
            message
            for source, target, message in self.sent
            if (source, target) == (self.members - 1, member) and type(message) is m.FetchGroups
        ]

    def says(self, member: int, *groups: tuple[int, tuple[tuple[bytes, ...], ...]]) -> Reason | None:
        """A member sends these groups of the state at 20."""
        return self.late.hear(self[member], self[member].signer.link(m.Groups(20, groups)))

    def installed(self) -> Install:
        (install,) = self.late.installs
        return install


def state_of(rows: list[ApplicationChange]) -> dict[str, bytes]:
    return {change.key[0]: change.row for change in rows if change.table == "value"}


def test_r23_the_installed_state_is_the_one_that_q_members_signed() -> None:
    cluster = Far()
    cluster.advance(300)
    install = cluster.installed()
    record, base = install.checkpoint, cluster[0].journal.log[19]
    certified = cluster[0].core.state.checkpoint.certificate
    assert (record.epoch, record.sequence) == (0, 20)
    assert (record.state_root, record.log_root) == (certified.state_root, certified.log_root)
    assert (record.timestamp, record.frames) == (certified.timestamp, certified.frames)
    assert install.entry == base.entry
    grown = log_tree.append(log_tree.Frontier(19, install.peaks), base.entry_hash)
    assert log_tree.root(grown) == certified.log_root
    fetched = Grouped()
    fetched.load(install.rows())
    assert fetched.root() == certified.state_root
    assert len(state_of(list(install.rows()))) == 2_420, "those of genesis and 20 of the log"
    (began,) = cluster.late.told("transfer_began")
    assert began == {"sequence": 20, "sources": [0, 1, 2]}


def test_r23_answers_are_ignored_once_the_state_is_complete() -> None:
    """The host replaces this core at the end of the turn."""
    cluster = Far()
    cluster.advance(300)
    core = cluster.late.core
    assert core.transfer.deadline() is None
    assert core.state.transfer.active
    cluster.heal()
    cluster.work(3)
    cluster.advance(300)
    assert len(cluster.late.installs) == 1
    assert len(cluster.messages(m.FetchSnapshot, source=3)) == 3, "one to each"
    assert core.executed == 0


def test_r23_the_log_is_not_read_while_a_state_is_fetched() -> None:
    """Answers to earlier questions come too late: the log would be read on beside the state."""
    cluster = Far()
    cluster.stabilize()
    core = cluster.late.core
    asked = {target for source, target, message in cluster.sent if type(message) is m.FetchEntries}
    (member,) = asked
    entries = cluster[member].signer.link(cluster[member].journal.range(1, 10))
    header = cluster.header(entries, member)
    assert core.wants(header) is None
    cluster.pass_time(100, r0=None, r1=None, r2=None)
    assert core.state.transfer.active
    assert core.wants(header) is Reason.NOT_ASKED
    cluster.advance(2 * SECOND)
    assert {target for source, target, message in cluster.sent if type(message) is m.FetchEntries} == asked


@pytest.mark.parametrize(("ahead", "by_state"), [(LAG, False), (LAG + 1, True)])
def test_r23_a_lag_one_above_the_limit_requests_a_state(ahead: int, by_state: bool) -> None:
    cluster = Far(ahead=ahead)
    cluster.advance(2 * SECOND)
    assert bool(cluster.messages(m.FetchSnapshot, source=3)) is by_state


def test_r23_a_log_that_stalls_leads_to_a_state_even_at_a_small_lag() -> None:
    cluster = Far(known=8, ahead=4)
    cluster.advance(4_900)
    assert not cluster.messages(m.FetchSnapshot, source=3)
    cluster.advance(300)
    assert {wish.above for wish in cluster.messages(m.FetchSnapshot, source=3)} == {8}
    assert cluster.installed().checkpoint.sequence == 10


# --- answers that come late -----------------------------------------------------------------------


def test_p17_groups_each_slower_than_the_timeout_complete_a_state() -> None:
    """On a slow link every answer is late, and each of them helps."""
    cluster = Far()
    cluster.pass_time(10 * SECOND, r0=1_300, r1=1_300, r2=1_300)
    assert cluster.installed().checkpoint.sequence == 20
    assert not cluster.late.told("source_left")


def test_p17_an_answer_to_the_previous_question_excludes_no_source() -> None:
    """r0 was suspended for two seconds: what it sends then was asked of it, and of others since."""
    cluster = Far()
    cluster.pass_time(2_400, r0=2_200, r1=2_200, r2=500)
    first, again = cluster.asked(0)[:2]
    assert not set(first.groups) & set(again.groups)
    assert not cluster.late.told("poisoned")
    cluster.pass_time(2 * SECOND)
    assert cluster.installed()


# --- sources that give nothing, or what is wrong --------------------------------------------------

GROUP = ((b"an item that nobody has",),)
ALL_SILENT: dict[str, int | None] = {"r0": None, "r1": None, "r2": None}


def test_r23_no_group_is_asked_of_two_while_others_are_lacking() -> None:
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    questions = [cluster.asked(member) for member in (0, 1, 2)]
    assert [len(asked) for asked in questions] == [1, 1, 1]
    groups = [group for (question,) in questions for group in question.groups]
    assert len(groups) == len(set(groups)) == 3 * GROUPS_ASKED


def test_r23_groups_owed_by_a_silent_source_are_asked_of_others() -> None:
    cluster = Far()
    cluster.pass_time(400, r0=None)
    assert cluster.installed()
    (owed,) = cluster.asked(0)
    others = {group for member in (1, 2) for asked in cluster.asked(member) for group in asked.groups}
    assert set(owed.groups) < others


def test_row_17_a_silent_source_is_asked_less_and_left_after_three() -> None:
    cluster = Far()
    asked = []
    cluster.pass_time(400, **ALL_SILENT)
    for _ in range(12):
        asked.append(len(cluster.asked(0)))
        cluster.pass_time(500, **ALL_SILENT)
    assert asked == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3], "a second, then another; two; three"
    assert cluster.late.told("source_left") == [{"member": i, "reason": "slow"} for i in (0, 1, 2)]
    assert cluster.late.told("transfer_ended") == [{"reason": "no source is left"}]
    assert len(cluster.late.told("transfer_began")) == 2, "it asks again at once"


def test_row_17_an_answer_resets_the_count_of_silences() -> None:
    """Strikes are counted in a row: two of them, a group, and two more."""
    cluster = Far()
    cluster.pass_time(3_500, **ALL_SILENT)
    group = cluster.asked(0)[0].groups[0]
    assert cluster.says(0, (group, cluster[0].application.read_pinned(group))) is None
    assert len(cluster.asked(0)) == 3, "and the next question is put at once"
    cluster.pass_time(3_500, **ALL_SILENT)
    assert 0 not in [told["member"] for told in cluster.late.told("source_left")]


def test_row_17_answers_that_bring_nothing_new_end_like_silence() -> None:
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    group = cluster.asked(0)[0].groups[0]
    items = cluster[0].application.read_pinned(group)
    held = cluster.late.core.state.lag.held_until
    assert cluster.says(0, (group, items)) is None
    assert cluster.late.core.state.lag.held_until > held, "the primary is not blamed meanwhile (R30)"
    held = cluster.late.core.state.lag.held_until
    cluster.time += 10 * MILLISECOND
    assert cluster.says(0, (group, items)) is None
    assert len(cluster.asked(0)) == 2, "not asked again at once"
    assert cluster.late.core.state.lag.held_until == held
    cluster.pass_time(1_200, **ALL_SILENT)
    assert cluster.says(0, (group, items)) is None
    cluster.pass_time(2_200, **ALL_SILENT)
    assert cluster.says(0, (group, items)) is None
    assert {"member": 0, "reason": "slow"} in cluster.late.told("source_left")


def test_row_17_a_sources_answer_counts_though_a_liar_was_quicker() -> None:
    """Otherwise a liar that answers unasked, a moment before, would make every honest source look slow."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    group = cluster.asked(0)[0].groups[0]
    items = cluster[0].application.read_pinned(group)
    assert group not in cluster.asked(1)[0].groups
    assert cluster.says(1, (group, items)) is None
    cluster.time += 10 * MILLISECOND
    assert cluster.says(0, (group, items)) is None
    assert len(cluster.asked(0)) == 2, "asked again at once"


def test_r5_one_answer_to_each_question_and_of_this_state() -> None:
    cluster = Far()
    cluster.pass_time(100, r0=None, r1=None, r2=None)
    group = cluster.asked(0)[0].groups[0]
    items = cluster[0].application.read_pinned(group)
    other = cluster[0].signer.link(m.Groups(10, ((group, items),)))
    assert cluster.late.hear(cluster[0], other) is Reason.NOT_ASKED
    assert cluster.late.core.transfer.refuse_groups(m.Groups(20, ()), None) is Reason.NOT_ASKED
    assert cluster.says(0, (group, items)) is None
    assert cluster.says(0, (group, items)) is None, "it was asked again"
    assert cluster.says(0, (group, items)) is Reason.NOT_ASKED


@pytest.mark.parametrize("number", [None, GROUPS])
def test_row_17_a_wrong_group_bans_its_sender(number: int | None) -> None:
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    asked = cluster.asked(0)[0].groups[0]
    assert cluster.says(0, (asked if number is None else number, GROUP)) is None
    assert cluster.late.told("poisoned") == [{"member": 0, "reason": "bad_chunk"}]
    assert cluster.late.told("refused")[-1] == {"peer": "m0", "reason": "bad_chunk", "text": "Groups"}
    assert cluster.says(0, (asked, GROUP)) is Reason.NOT_ASKED
    cluster.pass_time(3 * SECOND)
    assert len(cluster.asked(0)) == 1
    assert cluster.installed()


def test_row_17_without_sources_another_state_is_sought_and_parts_kept() -> None:
    cluster = Far()
    cluster.pass_time(60, r1=None, r2=None)
    lacking = len(cluster.transfer.state.transfer.staging.missing)
    assert 0 < lacking < GROUPS - 2 * GROUPS_ASKED
    assert str(cluster.transfer.state).endswith(f"; receiving the state at 20, {lacking} groups missing")
    for member in (0, 1, 2):
        assert cluster.says(member) is None
    assert [told["reason"] for told in cluster.late.told("source_left")] == ["serves it no longer"] * 3
    assert cluster.late.told("transfer_ended") == [{"reason": "no source is left"}]
    assert not cluster.transfer.state.transfer.active
    cluster.pass_time(STEP, **ALL_SILENT)
    assert len(cluster.messages(m.FetchSnapshot, source=3)) == 2 * 3, "it asks again at once"
    cluster.pass_time(1_200, **ALL_SILENT)
    assert cluster.transfer.state.transfer.active
    assert len(cluster.transfer.state.transfer.staging.missing) == lacking
    cluster.pass_time(2 * SECOND)
    assert cluster.installed()


def test_row_17_more_than_f_excluded_sources_are_all_tried_again() -> None:
    """Something else is wrong then: f is one, and two would be left out for ever."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    for member in (0, 1):
        cluster.says(member, (cluster.asked(member)[0].groups[0], GROUP))
    assert len(cluster.late.told("poisoned")) == 2
    cluster.says(2)
    cluster.pass_time(500)
    assert cluster.late.told("transfer_began")[-1]["sources"] == [0, 1, 2]


def test_row_17_one_poisoner_stays_excluded_in_the_next_transfer() -> None:
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    cluster.says(0, (cluster.asked(0)[0].groups[0], GROUP))
    for member in (1, 2):
        cluster.says(member)
    cluster.pass_time(500)
    assert cluster.late.told("transfer_began")[-1]["sources"] == [1, 2]


@pytest.mark.parametrize("ahead", [12, 13])
def test_a_state_that_the_own_log_has_overtaken_is_given_up(ahead: int) -> None:
    cluster = Far(known=8, ahead=0)
    cluster.advance(400)
    cluster.votes = []
    cluster.work(ahead)
    cluster.pass_time(1_500, **ALL_SILENT)
    assert cluster.transfer.state.transfer.active
    cluster.heal()
    cluster.waiting.extend(cluster.votes)
    cluster.pass_time(3 * SECOND, **ALL_SILENT)
    assert cluster.late.told("transfer_ended") == [{"reason": "overtaken"}]
    assert cluster.late.core.executed == 8 + ahead
    assert cluster.transfer.state.transfer.staging is None, "and nothing of it is kept"
    assert cluster.transfer.deadline() is None


def alone() -> Far:
    """r0 offers its state, and brings a part of it each time it is nearly given up."""
    cluster = Far()
    cluster.drop(lambda source, _target, message: type(message) is m.Snapshot and source != 0)
    return cluster


def test_row_17_a_lone_slow_source_is_left_for_others_after_15_seconds() -> None:
    cluster = alone()
    cluster.pass_time(14_900, r0=1_900)
    assert cluster.late.told("transfer_began") == [{"sequence": 20, "sources": [0]}]
    lacking = len(cluster.transfer.state.transfer.staging.missing)
    assert 0 < lacking < GROUPS // 3
    cluster.rules.pop()
    cluster.pass_time(600, r0=1_900, r1=None, r2=None)
    assert cluster.late.told("transfer_ended") == [{"reason": "slow"}]
    assert cluster.late.told("transfer_began")[1] == {"sequence": 20, "sources": [0, 1, 2]}
    assert len(cluster.transfer.state.transfer.staging.missing) <= lacking


def test_r31_a_pause_does_not_count_as_a_sources_delay() -> None:
    cluster = alone()
    cluster.pass_time(500, r0=1_900)
    cluster.time += 10 * SECOND * MILLISECOND
    cluster.late.tick()
    assert [source.strikes for source in cluster.transfer._sources.values()] == [0]
    cluster.pass_time(4_500, r0=1_900)
    cluster.time += 30 * SECOND * MILLISECOND
    cluster.late.tick()
    assert len(cluster.late.told("paused")) == 2
    assert not cluster.late.told("source_left")
    cluster.pass_time(9 * SECOND, r0=1_900)
    assert not cluster.late.told("transfer_ended")


@pytest.mark.parametrize(("worth", "transfers"), [(2_400 // 23 + 1, 1), (2_400 // 23 - 1, 0)])
def test_r23_the_log_is_preferred_when_faster_than_a_large_state(worth: int, transfers: int) -> None:
    """Found at a million tickets: each state took so long to install that the next one was due (0158)."""
    cluster = Far(worth=worth)
    cluster.advance(300)
    assert len(cluster.late.told("transfer_began")) == transfers


def test_r23_a_state_of_any_size_is_fetched_if_the_log_stalls() -> None:
    cluster = Far(worth=1)
    cluster.advance(4 * SECOND)
    assert not cluster.late.told("transfer_began")
    cluster.advance(4 * SECOND)
    assert cluster.late.told("transfer_began"), "nobody gives it the log (Far): after the patience for it"
