"""The interface through which status, proofs and metrics read a member's process (`node.Node`)."""

from __future__ import annotations

from typing import Protocol

from dtvn.events.asking import MemberJudge
from dtvn.machine import TicketApplication
from dtvn.net import ZmqTransport
from dtvn.node.overlay_port import OverlayPort
from dtvn.node.process import Process
from dtvn.node.watcher import NodeWatcher
from dtvn.protocol.consensus import VotingCore
from dtvn.protocol.consensus.membership import LivenessProof, Membership
from dtvn.protocol.genesis import Genesis


class MemberProcess(Process, Protocol):
    """A Process that votes and accepts connections."""

    id: str
    index: int
    cluster: bytes
    founding: Genesis
    genesis: Genesis
    """The founding genesis with the members of the present epoch."""
    membership: Membership
    started: float
    """Unix seconds."""
    core: VotingCore
    judge: MemberJudge
    application: TicketApplication
    transport: ZmqTransport
    watcher: NodeWatcher
    overlay: OverlayPort

    @property
    def genesis_file(self) -> bytes:
        """The content of its genesis file."""

    @property
    def remembered(self) -> int:
        """Messages and items that are remembered as verified."""

    @property
    def complete_from(self) -> int:
        """The lowest sequence from which on its log has no holes; 0: it is whole."""

    @property
    def view(self) -> int:
        """View this replica is in."""

    @property
    def voting(self) -> bool:
        """Whether its votes count now."""

    @property
    def voting_reason(self) -> str:
        """Why it does not vote, for the operator; "" while it votes."""

    @property
    def state(self) -> str:
        """voting, following, waiting, contradiction or disk_full (process.py)."""

    @property
    def log_time(self) -> int:
        """Last effective time that it executed, Unix microseconds; 0 before the first batch."""

    @property
    def log_time_ahead(self) -> float:
        """Seconds by which that is ahead of its clock, 0.0 within the drift bound (protocol.log_time)."""

    @property
    def log_time_behind(self) -> float:
        """Seconds by which the newest fresh proposal was behind the time that it goes by, 0.0 within what is
        allowed (R3)."""

    @property
    def own_clock_doubtful(self) -> float:
        """Seconds by which its machine's clock is ahead of the time that it goes by, as others do not confirm
        a step of it, else 0.0 (R3)."""

    @property
    def clock_offsets(self) -> dict[str, float]:
        """Member -> seconds by which its machine's clock is ahead of that member's, as shown in a minute."""

    @property
    def withheld_ahead(self) -> float:
        """Seconds by which the time of a proposal was ahead of its clock, if it withheld its vote for that
        within the last WITHHELD_SHOWN nanoseconds, else 0.0 (R3)."""

    @property
    def awaited(self) -> list[str]:
        """Ids of the members that must report about this node's votes before it votes (R11, f = 0)."""

    def storage_stats(self) -> dict[str, int]:
        """The ledger's figures under the contract's keys, and the time that its writes took."""

    def alive(self, *, next_key: bool, version: bool) -> LivenessProof:
        """Its signed liveness proof (R36)."""
