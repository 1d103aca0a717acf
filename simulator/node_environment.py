"""The services that a virtual node needs of its world: time, a network, keys, and the events to report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from dtvn.protocol.consensus.effects import Executed, Note, Record
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host import TurnLost
from dtvn.protocol.quorum import Mode
from simulator.clock import TrueClock
from simulator.scheme import Keyring

N = TypeVar("N", contravariant=True)


class NodeEnvironment(Protocol[N]):
    """`world.World`, as its nodes of type N use it."""

    clock: TrueClock
    keyring: Keyring
    members: int
    """Number of members of the newest epoch."""

    @property
    def epochs(self) -> Mapping[int, Membership]:
        """Every epoch that an honest node entered, by number."""

    @property
    def mode(self) -> Mode:
        """How the members agree."""

    @property
    def time(self) -> int:
        """True time: nanoseconds since the world began."""

    def at(self, time: int, action: Callable[..., None], *arguments: Any) -> None:
        """Schedule an action; actions at the same time run in the order in which they were scheduled."""

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Schedule an action after a delay."""

    def enter(self, membership: Membership) -> None:
        """Record that an honest node enters an epoch."""

    def peer(self, name: str, membership: Membership) -> Peer:
        """The identity that links of this epoch authenticate for an endpoint."""

    def relink(self) -> None:
        """Links to newcomers are made, because a node entered another epoch."""

    def transmit(self, sender: str, receiver: str, frame: bytes, departs: int) -> None:
        """Give a frame to the network."""

    def turning(self, node: N) -> None:
        """A node begins a turn."""

    def persisted(self, node: N, records: Sequence[Record]) -> None:
        """A turn's records are durable."""

    def noticed(self, node: N, note: Executed | Note) -> None:
        """A node emits a note."""

    def stopped(self, node: N) -> None:
        """A node lost power or its process ended."""

    def disk_full(self, node: N) -> None:
        """The host is gone; the process waits for space and rebuilds it (R8)."""

    def disk_damaged(self, node: N) -> None:
        """The process has read damaged data and ended: its operator replaces the disk (R11)."""

    def broken(self, node: N, lost: TurnLost) -> None:
        """A host died without an injected fault: no input of a peer may cause that."""
