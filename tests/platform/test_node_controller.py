"""Decisions of reconcile about a node, from facts and time alone."""

from __future__ import annotations

import msgspec
import pytest

from tests.platform.observed import never_started
from validators.models import DesiredState, NodeStatus
from validators.processes import node_controller as watch
from validators.processes.node_controller import Action, Decision, NodeController

PID = 4242


class World:
    """A node's facts and a clock, and the watch that looks at them every half second."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.facts = never_started()
        self.watch = NodeController(1)
        self.starts = self.restarts = self.kills = 0
        self.beating = False

    def change(self, **facts: object) -> None:
        self.facts = msgspec.structs.replace(self.facts, **facts)

    def look(self) -> Decision:
        if self.beating:
            self.change(heartbeat=self.now)
        decision = self.watch.step(self.facts, self.now)
        if decision.action is Action.START:
            self.starts += 1
            self.restarts += decision.counts_as_restart
            self.change(claimed=False, turning=False, heartbeat=None, exit_reason="", blocked=False)
        if decision.action is Action.KILL:
            self.kills += 1
            self.end()
        return decision

    def run_for(self, seconds: float) -> Decision:
        end = self.now + seconds
        decision = self.look()
        while self.now < end:
            self.now += 0.5
            decision = self.look()
        return decision

    def claim(self) -> None:
        """A worker slot takes up the start request, and the node's loop turns."""
        self.change(claimed=True, holder=PID, running_generation=self.facts.generation, turning=True)
        self.beating = True

    def end(self, reason: str = "") -> None:
        self.change(holder=None, exit_reason=reason)
        self.beating = False


def wish(world: World, desired: DesiredState) -> None:
    world.change(desired=desired, generation=world.facts.generation + 1)


def fresh() -> World:
    """A node whose start request is on its way."""
    world = World()
    world.look()
    assert world.starts == 1
    return world


def test_a_request_dropped_between_two_orders_is_sent_again_at_once() -> None:
    world = fresh()
    wish(world, DesiredState.STOPPED)  # a slot takes the request up now, and drops it
    wish(world, DesiredState.RUNNING)
    assert world.run_for(0.5).status == NodeStatus.STARTING
    assert world.starts == 2
    world.run_for(watch.CLAIM_PATIENCE)
    assert world.starts == 2, "once for each wish"


def test_a_request_refused_by_an_older_process_is_sent_again_once() -> None:
    world = fresh()
    wish(world, DesiredState.STOPPED)
    wish(world, DesiredState.RUNNING)
    world.look()
    world.change(holder=PID)  # for the first request, whose token is void: it ends as soon as it reads that
    world.look()
    world.end()
    world.run_for(0.5)
    assert world.starts == 3
    world.change(holder=PID)
    world.look()
    world.end()
    world.run_for(watch.CLAIM_PATIENCE + 1)
    assert world.starts == 3, "one that ends before it claims is not asked for at each look"
    world.run_for(watch.RESEND_AFTER)
    assert world.starts == 4


def test_no_request_is_sent_while_a_process_holds_the_slot() -> None:
    world = fresh()
    world.change(holder=PID)
    for desired in (DesiredState.STOPPED, DesiredState.RUNNING) * 3:
        wish(world, desired)
        world.look()
    assert world.starts == 1


@pytest.fixture
def world() -> World:
    """A node that has run steadily for a minute."""
    world = World()
    world.look()
    world.claim()
    assert world.run_for(60).status == NodeStatus.RUNNING
    assert (world.starts, world.restarts, world.kills) == (1, 0, 0)
    return world


def test_a_wanted_node_is_started_once_and_waited_for() -> None:
    world = World()
    assert world.run_for(watch.CLAIM_PATIENCE - 1).status == NodeStatus.STARTING
    assert world.starts == 1


def test_a_node_is_starting_until_its_loop_has_turned() -> None:
    world = World()
    world.look()
    world.claim()
    world.change(turning=False)
    assert world.look().status == NodeStatus.STARTING


def test_a_start_that_waits_for_a_free_slot_is_reported() -> None:
    world = World()
    decision = world.run_for(watch.CLAIM_PATIENCE + 1)
    assert decision.status == NodeStatus.STARTING
    assert "no free worker slot" in decision.error


def test_a_start_request_without_a_response_is_sent_again() -> None:
    world = World()
    world.run_for(watch.RESEND_AFTER + 1)
    assert world.starts == 2
    assert world.restarts == 0


def test_a_killed_node_is_started_at_the_next_look(world: World) -> None:
    world.end()
    world.look()
    assert (world.starts, world.restarts) == (2, 1)


def test_a_free_lock_means_a_dead_process_despite_its_heartbeat(world: World) -> None:
    """R10, the other way round: held means alive, free means dead."""
    world.change(holder=None)
    world.look()
    assert world.starts == 2


def test_the_reason_a_node_gave_is_shown(world: World) -> None:
    world.end("LedgerDamaged: entry 7")
    assert "entry 7" in world.look().error


def test_repeated_crashes_are_followed_by_growing_pauses(world: World) -> None:
    pauses = []
    for _ in range(6):
        world.end()
        started = world.starts
        ended = world.now
        while world.starts == started:
            world.now += 0.5
            world.look()
        pauses.append(world.now - ended)
        world.claim()
        world.look()
    assert pauses[:2] == [0.5, 0.5]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4


def crash_until_failed(world: World) -> None:
    for _ in range(watch.RESTARTS.max_restarts + 1):
        world.claim()
        world.look()
        world.end("boom")
        world.run_for(watch.RESTARTS.max_backoff)


def test_a_node_fails_after_ten_restarts_in_five_minutes() -> None:
    world = World()
    world.look()
    crash_until_failed(world)
    decision = world.look()
    assert decision.status == NodeStatus.ERROR
    assert "failed" in decision.error
    assert "boom" in decision.error
    assert world.restarts == watch.RESTARTS.max_restarts


def test_a_failed_node_stays_failed_until_a_person_starts_it() -> None:
    world = World()
    world.look()
    crash_until_failed(world)
    starts = world.starts
    world.run_for(2 * watch.RESTARTS.restart_window)
    assert world.starts == starts
    world.change(generation=2)
    assert world.look().action is Action.START


def test_a_person_who_starts_a_failed_node_clears_its_crashes() -> None:
    world = World()
    world.look()
    for times in (1, 2):
        crash_until_failed(world)
        assert world.look().error.startswith("failed: ended ")
        assert world.restarts == times * watch.RESTARTS.max_restarts
        wish(world, DesiredState.RUNNING)
        assert world.look().action is Action.START


def test_rare_crashes_never_exhaust_the_restart_budget(world: World) -> None:
    for _ in range(30):
        world.end()
        world.run_for(1)
        world.claim()
        assert world.run_for(60).status == NodeStatus.RUNNING


def test_a_node_that_crashes_twice_a_minute_is_restarted_for_days(world: World) -> None:
    for restarts in range(1, 1_100):
        world.end()
        world.look()
        world.now += 31
        assert world.look().status == NodeStatus.STARTING
        assert world.restarts == restarts
        world.claim()


def test_a_silent_process_is_unresponsive_and_no_second_is_started(world: World) -> None:
    world.beating = False
    decision = world.run_for(watch.SILENT_AFTER + 1)
    assert decision.status == NodeStatus.UNRESPONSIVE
    assert (world.starts, world.kills) == (1, 0)


def test_a_process_that_wakes_up_is_running_again(world: World) -> None:
    world.beating = False
    world.run_for(watch.KILL_SILENT_AFTER - 5)
    world.beating = True
    assert world.run_for(1).status == NodeStatus.RUNNING
    assert world.kills == 0


def test_a_node_silent_for_30_seconds_is_restarted_outside_the_budget(
    world: World,
) -> None:
    world.beating = False
    world.run_for(watch.KILL_SILENT_AFTER + 2)
    assert (world.kills, world.starts, world.restarts) == (1, 2, 0)


def test_a_pause_of_the_controller_is_not_a_silent_node(world: World) -> None:
    """A machine that slept wakes up before its nodes have beaten again."""
    world.beating = False
    world.now += 3_600
    assert world.look().status == NodeStatus.RUNNING
    assert world.kills == 0


def test_a_node_that_is_to_stop_is_given_time_then_killed(world: World) -> None:
    world.change(desired=DesiredState.STOPPED, generation=2)
    assert world.run_for(watch.STOP_PATIENCE - 1).status == NodeStatus.STOPPING
    assert world.kills == 0
    assert world.run_for(3).status == NodeStatus.STOPPED
    assert world.kills == 1


def test_a_pause_of_the_controller_is_no_part_of_the_time_to_stop(world: World) -> None:
    wish(world, DesiredState.STOPPED)
    world.look()
    world.now += 3_600
    assert world.look().status == NodeStatus.STOPPING
    assert world.kills == 0
    assert world.run_for(watch.STOP_PATIENCE + 1).status == NodeStatus.STOPPED
    assert world.kills == 1


def test_a_stopped_node_stays_stopped(world: World) -> None:
    world.change(desired=DesiredState.STOPPED, generation=2)
    world.end()
    assert world.run_for(60).status == NodeStatus.STOPPED
    assert world.starts == 1


def test_a_requested_restart_is_not_counted_as_a_crash(world: World) -> None:
    world.change(generation=2)
    assert world.look().status == NodeStatus.STOPPING
    world.end()
    world.look()
    assert (world.starts, world.restarts) == (2, 0)


def test_the_end_of_a_worker_is_not_counted_as_a_crash_of_its_node(world: World) -> None:
    world.watch.worker_lost()
    world.look()
    world.end()
    world.look()
    assert (world.starts, world.restarts) == (2, 0)


def test_a_crash_after_the_end_of_a_worker_is_counted_as_ever(world: World) -> None:
    world.watch.worker_lost()
    world.end()
    world.look()
    world.claim()
    world.run_for(60)
    world.end()
    world.look()
    assert (world.starts, world.restarts) == (3, 1)


def test_a_request_the_lost_worker_had_is_sent_again_at_once() -> None:
    world = World()
    world.look()
    world.watch.worker_lost()
    world.look()
    assert world.starts == 2


def test_r10_a_ledger_held_elsewhere_is_not_counted_as_a_crash() -> None:
    """A `manage.py validator` run by hand holds it: reported, retried later, never counted."""
    world = World()
    world.look()
    for _ in range(3 * watch.RESTARTS.max_restarts):
        world.claim()
        world.look()
        world.change(blocked=True)
        world.end("ended with code 3: the ledger is in use by another process")
        decision = world.look()
        assert decision.status == NodeStatus.ERROR
        assert "another process" in decision.error
        world.run_for(watch.BLOCKED_PAUSE + 1)
    assert world.restarts == 0
    assert world.starts == 3 * watch.RESTARTS.max_restarts + 1
