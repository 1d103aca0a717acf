"""Each step of a node that slept through epochs: what it asks, believes, and goes on in (R16, R23, R35).

Epochs 1, 2 and 3 begin behind sequences 2, 3 and 4, and only n0 is a member of all.
"""

from __future__ import annotations

import base64
from functools import partial

import msgspec
import pytest

from dtvn.gateway.epochs import Epochs
from dtvn.proof.epoch_chain import EpochChain
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason, StateRecord
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.epoch_change_proof import record_name
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.epochs.catch_up import ASK_EVERY, EpochCatchUp
from dtvn.protocol.epochs.proofs import EpochChangeProofs
from dtvn.protocol.wire import decode_envelope
from tests.gateway.test_epochs import Town

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
PATIENCE = 30 * SECOND


@pytest.fixture(scope="module")
def town() -> Town:
    return Town()


class Sleeper:
    """A node whose log ends in epoch `log`, that lives in epoch `present`, and whose ledger has the first
    `kept` ends of epochs. It executed sequence 1, unless a call says otherwise."""

    def __init__(self, town: Town, *, log: int = 0, present: int = 0, kept: int = 0, far: int = 3) -> None:
        world = town.world
        scheme = world.keyring.scheme
        self.ends = town.epoch_changes
        self.epochs = [
            Epochs(world.genesis, scheme, self.ends[:count]).present for count in range(len(self.ends) + 1)
        ]
        self.log = log
        self.catch_up = EpochCatchUp(
            self.epochs[present],
            partial(EpochChain, world.genesis, scheme=scheme),
            far=far,
            patience=PATIENCE,
        )
        known = EpochChangeProofs()
        known.note(StateRecord(record_name(epoch), self.ends[epoch]) for epoch in range(kept))
        self.catch_up.begin(self, known, NOW)  # type: ignore[arg-type]
        self.number = 0
        self.current = False
        """Whether members of its epoch just said that it has all of the log."""

    def epoch(self, number: int) -> Membership | None:
        """Of the application."""
        return self.epochs[number] if number <= self.log else None

    def ask(self, now: int, executed: int = 1) -> int | None:
        """The first epoch whose end it asks for; None: it asks nothing now."""
        for sending in self.catch_up.ask(executed, now, lambda: self.current):
            query = decode_envelope(sending.frame)[1]
            self.number = query.number
            return int(query.arguments[0])
        return None

    def hear(self, *ends: bytes, late: int = 0, code: str = "") -> Reason | None:
        """An answer to its newest question, or to the one `late` questions earlier."""
        page = msgspec.json.encode([base64.b64encode(each).decode() for each in ends]).decode()
        return self.catch_up.hear(m.Answer(self.number - late, code, "" if code else page))

    def arrived(self, now: int, executed: int = 1, *, receiving: bool = False) -> int | None:
        """The epoch in which it goes on."""
        found = self.catch_up.arrived(executed, now, receiving=receiving)
        return None if found is None else found[0].epoch

    def moved(self, at: int, executed: int = 1) -> bool:
        """Whether its patience began at that time; a lag that is not far."""
        due = at + PATIENCE
        early, *late = (self.arrived(now, executed) is not None for now in (due - 1, due, due + 1))
        return not early and all(late)


def woken(town: Town, **options: object) -> Sleeper:
    """One that asked and was shown all epochs."""
    sleeper = Sleeper(town, **options)  # type: ignore[arg-type]
    first = sleeper.ask(NOW)
    assert first is not None
    assert sleeper.hear(*sleeper.ends[first:]) is None
    return sleeper


# --- what it asks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "present", "kept", "first"),
    [
        (0, 0, 0, 0),
        (3, 1, 0, 1),  # the log ends this epoch already: that belongs to the next core
        (0, 2, 2, 2),  # it crossed
        (0, 0, 3, 3),  # it crossed, and went back
    ],
)
def test_r35_a_sleeper_asks_for_the_end_of_its_newest_known_epoch(
    town: Town, log: int, present: int, kept: int, first: int
) -> None:
    assert Sleeper(town, log=log, present=present, kept=kept).ask(NOW) == first


def test_r35_a_start_needs_the_proof_of_its_present_epoch(town: Town) -> None:
    with pytest.raises(ValueError, match="epoch change proof"):
        Sleeper(town, present=2, kept=1)


def test_who_has_all_of_the_log_asks_for_no_later_epoch_until_members_fall_silent(town: Town) -> None:
    sleeper = Sleeper(town)
    sleeper.current = True
    assert [sleeper.ask(NOW), sleeper.ask(NOW + ASK_EVERY)] == [None, None]
    sleeper.current = False
    assert sleeper.ask(NOW + 2 * ASK_EVERY) == 0


def test_a_sleeper_asks_at_once_and_then_at_its_deadline(town: Town) -> None:
    sleeper = Sleeper(town)
    assert sleeper.catch_up.deadline() == NOW
    assert [sleeper.ask(NOW), sleeper.ask(NOW), sleeper.ask(NOW + ASK_EVERY - 1)] == [0, None, None]
    assert sleeper.catch_up.deadline() == NOW + ASK_EVERY
    assert sleeper.ask(NOW + ASK_EVERY) == 0


# --- what it believes -------------------------------------------------------------------------------


def test_r16_a_sleeper_follows_proved_ends_repeated_by_other_peers(town: Town) -> None:
    sleeper = Sleeper(town, far=2)
    sleeper.ask(NOW)
    assert [sleeper.hear(*sleeper.ends[:2]), sleeper.hear(*sleeper.ends)] == [None, None]
    found = sleeper.catch_up.arrived(1, NOW, receiving=False)
    assert found is not None
    assert found[0] == town.world.now
    names = [record.name for record in found[1] if isinstance(record, StateRecord)]
    assert names == [record_name(0), record_name(1), record_name(2), EPOCH]
    assert found[1][-1] == StateRecord(EPOCH, canonical.encode_trimmed(town.world.now))
    assert sleeper.ask(NOW + ASK_EVERY) == 3


def test_r16_an_unasked_failed_or_unproved_answer_moves_the_node_nowhere(town: Town) -> None:
    sleeper = Sleeper(town, far=0)
    sleeper.ask(NOW)
    for late in (1, -1):
        assert sleeper.hear(*sleeper.ends, late=late) is Reason.NOT_ASKED
    assert sleeper.hear(code="bad_arguments") is None
    assert sleeper.hear(*sleeper.ends[1:]) is Reason.BAD_PROOF
    assert sleeper.arrived(NOW + 9 * PATIENCE) is None
    assert sleeper.ask(NOW + ASK_EVERY) == 0


# --- how long it is patient -------------------------------------------------------------------------


def test_r31_the_wait_begins_when_a_node_learns_that_it_slept(town: Town) -> None:
    sleeper = Sleeper(town)
    for number, end in enumerate(sleeper.ends):
        assert sleeper.ask(NOW + number * ASK_EVERY) == number
        assert sleeper.hear(end) is None
    assert sleeper.moved(NOW + ASK_EVERY)


def test_r31_an_execution_restarts_the_wait_but_a_question_does_not(town: Town) -> None:
    sleeper = woken(town)
    for number in range(1, 4):
        sleeper.ask(NOW + number * ASK_EVERY)
    assert sleeper.moved(NOW + ASK_EVERY)
    sleeper.ask(NOW + 4 * ASK_EVERY, executed=2)
    assert sleeper.moved(NOW + 4 * ASK_EVERY, executed=2)


def test_r23_the_wait_restarts_with_each_part_of_a_state(town: Town) -> None:
    sleeper = woken(town)
    assert sleeper.arrived(NOW + PATIENCE, receiving=True) is None
    assert sleeper.moved(NOW + PATIENCE)


@pytest.mark.parametrize(("late", "begins_anew"), [(0, False), (1, True)])
def test_r31_the_wait_restarts_after_a_pause(town: Town, late: int, begins_anew: bool) -> None:
    sleeper = woken(town)
    woke = NOW + 3 * ASK_EVERY + late
    sleeper.ask(woke)
    assert sleeper.moved(woke if begins_anew else NOW + ASK_EVERY)


# --- where it goes on -------------------------------------------------------------------------------


@pytest.mark.parametrize(("far", "epoch"), [(3, None), (2, 3)])
def test_r23_a_state_is_preferred_to_a_log_that_is_far_behind(
    town: Town, far: int, epoch: int | None
) -> None:
    for late in (0, 1):
        assert woken(town, far=far).arrived(NOW + late) == epoch


@pytest.mark.parametrize("executed", [4, 5])
def test_r23_a_node_that_executed_all_earlier_epochs_crosses_nothing(town: Town, executed: int) -> None:
    assert woken(town, far=0).arrived(NOW + 2 * PATIENCE, executed) is None


def test_r11_a_node_cannot_go_back_from_the_first_epoch(town: Town) -> None:
    """It begins behind another cluster's log."""
    assert Sleeper(town, log=1, present=1).arrived(NOW + 2 * PATIENCE) is None


def test_r35_a_crossed_node_without_a_state_returns_to_its_log(town: Town) -> None:
    sleeper = Sleeper(town, present=3, kept=3, far=0)
    assert [sleeper.arrived(NOW + PATIENCE - 1), sleeper.arrived(NOW + PATIENCE)] == [None, 0]


def test_r35_a_returned_node_reads_its_log_for_a_while_at_any_lag(town: Town) -> None:
    sleeper = Sleeper(town, kept=3, far=1)
    sleeper.ask(NOW + PATIENCE - 1, executed=2)
    assert sleeper.arrived(NOW + PATIENCE - 1, executed=2) is None
    assert sleeper.arrived(NOW + PATIENCE, executed=2) == 3


@pytest.mark.parametrize(("present", "executed", "epoch"), [(2, 1, 3), (2, 3, 3), (1, 3, 3), (3, 4, None)])
def test_r45_a_follower_goes_on_in_the_newest_epoch_and_takes_a_state_there(
    town: Town, present: int, executed: int, epoch: int | None
) -> None:
    """Whether it is a member of that epoch does not matter: peers give their state to followers, too."""
    assert woken(town, present=present, kept=present, far=0).arrived(NOW, executed) == epoch
