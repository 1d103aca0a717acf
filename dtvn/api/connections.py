"""Bounds for the connections of an HTTP server, in such a way that idle ones cannot lock out other clients
(0131): shared by a node's API and the platform's web process."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from typing import Protocol, TypeVar

CONNECTIONS_MAX = 2_000
"""Including WebSockets, which have their own lower bound."""
OWN_FILES = 512
"""File descriptors that are not client connections: those of databases, the gateway and pages."""
READ = 15.0
"""Seconds for a request with headers and body, as in the Go DTVN."""
PAUSE_OF_OURS = 1.0
"""If a deadline timer fires this many seconds late, this process counts as paused, and the client is not
blamed."""


class Connection(Protocol):
    """What decides which connection is disconnected when there are too many."""

    @property
    def waits_for_client(self) -> bool:
        """Whether there is no complete request that still has to be answered."""

    @property
    def was_answered(self) -> bool:
        """Whether it has ever carried a complete request."""


Each = TypeVar("Each", bound=Connection)


def longest_waiting(connections: Iterable[Each]) -> Each | None:
    """The connection to disconnect for a new one: one that never sent a complete request, else one that waits
    for the next; None if no client keeps us waiting. `connections` are in the order since when they wait."""
    answered = None
    for each in connections:
        if each.waits_for_client:
            if not each.was_answered:
                return each
            answered = answered or each
    return answered


def connections_within(wanted: int, *, files_each: int = 1) -> int:
    """Number of client connections that this process may have open, at most `wanted`, if each takes
    `files_each` file descriptors; requests more of these from the system if there are too few. Without a free
    descriptor, no connection is accepted, and so none is evicted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * files_each + OWN_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, (soft - OWN_FILES) // files_each))
