"""Clients to whom verdicts flow back, over a WebSocket or as the answer to a stream: bounds on their number,
and how long their access holds.

A stream holds a megabyte at most (LiveBody), so these numbers bound what all of them hold: 64 MiB, and 8 MiB
for one caller (0188).
"""

from __future__ import annotations

CLIENTS_MAX = 64
"""Most of these clients in one process."""
CLIENTS_EACH = 8
"""Most of these for one caller: a user, or a key with its sessions."""
ACCESS_INTERVAL = 5.0
"""Seconds for which an access check of the caller holds; what the client sends after that repeats it."""

_present: dict[int, str] = {}
"""id() of each counted client -> its caller."""


def enter(client: object, actor: str) -> bool:
    """Count `client` for the caller `actor` until `leave`; returns False if there are too many already."""
    if len(_present) >= CLIENTS_MAX or list(_present.values()).count(actor) >= CLIENTS_EACH:
        return False
    _present[id(client)] = actor
    return True


def is_present(client: object) -> bool:
    """Whether the client is counted."""
    return id(client) in _present


def leave(client: object) -> None:
    """Count the client no longer, if it was counted."""
    _present.pop(id(client), None)
