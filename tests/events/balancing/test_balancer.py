"""Load balancer: acceptance cases A62 to A71 of the contract."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from dtvn.events.balancing import BreakerState, HashRing, LoadBalancer, Placement, TooManyStreams
from dtvn.events.balancing import balancer as balancer_module
from dtvn.events.balancing import placement as placement_module
from dtvn.events.config import Balancing, LoadBalancerConfig

ABC = ["a", "b", "c"]
NODES = [f"node-{number}" for number in range(1, 6)]


def balancer(algorithm: str, nodes: list[str] = ABC, **settings: Any) -> LoadBalancer:
    made = LoadBalancer(LoadBalancerConfig(algorithm=Balancing(algorithm), **settings), Random(1))
    for node in nodes:
        made.register_node(node, 0.0)
    return made


def test_round_robin_takes_turns_a62() -> None:
    found = balancer("round_robin")
    assert [found.select_nodes(["c", "a", "b"], 1, 0.0) for _ in range(4)] == [["a"], ["b"], ["c"], ["a"]]
    found = balancer("round_robin")
    assert [found.select_nodes(ABC, 2, 0.0) for _ in range(2)] == [["a", "b"], ["c", "a"]]


def test_least_connections_takes_the_fewest_a63() -> None:
    found = balancer("least_connections")
    for node in ("a", "a", "b", "c"):
        found.begin_request(node)
    assert found.select_nodes(ABC, 3, 0.0) == ["b", "c", "a"]
    found.end_request("a")
    found.end_request("a")
    assert found.select_nodes(ABC, 1, 0.0) == ["a"]
    assert found.select_nodes([*ABC, "unknown"], 2, 0.0) == ["a", "unknown"]


def test_weights_are_shares_a64() -> None:
    found = balancer("weighted_round_robin", ["a", "b", "c"])
    for node, weight in (("a", 3), ("b", 1), ("c", 0)):
        found.set_weight(node, weight)
    picked = Counter(found.select_nodes(ABC, 1, 0.0)[0] for _ in range(400))
    assert picked == {"a": 300, "b": 100}
    assert sorted(found.select_nodes(ABC, 3, 0.0)) == ["a", "b"]
    found.set_weight("a", 0)
    found.set_weight("b", 0)
    assert found.select_nodes(ABC, 2, 0.0) == []
    with pytest.raises(ValueError, match="weight: -1"):
        found.set_weight("a", -1)


def owners(nodes: list[str], keys: int = 10_000) -> dict[str, str]:
    ring = HashRing()
    for node in nodes:
        ring.add(node)
    return {f"thread-{number}": next(ring.nodes_for(f"thread-{number}")) for number in range(keys)}


def test_consistent_hash_keeps_keys_with_their_nodes_a65() -> None:
    found = balancer("consistent_hash", NODES)
    assert len({found.select_nodes(NODES, 1, 0.0, "thread-7")[0] for _ in range(1000)}) == 1
    before = owners(NODES)
    spread = Counter(before.values())
    assert all(0.75 <= spread[node] / 2000 <= 1.30 for node in NODES)
    without = owners(NODES[:-1])
    assert {key for key in before if before[key] != without[key]} == {
        key for key in before if before[key] == NODES[-1]
    }
    more = owners([*NODES, "node-6"])
    moved = [key for key in before if before[key] != more[key]]
    assert len(moved) <= 2500
    assert {more[key] for key in moved} == {"node-6"}


def test_consistent_hash_follows_registration_and_needs_a_key() -> None:
    found = balancer("consistent_hash", NODES)
    first = found.select_nodes(NODES, 2, 0.0, "t")
    found.remove_node(first[0])
    found.remove_node("never seen")
    rest = [node for node in NODES if node != first[0]]
    assert found.select_nodes(rest, 1, 0.0, "t") == [first[1]]
    assert len(set(found.select_nodes(NODES, 9, 0.0, "t"))) == 5
    with pytest.raises(ValueError, match="key: "):
        found.select_nodes(NODES, 1, 0.0)


def scored() -> LoadBalancer:
    """Nodes 1, 2, 3 with scores 10 * 1.0, 20 * 1.1 and 30 * 1.2."""
    found = balancer("least_response_time", ["1", "2", "3"])
    for node, load in (("1", 0.0), ("2", 0.1), ("3", 0.2)):
        found.record_request(node, success=True, response_time=0.001, now=0.0)
        found.update_node_metrics(node, load, int(node) * 10, 0.0)
    return found


def test_least_response_time_orders_by_score_a66() -> None:
    found = scored()
    assert found.select_nodes(["3", "2", "1"], 3, 0.0) == ["1", "2", "3"]
    for _ in range(3):
        found.record_request("1", success=False, response_time=0.019, now=0.0)
        found.record_probe("1", success=True, now=0.0)
    # 19 * (1 + 3/4) is between the others' 22 and 36.
    assert found.select_nodes(["1", "2", "3"], 3, 0.0) == ["2", "1", "3"]


def test_a_half_open_breaker_doubles_the_score_a66() -> None:
    found = balancer("least_response_time", ["1", "2"])
    found.record_request("2", success=True, response_time=0.030, now=0.0)
    for number in range(5):
        found.record_request("1", success=number < 2, response_time=0.010, now=0.0)
        found.record_probe("1", success=True, now=0.0)
    # 10 * (1 + 3/5) = 16, doubled 32, is more than 30.
    assert found.select_nodes(["1", "2"], 2, 31.0) == ["2", "1"]
    info = found.get_node_info("1")
    assert info is not None
    assert info.circuit_state is BreakerState.HALF_OPEN


def test_least_response_time_tries_the_unknown_once_and_has_two_choices() -> None:
    found = scored()
    found.register_node("4", 0.0)
    assert found.select_nodes(["1", "2", "3", "4"], 1, 0.0) == ["4"]
    found.begin_request("4")
    picked = Counter(found.select_nodes(["1", "2", "3", "4"], 1, 0.0)[0] for _ in range(600))
    # Of two drawn the better: 1 with 3 of 6 pairs, 2 with 2, 3 with 1, the one without an answer never.
    assert set(picked) == {"1", "2", "3"}
    assert picked["1"] > picked["2"] > picked["3"]


def test_a_count_is_cut_to_the_number_of_nodes_and_0_selects_none_a67() -> None:
    for algorithm in Balancing:
        found = balancer(algorithm)
        assert sorted(found.select_nodes(ABC, 9, 0.0, "t")) == ABC
        assert found.select_nodes(ABC, 0, 0.0, "t") == found.select_nodes([], 2, 0.0, "t") == []


def test_random_draws_different_nodes() -> None:
    found = balancer("random")
    drawn = [tuple(found.select_nodes(ABC, 2, 0.0)) for _ in range(50)]
    assert all(len(set(pair)) == 2 for pair in drawn)
    assert len(set(drawn)) == 6


def fail(found: LoadBalancer, node: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        found.record_request(node, success=False, response_time=0.01, now=now)


def test_health_marks_follow_thresholds_and_probes_a68_a69() -> None:
    found = balancer("round_robin", enable_circuit_breaker=False)
    fail(found, "a", 2)
    assert found.select_nodes(ABC, 3, 0.0) == ["a", "b", "c"]
    fail(found, "a", 1)
    assert sorted(found.select_nodes(ABC, 3, 0.0)) == ["b", "c"]
    found.record_probe("a", success=True, now=1.0)
    assert sorted(found.select_nodes(ABC, 3, 1.0)) == ["b", "c"]
    found.record_probe("a", success=True, now=2.0)
    assert sorted(found.select_nodes(ABC, 3, 2.0)) == ABC
    info = found.get_node_info("a")
    assert info is not None
    assert (info.error_rate, info.processed_requests) == (1.0, 3)
    for node in ABC:
        fail(found, node, 3)
    assert sorted(found.select_nodes(ABC, 3, 0.0)) == ABC


def test_unhealthy_nodes_are_probed_too_a69() -> None:
    found = balancer("round_robin")
    fail(found, "a", 3)
    assert found.due_probes(9.9) == []
    assert found.due_probes(10.0) == ABC
    found.record_probe("a", success=False, now=10.0)
    assert found.due_probes(10.0) == ["b", "c"]


def test_overloaded_nodes_are_left_out_where_others_are_a70() -> None:
    found = balancer("round_robin")
    found.update_node_metrics("a", 0.8, 5, 0.0)
    assert sorted(found.select_nodes(ABC, 2, 0.0)) == ["b", "c"]
    assert sorted(found.select_nodes(ABC, 3, 0.0)) == ABC
    found.update_node_metrics("b", 0.9, 5, 0.0)
    found.update_node_metrics("c", 0.9, 5, 0.0)
    assert len(found.select_nodes(ABC, 1, 0.0)) == 1


def state(found: LoadBalancer, node: str = "a") -> BreakerState:
    info = found.get_node_info(node)
    assert info is not None
    return info.circuit_state


def opened() -> LoadBalancer:
    found = balancer("round_robin", unhealthy_threshold=100)
    for _ in range(10):
        found.record_request("a", success=True, response_time=0.01, now=0.0)
    fail(found, "a", 10)
    assert state(found) is BreakerState.CLOSED
    fail(found, "a", 1)
    assert state(found) is BreakerState.OPEN
    return found


def test_a_node_breaker_opens_trials_and_closes_a71() -> None:
    found = opened()
    assert sorted(found.select_nodes(ABC, 3, 30.0)) == ["b", "c"]
    assert sorted(found.select_nodes(ABC, 3, 30.1)) == ABC
    found.begin_request("a")
    assert sorted(found.select_nodes(ABC, 3, 30.2)) == ["b", "c"]
    found.end_request("a")
    for number in range(20):
        found.record_request("a", success=True, response_time=0.01, now=31.0)
        assert state(found) is (BreakerState.CLOSED if number else BreakerState.HALF_OPEN)


def test_a_trial_that_was_given_up_makes_room_for_another() -> None:
    found = opened()
    found.select_nodes(ABC, 3, 31.0)
    found.begin_request("a")
    assert sorted(found.select_nodes(ABC, 3, 31.1)) == ["b", "c"]
    found.end_request("a")
    assert sorted(found.select_nodes(ABC, 3, 31.2)) == ABC


def test_a_failed_trial_opens_the_node_breaker_again_a71() -> None:
    found = opened()
    found.select_nodes(ABC, 3, 31.0)
    fail(found, "a", 1, now=31.0)
    assert state(found) is BreakerState.OPEN
    assert sorted(found.select_nodes(ABC, 3, 60.9)) == ["b", "c"]
    assert sorted(found.select_nodes(ABC, 3, 61.1)) == ABC


def test_few_failures_do_not_open_the_node_breaker() -> None:
    found = balancer("round_robin", unhealthy_threshold=100)
    fail(found, "a", 4)
    assert state(found) is BreakerState.CLOSED
    fail(found, "a", 1)
    assert state(found) is BreakerState.OPEN


def test_metrics_count_requests_by_node() -> None:
    found = balancer("round_robin")
    found.record_request("a", success=True, response_time=0.01, now=0.0)
    fail(found, "b", 1)
    told = found.get_metrics()
    assert (told.algorithm, told.total_requests, told.total_errors, told.error_rate) == (
        "round_robin",
        2,
        1,
        0.5,
    )
    assert told.requests_per_node == {"a": 1, "b": 1, "c": 0}
    assert told.errors_per_node == {"a": 0, "b": 1, "c": 0}


def test_what_is_recorded_of_unknown_nodes_is_ignored() -> None:
    found = balancer("round_robin")
    fail(found, "z", 1)
    found.record_probe("z", success=True, now=0.0)
    found.update_node_metrics("z", 0.5, 1, 0.0)
    found.end_request("z")
    assert found.get_node_info("z") is None


def test_the_number_of_nodes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer_module, "NODES_MAX", 3)
    found = balancer("round_robin")
    found.register_node("a", 0.0)
    with pytest.raises(ValueError, match="nodes: there are 3"):
        found.register_node("d", 0.0)


# --- placement of streams --------------------------------------------------------------------------


def test_a_stream_stays_with_its_validators_while_it_lives() -> None:
    placed = Placement(NODES, 3)
    first = placed.place("thread-1")
    assert len(set(first)) == 3
    for number in range(2, 500):
        placed.place(f"thread-{number}")
    assert placed.place("thread-1") == first


@pytest.mark.parametrize("width", [1, 3])
def test_no_validator_has_more_than_its_share_and_a_quarter(width: int) -> None:
    placed = Placement(NODES, width)
    for number in range(1000):
        placed.place(f"thread-{number}")
        share = (number + 1) * width / len(NODES)
        assert max(placed.loads().values()) <= -(-share * 1.25 // 1)
    for number in range(1000):
        placed.release(f"thread-{number}")
        placed.release("never placed")
    assert set(placed.loads().values()) == {0}


def test_placement_is_bounded_and_needs_enough_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_module, "STREAMS_MAX", 2)
    placed = Placement(ABC, 1)
    placed.place("t1")
    placed.place("t2")
    with pytest.raises(TooManyStreams):
        placed.place("t3")
    placed.release("t1")
    placed.place("t3")
    with pytest.raises(ValueError, match="width: 4, not 1 to 3"):
        Placement(ABC, 4)
