"""Values of a StateSynchronizer (contract, section 4.1)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.sync import Item, digest_of, value_bytes

__all__ = ["StateComparison", "StateSnapshot", "StateVersion", "SyncStatus", "compare_states"]


class StateVersion(msgspec.Struct, frozen=True):
    """The value of one key."""

    key: str
    value: Any
    """As JSON gives it."""
    version: int
    """When it was written, Unix microseconds by the writer's hybrid clock."""
    timestamp: float
    """The same, Unix seconds."""
    node_id: str
    """Who wrote it, or the newest part of it."""
    checksum: str
    """SHA-256 of the value's canonical JSON, hex."""
    vector: dict[str, int] = msgspec.field(default_factory=dict)
    """Node -> version of its own newest item under this key."""


class StateSnapshot(msgspec.Struct, frozen=True):
    """All that a node holds."""

    node_id: str
    timestamp: float
    """Unix seconds."""
    version: int
    """Largest version of any item."""
    validation_state: dict[str, Any]
    """What the node adds; it is neither applied nor sent by an exchange."""
    state_items: dict[str, StateVersion]
    """Views, as this node computed them; the receiver computes its own."""
    items: tuple[Item, ...]
    """What the authors signed: this is what is applied."""
    checksum: str = ""
    """SHA-256 over all the above, hex."""

    def summed(self) -> str:
        """The checksum that its content has."""
        shown = [
            self.node_id, int(self.timestamp * 1_000_000), self.version, self.validation_state,
            {key: [each.version, each.node_id, each.checksum, value_bytes(each.value).hex()]
             for key, each in self.state_items.items()},
        ]  # fmt: skip
        digests = b"".join(digest_of(item) for item in self.items)
        return canonical.digest(value_bytes(shown) + digests).hex()


class StateComparison(msgspec.Struct, frozen=True):
    """How two snapshots differ."""

    only_first: tuple[str, ...]
    """Keys that the second has not."""
    only_second: tuple[str, ...]
    differing: tuple[str, ...]
    """Keys with other values."""

    @property
    def equal(self) -> bool:
        """Whether both have the same values."""
        return not (self.only_first or self.only_second or self.differing)


class SyncStatus(msgspec.Struct, frozen=True):
    """How synchronising goes (contract 2.8)."""

    running: bool
    durable: bool
    """Whether this node's own items are kept in a folder; False: they are in memory, and what others hold of
    them is all that is left after its end."""
    unconfirmed: bool
    """Whether this node wrote, or may write, without knowing what it wrote before: nothing was stored, and no
    peer has answered yet."""
    protocol: str
    state_version: int
    """Largest version of any item."""
    items: int
    checksum: str
    """Root over all items, hex: equal at nodes that hold the same."""
    last_sync: float | None
    """Unix seconds of the newest exchange that ended well; None: none did."""
    lag: float | None
    """Seconds since then."""
    sync_count: int
    """Exchanges that ended well."""
    error_count: int
    """Exchanges that failed."""
    conflict_count: int
    """Keys whose value several nodes wrote differently, now."""
    changes: int
    """Writes of this node since its last round with all peers."""
    bytes_sent: int
    bytes_received: int
    node_status: dict[str, str]
    """Peer -> state of its breaker: CLOSED, OPEN or HALF_OPEN."""


def compare_states(first: StateSnapshot, second: StateSnapshot) -> StateComparison:
    """How two snapshots differ, by the views in them."""
    one, two = first.state_items, second.state_items
    return StateComparison(
        tuple(sorted(one.keys() - two.keys())),
        tuple(sorted(two.keys() - one.keys())),
        tuple(sorted(key for key in one.keys() & two.keys() if one[key].checksum != two[key].checksum)),
    )
