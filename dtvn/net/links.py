"""What all transports share: links that this process dialled, one ROUTER for those that dial it, and one
bounded inbox behind both.

`ZmqTransport` (a member) and `RelayTransport` (a follower) say whom to dial and whom to accept.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
import zmq

from dtvn.net.acceptor import Acceptor
from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import endpoint_of
from dtvn.net.dialled import DialledLink
from dtvn.net.inbox import FromInbox
from dtvn.net.local_address import bindable
from dtvn.net.polling import LinkPoll
from dtvn.net.zap import Gatekeeper
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import link_frame, spoken

RETRY_NS = 2_000_000
"""Time until a full accepted connection is tried again: ROUTER does not report when it has room."""

LOOK_NS = 1_000_000_000
"""Time between two looks for silent connections."""

LOOPBACK = "127.0.0.1"

_GREETING = link_frame(Hello(client=b""))


class Queues(msgspec.Struct, frozen=True):
    """Frames waiting, in both directions."""

    inbound: int
    outbound: int


class Links(FromInbox):
    """Base of the transports. Made after fork, used by one thread."""

    _follower = False
    """Whether it dials to follow the log."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], seed: bytes) -> None:
        super().__init__()
        self._context = context
        self._seed = seed
        self._host = ""
        self._elsewhere: tuple[str, int] | None = None
        self._greeting = _GREETING
        """First frame of each link that this process dials."""
        self._links: dict[int, DialledLink] = {}
        self._peers: Mapping[int, Peer] = {}
        """The peer behind each dialled link."""
        self._named: dict[str, bytes] = {}
        """Name of a peer that may connect -> its public key."""
        self._gatekeeper = Gatekeeper(context, {})
        self._acceptor = Acceptor(context, curve_keys(seed), {}, self._arrived)
        self._poll = LinkPoll(
            [self._gatekeeper.socket, self._acceptor.socket, self._acceptor.monitor], self._links
        )
        self._now = time.monotonic_ns()
        self.version = NEWEST
        """The cluster's, which says what its members can read (R47)."""
        self._looked = self._now

    def _listen(self, host: str, port: int, *, local: bool = False) -> None:
        """Accept connections from now on; port 0: any. `local`: others reach this process through a splice,
        at this address, and it listens on a free port of this machine only. Raises ValueError,
        zmq.ZMQError."""
        self._elsewhere = (host, port) if local else None
        self._host, port = (LOOPBACK, 0) if local else (host, port)
        own = bindable(self._host)
        self._acceptor.listen(endpoint_of(own, port) if port else f"{endpoint_of(own, 0)[:-1]}*")

    def _open(self, public_key: bytes, address: tuple[str, int], keys: CurveKeys) -> DialledLink:
        """Dial the owner of an Ed25519 key."""
        return DialledLink(
            self._context,
            keys,
            server_key=curve_public(public_key),
            endpoint=endpoint_of(*address),
            hello=self._greeting,
            follower=self._follower,
        )

    @property
    def endpoint(self) -> str:
        """The endpoint on which this process listens, with the real port; "" if it does not listen."""
        return str(self._acceptor.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) at which others reach this process: the host as told, with the real port. Only for a
        process that listens."""
        return self._elsewhere or (self._host, self.local_port)

    @property
    def local_port(self) -> int:
        """The port on which it listens."""
        return int(self.endpoint.rpartition(":")[2])

    # --- ports.Transport -------------------------------------------------------------------------

    def receive(self, limit: int) -> Sequence[Inbound]:
        """At most `limit` waiting frames, fairly from all peers, without blocking."""
        self._read()
        return super().receive(limit)

    def greet(self, hello: bytes) -> None:
        """See ports.Transport."""
        self._greeting = hello
        self._acceptor.greet(hello)
        for link in self._links.values():
            link.greet(hello)

    def demote(self, peer: Peer) -> None:
        """See ports.Transport."""
        if peer.route:
            self._acceptor.demote(peer.route)

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Queue a frame for exactly the connection that asked; dropped if it has another owner now."""
        said = spoken(frame, self.version)
        if said is None:
            return
        if peer.route:
            if self._acceptor.owner(peer.route) == peer.name:
                self._acceptor.send(peer.route, said)
        elif peer.member is not None and peer.member in self._links:
            self._links[peer.member].send(said)

    # --- the loop's side -------------------------------------------------------------------------

    def wait(self, timeout_ns: int) -> None:
        """Return as soon as a frame waits or a connection changed, after `timeout_ns` at the latest."""
        if not self.inbox.empty:
            return
        self._poll.wait(min(timeout_ns, RETRY_NS) if self._acceptor.waiting else timeout_ns)

    def queues(self) -> Queues:
        """Frames that wait in memory now."""
        outbound = sum(len(link.outbound) for link in self._links.values())
        return Queues(inbound=len(self.inbox), outbound=outbound + self._acceptor.frames_waiting())

    @property
    def strangers(self) -> int:
        """Handshakes refused: keys that are not allowed."""
        return self._gatekeeper.refused

    @property
    def malformed(self) -> int:
        """Messages that were not a single frame of a known peer."""
        return self._acceptor.malformed

    def close(self) -> None:
        """Close every socket at once; nothing lingers."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._acceptor.close()
        self._gatekeeper.close()

    # --- keys of peers -----------------------------------------------------------------------------

    def key_of(self, peer: Peer) -> bytes | None:
        """Public key of the peer that a frame came from; None if it is known no longer."""
        return self._named.get(peer.name) if peer.member is None else self._key_at(peer.member)

    def peers_up(self) -> dict[bytes, Peer]:
        """Public key -> peer, for all with a live connection; one that this process dialled goes first."""
        found = {
            self._named[name]: peer for name, peer in self._acceptor.live().items() if name in self._named
        }
        for index, link in self._links.items():
            if link.ready and (key := self._key_at(index)) is not None:
                found[key] = self._peers[index]
        return found

    def _key_at(self, index: int) -> bytes | None:
        """Public key of the peer with an index; None without one."""
        raise NotImplementedError

    # --- internals -------------------------------------------------------------------------------

    def _read(self) -> None:
        ready = self._poll.take()
        self._now = time.monotonic_ns()
        if self._gatekeeper.socket in ready:
            self._gatekeeper.attend()
        if self._acceptor.socket in ready:
            self._acceptor.read()
        if self._acceptor.monitor in ready or self._acceptor.waiting:
            self._acceptor.attend()
        if self._now - self._looked > LOOK_NS:
            self._looked = self._now
            self._acceptor.look()
        for index, frames in self._poll.frames(ready, self._now):
            peer = self._peers[index]
            for frame in frames:
                self._arrived(peer, frame)

    def _arrived(self, peer: Peer, frame: bytes) -> None:
        self.inbox.put(peer, frame, self._now)
