"""ports.Transport of a process that dials every member and accepts no connections: the learner."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dtvn.net.dial import Dialler
from dtvn.net.inbox import FromInbox
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import Genesis


class LearnerTransport(FromInbox):
    """Bounded, fair inbound queues around a `Dialler`."""

    def __init__(self, dialler: Dialler, genesis: Genesis) -> None:
        self._dialler = dialler
        self._peers = [Peer(name=member.id, member=i) for i, member in enumerate(genesis.members)]
        super().__init__()

    def keeps(self, seed: bytes, spare: bytes | None) -> bool:
        """Whether this process has the same keys in another epoch, so that it can `follow`."""
        return self._dialler.keeps(seed, spare)

    def follow(self, genesis: Genesis) -> None:
        """Link this process with these members from now on; links to members that keep their key stay up."""
        self._dialler.follow(genesis)
        self._peers = [Peer(name=member.id, member=i) for i, member in enumerate(genesis.members)]
        self.inbox.follow({peer.name: place for place, peer in enumerate(self._peers)})

    def receive(self, limit: int) -> Sequence[Inbound]:
        """See ports.Transport."""
        self._read(0)
        return super().receive(limit)

    def send(self, send: Send) -> None:
        """See ports.Transport; a learner knows only members."""
        targets = range(len(self._peers)) if send.to == ALL else (send.to,)
        for index in targets:
            self._dialler.send(index, send.frame)

    def reply(self, reply: ReplyTo) -> None:
        """A learner has no clients."""

    def answer(self, peer: Peer, frame: bytes) -> None:
        """See ports.Transport."""
        if peer.member is not None:
            self._dialler.send(peer.member, frame)

    def wait(self, timeout_ns: int) -> None:
        """Return when a frame waits or a connection changed, after `timeout_ns` at the latest."""
        if self.inbox.empty:
            self._read(max(0, -(-timeout_ns // 1_000_000)))

    def connected(self) -> list[str]:
        """Names of members with a live link."""
        return [self._peers[index].name for index in sorted(self._dialler.connected())]

    def close(self) -> None:
        """Close every link."""
        self._dialler.close()

    def _read(self, timeout_ms: int) -> None:
        now = time.monotonic_ns()
        for index, frame in self._dialler.poll(timeout_ms):
            self.inbox.put(self._peers[index], frame, now)
