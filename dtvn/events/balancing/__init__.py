"""Chooses nodes, and avoids those that fail: load balancer, placement of streams, circuit breakers. Pure."""

from dtvn.events.balancing.balancer import Chance, LoadBalancer, LoadBalancerMetrics
from dtvn.events.balancing.call_breaker import (
    BreakerCode,
    BreakerError,
    BreakerState,
    CallBreaker,
    CallBreakers,
    Counts,
    Permit,
    Stats,
)
from dtvn.events.balancing.node_load import NodeLoadInfo
from dtvn.events.balancing.placement import Placement, TooManyStreams
from dtvn.events.balancing.ring import HashRing

__all__ = [
    "BreakerCode",
    "BreakerError",
    "BreakerState",
    "CallBreaker",
    "CallBreakers",
    "Chance",
    "Counts",
    "HashRing",
    "LoadBalancer",
    "LoadBalancerMetrics",
    "NodeLoadInfo",
    "Permit",
    "Placement",
    "Stats",
    "TooManyStreams",
]
