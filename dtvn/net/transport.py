"""ports.Transport over ZeroMQ: one authenticated, encrypted connection per pair of members.

The member with the lower index dials (`DialledLink`, the other's key pinned), the other listens
(`Acceptor`, which knows its peers by their keys); principals dial every member. See decision 0010.
Receiving never blocks and is fair over peers (`Inbox`); sending never blocks and is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
import zmq

from dtvn.net.acceptor import Acceptor
from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import endpoint_of
from dtvn.net.dialled import DialledLink
from dtvn.net.inbox import FromInbox
from dtvn.net.local_address import bindable
from dtvn.net.polling import LinkPoll
from dtvn.net.zap import Gatekeeper
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import Genesis, Member
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.wire import link_frame

_GREETING = link_frame(Hello(client=b""))

RETRY_NS = 2_000_000
"""Time until a full accepted connection is tried again: ROUTER does not report when it has room."""


MEMBER = "member/"
"""Beginning of the User-Ids of members."""


def allowed_users(genesis: Genesis, own_index: int) -> tuple[dict[bytes, str], dict[str, Peer]]:
    """The peers that may connect to a member: CURVE key to User-Id, and User-Id to Peer."""
    keys: dict[bytes, str] = {}
    users: dict[str, Peer] = {}
    for index, member in enumerate(genesis.members):
        if index != own_index:
            # The key is part of it: a connection under a member's former key ends with that key (R35).
            user = f"{MEMBER}{member.id}/{member.public_key.hex()[:16]}"
            users[user] = Peer(name=member.id, member=index)
            keys[curve_public(member.public_key)] = user
    names = {member.id for member in genesis.members}
    for principal in genesis.principals:
        if principal.name in names:
            continue  # it was a learner before it became a member
        users[f"principal/{principal.name}"] = Peer(name=principal.name, member=None)
        keys[curve_public(principal.public_key)] = f"principal/{principal.name}"
    return keys, users


class Queues(msgspec.Struct, frozen=True):
    """Frames waiting, in both directions."""

    inbound: int
    outbound: int


class ZmqTransport(FromInbox):
    """Links of one member, over all epochs in which it keeps its key and address. Made after fork, used by
    one thread.

    `bind`: (host, port) at which others reach it, port 0 for any; None: genesis' own address. `addresses`
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
        super().__init__()
        self._context = context
        self._seed = seed
        self._bound = _place_of(genesis, index, bind)
        self._gatekeeper = Gatekeeper(context, {})
        self._acceptor = Acceptor(context, curve_keys(seed), {}, self._arrived)
        self._host, port = self._bound
        local = bindable(self._host)
        self._acceptor.listen(endpoint_of(local, port) if port else f"{endpoint_of(local, 0)[:-1]}*")
        self._members: tuple[Member, ...] = ()
        self._links: dict[int, DialledLink] = {}
        self._poll = LinkPoll(
            [self._gatekeeper.socket, self._acceptor.socket, self._acceptor.monitor], self._links
        )
        self._now, self._wall = time.monotonic_ns(), time.time_ns()
        self.follow(genesis, index, addresses)
        allowed, users = allowed_users(genesis, index)
        self._gatekeeper.allow(allowed)
        self._acceptor.allow(users)

    def keeps(self, genesis: Genesis, index: int, seed: bytes, bind: tuple[str, int] | None) -> bool:
        """Whether this node has the same key and address in another epoch, so that it can `follow`."""
        return (self._seed, self._bound) == (seed, _place_of(genesis, index, bind))

    def follow(
        self, genesis: Genesis, index: int, addresses: Mapping[int, tuple[str, int]] | None = None
    ) -> None:
        """Link this node with the members of an epoch, in which it has this index. Links to members that keep
        their key stay up, with the frames that wait; those to other members end. Call `admit` next."""
        keys = curve_keys(self._seed)
        before = {self._members[other].public_key: link for other, link in self._links.items()}
        self._addresses = {
            other: (addresses or {}).get(other, (member.host, member.port))
            for other, member in enumerate(genesis.members)
        }
        self._members, self._index = genesis.members, index
        self._names = [member.id for member in genesis.members]
        self._peers = [Peer(name=member.id, member=i) for i, member in enumerate(genesis.members)]
        allowed, self._users = allowed_users(genesis, index)
        self._keys = {key: user for key, user in allowed.items() if user.startswith(MEMBER)}
        self._links.clear()
        for other in range(index + 1, len(genesis.members)):
            key, endpoint = genesis.members[other].public_key, endpoint_of(*self._addresses[other])
            if key in before and before[key].keys == keys:
                self._links[other] = before.pop(key)
            else:
                self._links[other] = self._dial(other, keys)
            if self._links[other].endpoint != endpoint:
                self._links[other].redial(endpoint)
        for link in before.values():
            link.close()
        self._acceptor.forget_former(self._users)
        self.inbox.follow({name: place for place, name in enumerate(self._names)})

    def _dial(self, other: int, keys: CurveKeys) -> DialledLink:
        return DialledLink(
            self._context,
            keys,
            server_key=curve_public(self._members[other].public_key),
            endpoint=endpoint_of(*self._addresses[other]),
            hello=_GREETING,
        )

    @property
    def endpoint(self) -> str:
        """The endpoint on which this node listens, with the real port."""
        return str(self._acceptor.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) at which others reach this node: the host as told, with the real port."""
        return self._host, int(self.endpoint.rpartition(":")[2])

    def addresses(self) -> dict[str, tuple[str, int]]:
        """(host, port) of each member by id, as last reported; for this node the real one."""
        return {name: self._addresses[index] for index, name in enumerate(self._names)} | {
            self._names[self._index]: self.address
        }

    def redial(self, name: str, address: tuple[str, int]) -> None:
        """Note a member's new address, and dial it there from now on if this side dials that member. A
        working link is kept until it is lost."""
        index = self._names.index(name)
        if index == self._index or self._addresses[index] == address:
            return
        self._addresses[index] = address
        if (link := self._links.get(index)) is not None:
            link.redial(endpoint_of(*address))

    def dial_with_next_key(self, seed: bytes | None) -> None:
        """Dial members without a link under this node's next key too, if it has one; called once a second.

        The epoch that names the next key may have begun while this node was away (R35). Its members accept
        only that key, and without a link this node would never learn of the epoch. The members of the present
        epoch refuse the next key.
        """
        keys = None if seed is None else curve_keys(seed)
        for other in range(len(self._names)):
            if other > self._index:
                self._links[other].spare = keys
            elif other < self._index:
                self._dial_back(other, keys)

    def _dial_back(self, other: int, keys: CurveKeys | None) -> None:
        """Dial a member under the next key, although by its index that member dials this node."""
        link = self._links.get(other)
        if keys is None or self._acceptor.route_of(self._names[other]) is not None:
            if link is not None:
                self._links.pop(other).close()
        elif link is None:
            self._links[other] = self._dial(other, keys)
        else:
            link.keys = keys

    def admit(self, principals: Mapping[str, bytes]) -> list[str]:
        """From now on accept these principals (name on the wire to Ed25519 key) besides the members. Frames
        of other principals are ignored, though their connections stay open. Returns the names whose key is
        invalid, which an old log may list: these are not admitted.

        A principal with the name of a member (a node that already follows the log under its next key) is
        admitted under a name that no route, counter or queue of the member has.
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
        for key, user in self._keys.items():
            keys[key] = user
            users[user] = self._users[user]
        self._gatekeeper.allow(keys)
        self._acceptor.allow(users)
        return outside

    # --- ports.Transport -------------------------------------------------------------------------

    def receive(self, limit: int) -> Sequence[Inbound]:
        """At most `limit` waiting frames, fairly from all peers, without blocking."""
        self._read()
        return super().receive(limit)

    def send(self, send: Send) -> None:
        """Queue a frame for one member, or for all others."""
        if send.to == ALL:
            for other in range(len(self._names)):
                if other != self._index:
                    self._to_member(other, send.frame)
        else:
            self._to_member(send.to, send.frame)

    def reply(self, reply: ReplyTo) -> None:
        """Queue a frame for a client process; dropped if it has no connection."""
        route = self._acceptor.client_route(reply.principal, reply.client)
        if route is not None:
            self._acceptor.send(route, reply.frame)

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Queue a frame for exactly the connection that asked; dropped if it has another owner now."""
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

    def connected(self) -> list[str]:
        """Names of the other members with a live link, in order of their index."""
        return [self._names[other] for other in range(len(self._names)) if self._is_connected(other)]

    def counters(self) -> dict[str, LinkCounters]:
        """Counters by peer, sent and received, summed over all its connections."""
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
        """Messages that were not a single frame of a known peer."""
        return self._acceptor.malformed

    def close(self) -> None:
        """Close every socket at once; nothing lingers."""
        for link in self._links.values():
            link.close()
        self._acceptor.close()
        self._gatekeeper.close()

    # --- internals -------------------------------------------------------------------------------

    def _read(self) -> None:
        ready = self._poll.take()
        self._now, self._wall = time.monotonic_ns(), time.time_ns()
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
        self.inbox.put(peer, frame, self._now, self._wall)

    def _to_member(self, other: int, frame: bytes) -> None:
        """Send via the link that this member dialled, else via the one that the other member dialled."""
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


def _place_of(genesis: Genesis, index: int, bind: tuple[str, int] | None) -> tuple[str, int]:
    """(host, port) on which a member listens."""
    own = genesis.members[index]
    return bind or (own.host, own.port)


def _sum(first: LinkCounters, second: LinkCounters) -> LinkCounters:
    names = LinkCounters.__struct_fields__
    return LinkCounters(**{name: getattr(first, name) + getattr(second, name) for name in names})


def _sent_only(counters: LinkCounters) -> LinkCounters:
    """The counters of a dialled link except those of received frames, which the inbox counts."""
    return LinkCounters(
        **{
            name: 0 if name.endswith("_received") else getattr(counters, name)
            for name in LinkCounters.__struct_fields__
        }
    )
