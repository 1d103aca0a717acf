"""Sends COMMITs only after their view is over: those that it received, and its own for everything proposed in
that view, prepared or not (P3; R21)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame

VIEWS_LATE = 2


class LateCommitter(Liar):
    """Otherwise it behaves correctly, so that views begin and end."""

    def begin(self) -> None:
        """See Liar."""
        self._commits: dict[int, dict[tuple[int, int], bytes]] = {}
        """COMMIT frames by sequence, then by view and sender."""
        self.node.receive_filter = self._hear

    def _hear(self, inbound: Inbound) -> bool:
        if kind_of_frame(inbound.frame) is m.Commit:
            self._keep(self.world.frame_cache.read(inbound.frame)[1], inbound.frame)
        return True

    def _keep(self, commit: m.Commit, frame: bytes) -> None:
        self._commits.setdefault(commit.sequence, {})[commit.view, commit.sender] = frame

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if isinstance(message, m.NewView):
            late = [old for sequence in self._commits for old in self._of(sequence, message.view)]
            return [(receiver, frame), *((receiver, old) for old in late)]
        if not isinstance(message, (m.Prepare, m.Commit)):
            return ((receiver, frame),)
        vote = m.Commit(message.epoch, message.sender, message.view, message.sequence, message.digest)
        self._keep(vote, self.signer.sign(vote))
        words = [(receiver, old) for old in self._of(message.sequence, message.view)]
        return words if isinstance(message, m.Commit) else [*words, (receiver, frame)]

    def _of(self, sequence: int, view: int) -> list[bytes]:
        """The COMMITs to show for this sequence and view, the lowest view first."""
        known = self._commits.get(sequence, {})
        return [known[key] for key in sorted(known) if key[0] <= view - VIEWS_LATE]
