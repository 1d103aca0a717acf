"""ports.Transport over ZeroMQ: one authenticated, encrypted connection per pair of members.

The member with the lower index dials (`DialledLink`, the other's key pinned), the other listens
(`Acceptor`, callers known by their key); principals dial every member. See docs/decisions on links.
Receiving never blocks and is fair over peers (`Inbox`); sending never blocks and is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
import zmq

from validators.consensus.effects import ALL, ReplyTo, Send
from validators.consensus.messages import Hello
from validators.consensus.verified import Inbound, Peer
from validators.genesis import Genesis
from validators.link import CurveKeys, DialledLink, LinkCounters, curve_keys, curve_public
from validators.link.dial import endpoint_of
from validators.link.polling import LinkPoll
from validators.node.acceptor import Acceptor
from validators.node.inbox import FromInbox
from validators.node.zap import Gatekeeper
from validators.signatures import is_public_key
from validators.wire import link_frame

__all__ = ["ZmqTransport", "allowed_users"]

RETRY_NS = 2_000_000
"""How soon a listening connection that took no more is tried again: ROUTER does not tell when it does."""


def allowed_users(genesis: Genesis, own_index: int) -> tuple[dict[bytes, str], dict[str, Peer]]:
    """Who may connect to a member: CURVE key to User-Id, and User-Id to Peer."""
    keys: dict[bytes, str] = {}
    users: dict[str, Peer] = {}
    for index, member in enumerate(genesis.members):
        if index != own_index:
            users[f"member/{member.id}"] = Peer(name=member.id, member=index)
            keys[curve_public(member.public_key)] = f"member/{member.id}"
    names = {member.id for member in genesis.members}
    for principal in genesis.principals:
        if principal.name in names:
            continue  # a learner once, a member now
        users[f"principal/{principal.name}"] = Peer(name=principal.name, member=None)
        keys[curve_public(principal.public_key)] = f"principal/{principal.name}"
    return keys, users


class Queues(msgspec.Struct, frozen=True):
    """Frames waiting, in both directions."""

    inbound: int
    outbound: int


class ZmqTransport(FromInbox):
    """Links of one member. Made after fork, used by one thread.

    `bind`: (host, port) to listen on, port 0 for any; None: genesis' own address. `addresses`
    overrides where members are dialled, by index.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        genesis: Genesis,
        index: int,
        seed: bytes,
        *,
        bind: tuple[str, int] | None = None,
        addresses: Mapping[int, tuple[str, int]] | None = None,
    ) -> None:
        own = genesis.members[index]
        allowed, users = allowed_users(genesis, index)
        self._users = users
        self._members = {key: user for key, user in allowed.items() if user.startswith("member/")}
        self._index = index
        self._names = [member.id for member in genesis.members]
        self._peers = [Peer(name=member.id, member=i) for i, member in enumerate(genesis.members)]
        super().__init__()
        self._gatekeeper = Gatekeeper(context, allowed)
        self._acceptor = Acceptor(context, curve_keys(seed), users, self._arrived)
        host, port = bind or (own.host, own.port)
        self._acceptor.listen(endpoint_of(host, port) if port else endpoint_of(host, 0).replace(":0", ":*"))
        greeting = link_frame(Hello(client=b""))
        self._links: dict[int, DialledLink] = {}
        self._addresses = {
            other: (addresses or {}).get(other, (member.host, member.port))
            for other, member in enumerate(genesis.members)
        }

        def dial(other: int, keys: CurveKeys) -> DialledLink:
            return DialledLink(
                context,
                keys,
                server_key=curve_public(genesis.members[other].public_key),
                endpoint=endpoint_of(*self._addresses[other]),
                hello=greeting,
            )

        self._dial = dial
        for other in range(index + 1, len(genesis.members)):
            self._links[other] = dial(other, curve_keys(seed))
        self._poll = LinkPoll(
            [self._gatekeeper.socket, self._acceptor.socket, self._acceptor.monitor], self._links
        )
        self._now = time.monotonic_ns()

    @property
    def endpoint(self) -> str:
        """Where this node listens (with the real port)."""
        return str(self._acceptor.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) of the same."""
        host, _, port = self.endpoint.removeprefix("tcp://").rpartition(":")
        return host.strip("[]"), int(port)

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where members are said to listen, by their id; this node where it really does."""
        return {name: self._addresses[index] for index, name in enumerate(self._names)} | {
            self._names[self._index]: self.address
        }

    def redial(self, name: str, address: tuple[str, int]) -> None:
        """A member listens elsewhere than was thought: dial it there from now on, if it is ours to dial. A
        link that works stays until it is lost."""
        index = self._names.index(name)
        if index == self._index or self._addresses[index] == address:
            return
        self._addresses[index] = address
        if (link := self._links.get(index)) is not None:
            link.redial(endpoint_of(*address))

    def dial_with_next_key(self, seed: bytes | None) -> None:
        """Dial whom this node has no link with under its next key too, if it has one; called once a second.

        The epoch in which it has that key may have begun while it was away (R35). Members take that one only
        then, and without a link it would never hear of it. In the present epoch they refuse it.
        """
        keys = None if seed is None else curve_keys(seed)
        for other in range(len(self._names)):
            if other > self._index:
                self._links[other].spare = keys
            elif other < self._index:
                self._dial_back(other, keys)

    def _dial_back(self, other: int, keys: CurveKeys | None) -> None:
        """To a member that dials this node, but under the other key."""
        link = self._links.get(other)
        if keys is None or self._acceptor.route_of(self._names[other]) is not None:
            if link is not None:
                self._links.pop(other).close()
        elif link is None:
            self._links[other] = self._dial(other, keys)
        else:
            link.keys = keys

    def admit(self, principals: Mapping[str, bytes]) -> list[str]:
        """From now on let these in besides the members: name on the wire to Ed25519 key. Others of them
        are not listened to any more, though their connections stand. Returns those whose key is none, which
        an old log may list: they stay outside.

        A principal that is named like a member (its next key, which follows the log already) is heard, under
        a name that no route, counter or queue of the member has.
        """
        keys: dict[bytes, str] = {}
        users: dict[str, Peer] = {}
        outside = []
        for name, key in principals.items():
            user = f"principal/{name}"
            if not is_public_key(key):
                outside.append(name)
                continue
            keys[curve_public(key)] = user
            users[user] = Peer(name=user if name in self._names else name, member=None)
        for key, user in self._members.items():
            keys[key] = user
        for user in self._members.values():
            users[user] = self._users[user]
        self._gatekeeper.allow(keys)
        self._acceptor.allow(users)
        return outside

    # --- ports.Transport -------------------------------------------------------------------------

    def receive(self, limit: int) -> Sequence[Inbound]:
        """At most `limit` waiting frames, fair over peers, without blocking."""
        self._read()
        return super().receive(limit)

    def send(self, send: Send) -> None:
        """Queue for one member, all others, or the newest connection of a named principal."""
        if send.peer:
            route = self._acceptor.route_of(send.peer)
            if route is not None:
                self._acceptor.send(route, send.frame)
        elif send.to == ALL:
            for other in range(len(self._names)):
                if other != self._index:
                    self._to_member(other, send.frame)
        else:
            self._to_member(send.to, send.frame)

    def reply(self, reply: ReplyTo) -> None:
        """Queue for a client process; dropped when it has no connection."""
        route = self._acceptor.client_route(reply.principal, reply.client)
        if route is not None:
            self._acceptor.send(route, reply.frame)

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Queue for exactly the connection a frame came from; dropped when it has another owner now."""
        if peer.route:
            if self._acceptor.owner(peer.route) == peer.name:
                self._acceptor.send(peer.route, frame)
        elif peer.member is not None and peer.member in self._links:
            self._links[peer.member].send(frame)

    # --- the loop's side -------------------------------------------------------------------------

    def wait(self, timeout_ns: int) -> None:
        """Return as soon as a frame waits or a connection changed, after `timeout_ns` at the latest."""
        if not self.inbox.empty:
            return
        self._poll.wait(min(timeout_ns, RETRY_NS) if self._acceptor.waiting else timeout_ns)

    def bad_frame(self, name: str) -> int:
        """A frame of this peer was forged or malformed; return nanoseconds of mute that begin now, or 0."""
        return self.inbox.bad_frame(name, time.monotonic_ns())

    def connected(self) -> list[str]:
        """Names of the other members with a live link, in order of their index."""
        return [self._names[other] for other in range(len(self._names)) if self._is_connected(other)]

    def counters(self) -> dict[str, LinkCounters]:
        """Counters by peer: this side's sends and what came in, over all its connections."""
        merged: dict[str, LinkCounters] = {}
        for name, accepted in self._acceptor.counters.items():
            merged[name] = _sum(accepted, self.inbox.counters(name))
        for index, link in self._links.items():
            merged[self._names[index]] = _sum(merged[self._names[index]], _sent_only(link.counters))
        return merged

    def queues(self) -> Queues:
        """Frames that wait in memory now."""
        outbound = sum(len(link.outbound) for link in self._links.values())
        return Queues(inbound=len(self.inbox), outbound=outbound + self._acceptor.frames_waiting())

    @property
    def strangers(self) -> int:
        """Handshakes refused: keys that genesis does not list."""
        return self._gatekeeper.refused

    @property
    def malformed(self) -> int:
        """Messages that were no single frame of a known peer."""
        return self._acceptor.malformed

    def close(self) -> None:
        """Close every socket at once; nothing lingers."""
        for link in self._links.values():
            link.close()
        self._acceptor.close()
        self._gatekeeper.close()

    # --- one step each ---------------------------------------------------------------------------

    def _read(self) -> None:
        ready = self._poll.take()
        self._now = time.monotonic_ns()
        if self._gatekeeper.socket in ready:
            self._gatekeeper.attend()
        if self._acceptor.socket in ready:
            self._acceptor.read()
        if self._acceptor.monitor in ready or self._acceptor.waiting:
            self._acceptor.attend()
        for index, frames in self._poll.frames(ready, self._now):
            peer = self._peers[index]
            for frame in frames:
                self._arrived(peer, frame)

    def _arrived(self, peer: Peer, frame: bytes) -> None:
        self.inbox.put(peer, frame, self._now)

    def _to_member(self, other: int, frame: bytes) -> None:
        """By the link this member dials, else by the one the other dialled."""
        link = self._links.get(other)
        if link is not None and link.ready:
            link.send(frame)
            return
        route = self._acceptor.route_of(self._names[other])
        if route is None or not self._acceptor.send(route, frame):
            self._acceptor.counters[self._names[other]].dropped_outbound += 1

    def _is_connected(self, other: int) -> bool:
        if other == self._index:
            return False
        link = self._links.get(other)
        return (link is not None and link.ready) or self._acceptor.route_of(self._names[other]) is not None


def _sum(first: LinkCounters, second: LinkCounters) -> LinkCounters:
    names = LinkCounters.__struct_fields__
    return LinkCounters(**{name: getattr(first, name) + getattr(second, name) for name in names})


def _sent_only(counters: LinkCounters) -> LinkCounters:
    """What a dialled link counted besides frames received, which the inbox counts."""
    return LinkCounters(
        **{
            name: 0 if name.endswith("_received") else getattr(counters, name)
            for name in LinkCounters.__struct_fields__
        }
    )
