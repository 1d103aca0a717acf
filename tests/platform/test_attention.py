"""How often an idle network is looked at, on a virtual clock: reconcile, changes of members, API probes."""

from __future__ import annotations

from pathlib import Path

import pytest

from validators.data_folder.changes import note_change
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.membership import change_loop
from validators.processes import attention
from validators.processes.api_probes import LOOK_INTERVAL as LOOK_AGAIN
from validators.processes.api_probes import ApiProbes
from validators.processes.attention import LOOK_INTERVAL, Attention

NODE = "node0"
HOUR = 3_600.0


class Watched:
    """A node's slot, whose API answers; `turns` counts those of an hour's looks."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root)
        self.folder.create()
        self.answers = True
        self.now = 1_000.0
        self.attention = Attention(self.folder, lambda name: self.answers)
        assert self.look()
        self.attention.settled = True

    def look(self, after: float = LOOK_INTERVAL) -> bool:
        self.now += after
        return self.attention.is_due([NODE], self.now)

    def turns(self, seconds: float) -> int:
        count = 0
        for _ in range(round(seconds / LOOK_INTERVAL)):
            if self.look():
                count += 1
                self.attention.settled = True
        return count


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_reconcile_turns_once_a_second_while_nothing_changes(watched: Watched) -> None:
    assert watched.turns(HOUR) <= HOUR


def test_it_turns_at_every_look_until_all_is_settled(watched: Watched) -> None:
    watched.attention.settled = False
    assert watched.look()
    assert watched.look(), "the turn did not settle it"


def test_it_turns_at_the_next_look_after_a_change(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def wish() -> None:
        note_change(watched.folder.desired_changes)

    def start() -> None:
        monkeypatch.setattr(attention, "lock_holder", lambda path: 7)

    def die() -> None:
        monkeypatch.setattr(attention, "lock_holder", lambda path: None)

    def api_dies() -> None:
        watched.answers = False

    for change in (wish, start, die, api_dies):
        assert not watched.look(), change.__name__
        change()
        assert watched.look(), change.__name__
        watched.attention.settled = True


def test_a_node_that_falls_silent_is_noticed_at_the_next_look(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = SlotLock(watched.folder.node_lock(NODE))
    lock.show_life()
    assert watched.look()
    watched.attention.settled = True
    assert not watched.look()
    monkeypatch.setattr(attention, "SILENT_AFTER", 0.0)
    assert watched.look()
    lock.release()


def test_changes_are_looked_for_once_a_second_and_at_a_note(tmp_path: Path) -> None:
    told = DataFolder(tmp_path).desired_changes
    schedule = change_loop.Schedule(told, 0.0)
    turns = []
    for number in range(1, 101):
        now = number * change_loop.LOOK_INTERVAL
        if number == 50:
            note_change(told)
        if schedule.turn_is_due(now):
            turns.append(number)
            schedule.busy = number in (20, 21)  # a change was found, or the database failed
    assert turns[:3] == [1, 5, 9]
    assert [number for number in turns if 17 <= number <= 26] == [17, 21, 22, 26]
    assert 50 in turns
    assert len(turns) <= 100 * change_loop.LOOK_INTERVAL + 3


@pytest.fixture
def probes(tmp_path: Path) -> ApiProbes:
    """Those of a node whose API has answered at second 5."""
    made = ApiProbes(DataFolder(tmp_path))
    made.watch({NODE: "first run"})
    assert made.due(0.0) == [NODE]
    made._known[NODE].answers = True
    made._known[NODE].asked_at = 5.0
    return made


def test_an_api_that_answers_is_probed_every_three_seconds(probes: ApiProbes) -> None:
    probes.watch({NODE: "first run"})
    assert (probes.due(7.9), probes.due(8.0)) == ([], [NODE])
    assert probes.rest(5.5) == 2.5
    probes._known[NODE].answers = False
    assert probes.due(5.1) == [NODE]
    assert probes.rest(5.1) == LOOK_AGAIN


def test_a_node_that_starts_ends_the_rest_of_the_probes(probes: ApiProbes) -> None:
    probes._waking.clear()
    probes.watch({NODE: "first run"})
    assert not probes._waking.is_set()
    probes.watch({NODE: "second run"})
    assert probes._waking.is_set()


def test_an_api_that_answers_late_is_probed_at_the_next_look(probes: ApiProbes) -> None:
    probes._known[NODE].misses = 1
    assert probes.answers(NODE)
    assert probes.due(7.1) == [NODE]


def test_the_answers_of_a_process_say_nothing_about_the_next_one(probes: ApiProbes) -> None:
    probes.watch({NODE: "second run"})
    assert not probes.answers(NODE)
    assert probes.due(5.1) == [NODE]
