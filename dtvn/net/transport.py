"""ports.Transport over ZeroMQ: one authenticated, encrypted connection per pair of members.

The member with the lower index dials (`DialledLink`, the other's key pinned), the other listens
(`Acceptor`, which knows its peers by their keys); principals dial every member. See decision 0010.
Receiving never blocks and is fair over peers (`Inbox`); sending never blocks and is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping

import zmq

from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import endpoint_of
from dtvn.net.dialled import DialledLink
from dtvn.net.links import Links
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis, Member
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.wire import spoken

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


class ZmqTransport(Links):
    """Links of one member, over all epochs in which it keeps its key and address. Made after fork, used by
    one thread.

    `bind`: (host, port) at which others reach it, port 0 for any; None: genesis' own address. `addresses`
    overrides where members are dialled, by index. `local`: others reach it through a splice, at `bind`; it
    listens on a free port of this machine only.
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
        local: bool = False,
    ) -> None:
        super().__init__(context, seed)
        self._bound = _place_of(genesis, index, bind)
        self._listen(*self._bound, local=local)
        self._members: tuple[Member, ...] = ()
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
        self._peers = {i: Peer(name=member.id, member=i) for i, member in enumerate(genesis.members)}
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
        return self._open(self._members[other].public_key, self._addresses[other], keys)

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
        named = {member.id: member.public_key for member in self._members}
        outside = []
        for name, key in principals.items():
            user = f"principal/{name}"
            if not is_public_key(key):
                outside.append(name)
                continue
            keys[curve_public(key)] = user
            users[user] = Peer(name=user if name in self._names else name, member=None)
            named[users[user].name] = key
        for key, user in self._keys.items():
            keys[key] = user
            users[user] = self._users[user]
        self._named = named
        self._gatekeeper.allow(keys)
        self._acceptor.allow(users)
        return outside

    # --- ports.Transport -------------------------------------------------------------------------

    def send(self, send: Send) -> None:
        """Queue a frame for one member, or for all others."""
        frame = spoken(send.frame, self.version)
        if frame is None:
            return
        if send.to == ALL:
            for other in range(len(self._names)):
                if other != self._index:
                    self._to_member(other, frame)
        else:
            self._to_member(send.to, frame)

    def reply(self, reply: ReplyTo) -> None:
        """Queue a frame for a client process; dropped if it has no connection."""
        route = self._acceptor.client_route(reply.principal, reply.client)
        frame = spoken(reply.frame, self.version)
        if route is not None and frame is not None:
            self._acceptor.send(route, frame)

    # --- the loop's side -------------------------------------------------------------------------

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

    # --- internals -------------------------------------------------------------------------------

    def _to_member(self, other: int, frame: bytes) -> None:
        """Send via the link that this member dialled, else via the one that the other member dialled."""
        link = self._links.get(other)
        if link is not None and link.ready:
            link.send(frame)
            return
        route = self._acceptor.route_of(self._names[other])
        if route is None or not self._acceptor.send(route, frame):
            self._acceptor.counters[self._names[other]].dropped_outbound += 1

    def _key_at(self, index: int) -> bytes | None:
        return self._members[index].public_key if index < len(self._members) else None

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
