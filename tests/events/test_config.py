"""Configuration objects: defaults (A85), profiles (A84), what is refused (A86)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.events import checked
from dtvn.events import config as c
from tests.support.table import table

DEFAULTS: dict[str, dict[str, Any]] = {
    "ConsensusConfig": {
        "algorithm": "majority",
        "min_nodes": 1,
        "quorum_size": 1,
        "require_unanimous": False,
        "election_timeout": 5.0,
        "heartbeat_interval": 1.0,
        "max_log_entries": 10000,
        "byzantine_fault_tolerance": 1,
        "timeout": None,
    },
    "StateSyncConfig": {
        "protocol": "gossip",
        "sync_interval": 5.0,
        "batch_size": 100,
        "max_retries": 3,
        "conflict_resolution": "last_write",
        "enable_compression": True,
        "gossip_fanout": 3,
        "snapshot_threshold": 1000,
    },
    "PartitionHandlerConfig": {
        "detection_method": "hybrid",
        "recovery_strategy": "merge",
        "heartbeat_timeout": 10.0,
        "quorum_size": 2,
        "max_partition_duration": 300.0,
        "allow_local_validation": True,
        "auto_recovery": True,
        "recovery_timeout": 30.0,
        "min_nodes_for_operation": 1,
    },
    "LoadBalancerConfig": {
        "algorithm": "least_response_time",
        "health_check_interval": 10.0,
        "unhealthy_threshold": 3,
        "healthy_threshold": 2,
        "load_update_interval": 5.0,
        "max_load_per_node": 0.8,
        "enable_circuit_breaker": True,
        "circuit_breaker_threshold": 0.5,
        "circuit_breaker_timeout": 30.0,
    },
    "RestartPolicy": {
        "max_restarts": 10,
        "restart_window": 300.0,
        "base_backoff": 0.1,
        "max_backoff": 30.0,
        "backoff_multiplier": 2.0,
    },
    "MonitoringConfig": {
        "enabled": False,
        "metrics_interval": 30.0,
        "health_check_url": "/health",
        "prometheus_enabled": False,
    },
    "SecurityConfig": {
        "enable_encryption": False,
        "enable_authentication": False,
        "sign_messages": False,
    },
}
BREAKER = {
    "max_failures": 5,
    "reset_timeout": 60.0,
    "half_open_max_calls": 3,
    "success_threshold": 2,
    "timeout": 10.0,
    "should_trip": None,
}


@table("name", DEFAULTS, count=7)
def test_defaults_are_those_of_the_contract_a85(name: str) -> None:
    assert msgspec.to_builtins(getattr(c, name)()) == DEFAULTS[name]


def test_defaults_of_the_validator_are_those_of_the_contract_a85() -> None:
    found = msgspec.to_builtins(c.DistributedValidatorConfig(node_id="n0"))
    assert found == {
        "node_id": "n0",
        "consensus_config": DEFAULTS["ConsensusConfig"],
        "state_sync": DEFAULTS["StateSyncConfig"],
        "load_balancer": DEFAULTS["LoadBalancerConfig"],
        "partition_handler": DEFAULTS["PartitionHandlerConfig"],
        "max_node_failures": 2,
        "validation_timeout": 5.0,
        "heartbeat_interval": 1.0,
        "node_cleanup_interval": 300.0,
        "consensus_timeout": None,
        "sync_interval": None,
        "enable_metrics": True,
        "consensus_circuit_breaker_config": {"name": "consensus", **BREAKER},
        "state_sync_circuit_breaker_config": {"name": "state-sync", **BREAKER},
        "heartbeat_circuit_breaker_config": {"name": "heartbeat", **BREAKER},
        "restart_policy": DEFAULTS["RestartPolicy"],
        "bind_address": "",
        "discovery_method": "",
        "debug_mode": False,
        "log_level": "INFO",
        "monitoring": DEFAULTS["MonitoringConfig"],
        "security": DEFAULTS["SecurityConfig"],
    }


def test_the_testing_preset_is_that_of_the_contract() -> None:
    found = c.testing_config("n0")
    assert (found.state_sync.sync_interval, found.partition_handler.heartbeat_timeout) == (0.05, 0.1)
    times = (found.validation_timeout, found.heartbeat_interval, found.node_cleanup_interval)
    assert times == (2.0, 0.1, 1.0)
    policy = found.restart_policy
    assert (policy.max_restarts, policy.restart_window, policy.base_backoff) == (0, 1.0, 0.01)
    assert (policy.max_backoff, policy.backoff_multiplier) == (0.1, 1.0)


def test_the_testing_preset_of_synchronisation_is_that_of_the_contract() -> None:
    assert msgspec.to_builtins(c.TESTING_STATE_SYNC) == {
        "protocol": "snapshot",
        "sync_interval": 0.01,
        "batch_size": 5,
        "max_retries": 1,
        "conflict_resolution": "last_write",
        "enable_compression": False,
        "gossip_fanout": 1,
        "snapshot_threshold": 10,
    }


def test_a_shortcut_sets_the_field_that_it_stands_for() -> None:
    found = c.read_config({"node_id": "n0", "consensus_timeout": 10, "sync_interval": 30})
    assert (found.decision_timeout, found.consensus_config.timeout) == (10, 10)
    assert found.state_sync.sync_interval == 30
    assert c.read_config(msgspec.to_builtins(found)) == found
    for part, said in (
        (
            {"consensus_config": {"timeout": 5.0}},
            "consensus_timeout: 10.0 is not consensus_config.timeout 5.0",
        ),
        ({"state_sync": {"sync_interval": 4.0}}, "sync_interval: 30.0 is not state_sync.sync_interval 4.0"),
    ):
        with pytest.raises(c.ConfigError, match=said):
            c.read_config({"node_id": "n0", "consensus_timeout": 10.0, "sync_interval": 30.0} | part)


def test_restarts_are_delayed_twice_as_long_each_up_to_30_seconds_a40() -> None:
    policy = c.RestartPolicy()
    delays = [policy.delay(count) for count in range(1, policy.max_restarts + 1)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0])
    assert policy.delay(10_000) == 30.0
    assert c.testing_config("n0").restart_policy.max_restarts == 0


PROFILE_VALUES: dict[str, dict[str, Any]] = {
    "small": {
        "consensus_config.algorithm": "majority",
        "consensus_config.min_nodes": 3,
        "consensus_config.quorum_size": 2,
        "consensus_config.timeout": 5,
        "load_balancer.algorithm": "round_robin",
        "load_balancer.enable_circuit_breaker": True,
        "load_balancer.circuit_breaker_threshold": 0.5,
        "partition_handler.allow_local_validation": True,
        "partition_handler.recovery_strategy": "merge",
    },
    "large": {
        "consensus_config.algorithm": "raft",
        "consensus_config.min_nodes": 5,
        "consensus_config.quorum_size": 3,
        "consensus_config.timeout": 10,
        "consensus_config.heartbeat_interval": 1,
        "load_balancer.algorithm": "least_response_time",
        "load_balancer.enable_circuit_breaker": True,
        "load_balancer.circuit_breaker_threshold": 0.3,
        "state_sync.protocol": "gossip",
        "state_sync.sync_interval": 30,
    },
    "high_security": {
        "consensus_config.algorithm": "pbft",
        "consensus_config.min_nodes": 4,
        "consensus_config.quorum_size": 3,
        "consensus_config.timeout": 15,
        "security.enable_encryption": True,
        "security.enable_authentication": True,
        "security.sign_messages": True,
    },
}


@table("profile", PROFILE_VALUES, count=3)
def test_profiles_have_exactly_the_values_of_the_contract_a84(profile: str) -> None:
    wanted = msgspec.to_builtins(c.DistributedValidatorConfig(node_id="n0"))
    for path, value in PROFILE_VALUES[profile].items():
        part, field = path.split(".")
        wanted[part][field] = value
    found = c.from_profile(profile, "n0")
    assert msgspec.to_builtins(found) == wanted
    assert found.decision_timeout == wanted["consensus_config"]["timeout"]


@table(
    ("kind", "fields", "said"),
    [
        (c.DistributedValidatorConfig, {"node_id": ""}, "node_id: '' is empty"),
        (
            c.DistributedValidatorConfig,
            {"node_id": "a", "validation_timeout": 0},
            "validation_timeout: 0 is not",
        ),
        (
            c.ConsensusConfig,
            {"algorithm": "paxos"},
            "algorithm: 'paxos' is none of majority, unanimous, raft, pbft",
        ),
        (c.ConsensusConfig, {"min_nodes": 0}, "min_nodes: 0 is less than 1"),
        (c.ConsensusConfig, {"quorum_size": 0}, "quorum_size: 0 is less than 1"),
        (
            c.ConsensusConfig,
            {"byzantine_fault_tolerance": -1},
            "byzantine_fault_tolerance: -1 is less than 0",
        ),
        (c.ConsensusConfig, {"timeout": -1.0}, "timeout: -1.0 is not greater than 0"),
        (c.ConsensusConfig, {"algorithm": "pbft", "min_nodes": 3}, r"min_nodes: 3 is less than 3f \+ 1 = 4"),
        (c.StateSyncConfig, {"sync_interval": 0.0}, "sync_interval: 0.0 is not greater than 0"),
        (c.StateSyncConfig, {"protocol": "rumour"}, "protocol: 'rumour' is none of"),
        (c.PartitionHandlerConfig, {"heartbeat_timeout": float("nan")}, "heartbeat_timeout: nan is not"),
        (c.PartitionHandlerConfig, {"recovery_strategy": "hope"}, "recovery_strategy: 'hope' is none of"),
        (
            c.LoadBalancerConfig,
            {"circuit_breaker_threshold": 0.0},
            r"circuit_breaker_threshold: 0.0 is not in \(0, 1",
        ),
        (c.LoadBalancerConfig, {"max_load_per_node": 1.1}, r"max_load_per_node: 1.1 is not in \(0, 1"),
        (c.LoadBalancerConfig, {"algorithm": "fastest"}, "algorithm: 'fastest' is none of"),
        (c.RestartPolicy, {"base_backoff": 31.0}, "base_backoff: 31.0 is greater than max_backoff 30.0"),
        (c.RestartPolicy, {"backoff_multiplier": 0.5}, "backoff_multiplier: 0.5 is less than 1"),
        (c.CircuitBreakerConfig, {"name": ""}, "name: '' is empty"),
        (c.CircuitBreakerConfig, {"name": "x", "timeout": -1.0}, "timeout: -1.0 is less than 0"),
    ],
    count=19,
)
def test_an_invalid_value_is_refused_by_field_name_a86(kind: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(c.ConfigError, match=said):
        kind(**fields)


@table(
    ("kind", "fields", "said"),
    [
        (c.ConsensusConfig, {"min_nodes": 2.5}, "min_nodes: 2.5 is not a whole number"),
        (c.ConsensusConfig, {"min_nodes": "3"}, "min_nodes: '3' is not a whole number"),
        (c.ConsensusConfig, {"quorum_size": True}, "quorum_size: True is not a whole number"),
        (c.ConsensusConfig, {"require_unanimous": 1}, "require_unanimous: 1 is not true or false"),
        (c.ConsensusConfig, {"timeout": "5"}, "timeout: '5' is not a number"),
        (c.ConsensusConfig, {"algorithm": 1}, "algorithm: 1 is none of majority"),
        (c.PartitionHandlerConfig, {"heartbeat_timeout": None}, "heartbeat_timeout: None is not a number"),
        (c.CircuitBreakerConfig, {"name": "x", "max_failures": 1.0}, "max_failures: 1.0 is not a whole"),
        (c.DistributedValidatorConfig, {"node_id": 7}, "node_id: 7 is not text"),
        (
            c.DistributedValidatorConfig,
            {"node_id": "a", "consensus_config": {"min_nodes": 3}},
            "consensus_config: {'min_nodes': 3} is not a ConsensusConfig",
        ),
    ],
    count=10,
)
def test_a_value_of_another_type_is_refused_by_field_name_a86(
    kind: Any, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(c.ConfigError, match=said):
        kind(**fields)


def test_a_whole_number_of_seconds_is_a_time() -> None:
    assert c.ConsensusConfig(timeout=5, election_timeout=3).timeout == 5


@table("field", sorted({f for fields in checked.POSITIVE.values() for f in fields}), count=18)
def test_every_time_is_greater_than_zero_a86(field: str) -> None:
    for name in (name for name, fields in checked.POSITIVE.items() if field in fields):
        needed = {"CircuitBreakerConfig": {"name": "x"}, "DistributedValidatorConfig": {"node_id": "a"}}
        for value in (0.0, -1.0, float("inf"), float("nan")):
            with pytest.raises(c.ConfigError, match=f"{field}: "):
                getattr(c, name)(**needed.get(name, {}), **{field: value})


def test_every_time_of_an_object_is_checked() -> None:
    """A time that is added to an object and not to the table would be taken unchecked."""
    optional = {("ConsensusConfig", "timeout"), ("CircuitBreakerConfig", "timeout")}
    for name in (*DEFAULTS, "CircuitBreakerConfig", "DistributedValidatorConfig"):
        words = ("timeout", "interval", "duration", "window", "backoff")
        for field in msgspec.structs.fields(getattr(c, name)):
            if field.name.endswith(words) and field.type in (float, float | None):
                assert field.name in checked.POSITIVE[name] or (name, field.name) in optional


def test_values_of_a_file_are_read_with_their_places() -> None:
    found = c.read_config({"node_id": "n0", "consensus_config": {"algorithm": "pbft", "min_nodes": 4}})
    assert found.consensus_config.algorithm is c.Algorithm.PBFT
    for values, said in (
        ({}, "node_id"),
        ({"node_id": "n0", "consensus_config": {"quorum": 2}}, "quorum.*consensus_config"),
        (
            {"node_id": "n0", "load_balancer": {"max_load_per_node": 2.0}},
            "max_load_per_node: 2.0.*load_balancer",
        ),
        ({"node_id": "n0", "validation_timeout": "soon"}, "validation_timeout"),
    ):
        with pytest.raises(c.ConfigError, match=said):
            c.read_config(values)


def test_none_in_place_of_a_config_object_means_its_defaults() -> None:
    made = c.DistributedValidatorConfig(node_id="n0", partition_handler=None)  # type: ignore[arg-type]
    assert made.partition_handler == c.PartitionHandlerConfig()
    assert c.read_config({"node_id": "n0", "partition_handler": None}) == made


def test_a_profile_may_be_written_with_a_hyphen_a84() -> None:
    assert c.from_profile("high-security", "n0") == c.from_profile("high_security", "n0")


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(c.ConfigError, match="profile: 'huge' is none of small, large, high_security"):
        c.from_profile("huge", "n0")
