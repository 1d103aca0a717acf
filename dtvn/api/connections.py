"""Bounds on the connections of an HTTP server, so that idle ones cannot lock out other clients (0131): used
by a node's API and by the platform's web process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from dtvn.node.listening import raise_file_limit

CONNECTIONS_MAX = 2_000
"""Most client connections of a process, with its WebSockets, which have a lower bound of their own."""
OWN_FILES = 512
"""File descriptors that are not client connections: those of databases, the gateway and pages."""
READ = 15.0
"""Seconds for a request with headers and body, as in the Go DTVN."""
PAUSE_OF_OURS = 1.0
"""Seconds by which a deadline timer may fire late; later, this process was paused, not the client slow."""


class Connection(Protocol):
    """The state by which a connection is chosen to be closed when there are too many."""

    @property
    def waits_for_client(self) -> bool:
        """False while a complete request has to be answered, else True: the client is to send the next
        one, or to take its answer."""


Each = TypeVar("Each", bound=Connection)


def longest_waiting(connections: Iterable[Each]) -> Each | None:
    """The connection to close for a new one: the first that waits for its client; None if all have a request
    to answer. `connections`: those that wait longest come first.

    Whether it was answered before does not matter: a client needs a round trip until its first request, in
    which those whose idle connections were all answered once would have it closed.
    """
    return next((each for each in connections if each.waits_for_client), None)


def connections_within(wanted: int, *, files_each: int = 1) -> int:
    """Number of client connections that this process can hold, 1 to `wanted`, if each takes `files_each` file
    descriptors. Raises the process's limit of descriptors if it is too low: without a free descriptor no
    connection is accepted, and none is closed in its favour."""
    files = raise_file_limit(wanted * files_each + OWN_FILES)
    return max(1, min(wanted, (files - OWN_FILES) // files_each))
