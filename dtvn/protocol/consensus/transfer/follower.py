"""When a learner takes a state in place of the log (R45): new, too far behind, or nobody has the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.sources import Sources
from dtvn.protocol.consensus.transfer.receiving import Receiving, Taker


class Following(Taker, Protocol):
    """What the transfer needs of a learner besides (consensus.learner explains each)."""

    peers: Sequence[int]
    sources: Sources
    vouched: int
    alarm: str
    over: bool
    archive: bool

    @property
    def has_reached_epoch(self) -> bool: ...

    @property
    def is_new(self) -> bool: ...

    def is_stuck(self) -> bool: ...

    def check_state(self, certificate: CheckpointCertificate) -> None: ...

    def ask_for_stable(self) -> None: ...

    def leave_log(self) -> None: ...


class FollowerTransfer(Receiving):
    """The transfer of a state to a learner, from members and relays alike."""

    def __init__(self, learner: Following) -> None:
        super().__init__(learner)
        self._learner = learner

    def wanted(self) -> bool:
        """Whether a state helps this learner more than the log. An archive prefers the log as long as anybody
        has it."""
        learner = self._learner
        if not learner.has_reached_epoch or learner.is_stuck():
            return True
        return not learner.archive and (learner.is_new or learner.vouched - learner.executed > self._far())

    def _far(self) -> int:
        """The lag, in sequences, above which a state arrives sooner than the log (as of a member's)."""
        config = self._learner.config
        return max(config.transfer_lag, self._learner.application.size() // config.transfer_tickets)

    def _ended(self) -> bool:
        return bool(self._learner.alarm) or self._learner.over or not self._learner.peers

    def _peers(self) -> Sequence[int]:
        return self._learner.peers

    def _least(self) -> int:
        learner = self._learner
        if not learner.has_reached_epoch:
            return learner.config.base - 1
        if learner.is_new or learner.is_stuck():
            return learner.executed
        return learner.executed + self._far() // 2

    def _send_to_all(self, frame: bytes) -> None:
        for peer in self._learner.peers:
            self._learner.outbox.send(peer, frame)

    def _on_sought(self) -> None:
        self._learner.ask_for_stable()

    def _on_useless(self, certificate: CheckpointCertificate) -> None:
        self._learner.check_state(certificate)

    def _on_chosen(self, sequence: int) -> None:
        self._learner.leave_log()

    def _on_useful(self) -> None:
        """The log is not followed meanwhile, so nothing waits for it."""

    def _on_lie(self, peer: int) -> None:
        self._learner.sources.lied(peer, self._learner.now.monotonic)

    def _on_complete(self) -> None:
        self._learner.over = True
