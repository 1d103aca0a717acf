"""ports.Transport of a process that follows the log (R28, R45): it dials members and relays, and, if it
listens, accepts its own children.

Dialled peers have indices, as in consensus.sources: members of the epoch from 0 on, then members of a later
epoch, then relays, each in a slot that it keeps while it is dialled. Those that dialled this process have
names, and no index unless they are members of the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import zmq

from dtvn.net.curve import curve_keys, curve_public
from dtvn.net.dial import endpoint_of
from dtvn.net.dialled import DialledLink
from dtvn.net.links import Links
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Member
from dtvn.protocol.signatures import is_public_key
from dtvn.protocol.wire import spoken

SLOTS_MAX = 32
"""Most relays that are dialled at one time: several times the overlay's largest active view."""

Address = tuple[str, int]


class RelayTransport(Links):
    """Links of a follower, over all epochs. `spare`: the seed of a second key of this process, for members
    that accept only that one. `listen`: (host, port) at which others reach it, port 0 for any; None: it does
    not listen. Raises ValueError, zmq.ZMQError.

    `members`: those of the epoch, then those of a later one; `wanted`: public keys of those that are dialled,
    None: all are.
    """

    _follower = True

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        seed: bytes,
        members: Sequence[Member],
        *,
        spare: bytes | None = None,
        listen: Address | None = None,
        local: bool = False,
        wanted: Collection[bytes] | None = None,
    ) -> None:
        super().__init__(context, seed)
        self._spare = spare
        self._bound = listen
        self._own = {curve_keys(each).public for each in (seed, spare) if each is not None}
        self._wanted = None if wanted is None else set(wanted)
        self._members: tuple[Member, ...] = ()
        self._addresses: dict[bytes, Address] = {}
        """Public key of a member -> where it is dialled instead of at its address in the log."""
        self._relays: dict[int, bytes] = {}
        """Slot -> public key of the relay that is dialled in it."""
        if listen is not None:
            self._listen(*listen, local=local)
        self.follow(members)

    def keeps(self, seed: bytes, spare: bytes | None, listen: Address | None = None) -> bool:
        """Whether this process has the same keys and address in another epoch, so that it can `follow`."""
        return (self._seed, self._spare, self._bound) == (seed, spare, listen)

    @property
    def listens(self) -> bool:
        """Whether others can connect to it."""
        return self._bound is not None

    # --- whom it dials ----------------------------------------------------------------------------

    def follow(self, members: Sequence[Member]) -> None:
        """Another epoch begins, with these members: links to those that keep their key stay up, and so do
        links to relays that have not become members. Call `admit` next."""
        before = {self._key_at(index): link for index, link in self._links.items()}
        relays = dict(self._relays)
        shift = len(members) - len(self._members)
        self._members = tuple(members)
        keys = {member.public_key for member in members}
        self._relays = {slot + shift: key for slot, key in relays.items() if key not in keys}
        self._links.clear()
        for slot, key in self._relays.items():
            self._links[slot] = before.pop(key)
        self._peers = {index: Peer(name=each.id, member=index) for index, each in enumerate(members)} | {
            slot: Peer(name=_relay_name(key), member=slot) for slot, key in self._relays.items()
        }
        for index, member in enumerate(members):
            if self._is_wanted(index):
                self._dial_member(index, before.pop(member.public_key, None))
        for link in before.values():
            link.close()
        self._links_in_order()
        self.inbox.follow({peer.name: place for place, peer in self._peers.items()})

    def dial(self, public_key: bytes, address: Address) -> int | None:
        """Dial a member or a relay at this address; returns its index, None if all slots are taken or the key
        is not one. One that is dialled already is dialled there once its link is lost."""
        index = self.index_of(public_key)
        if index is not None:
            self._addresses[public_key] = address
            if self._wanted is not None:
                self._wanted.add(public_key)
            self._dial_member(index, self._links.get(index))
            self._links_in_order()
            return index
        return self._dial_relay(public_key, address)

    def _dial_relay(self, public_key: bytes, address: Address) -> int | None:
        known = next((slot for slot, key in self._relays.items() if key == public_key), None)
        if known is not None:
            if self._links[known].endpoint != endpoint_of(*address):
                self._links[known].redial(endpoint_of(*address))
            return known
        first = len(self._members)
        slot = next((each for each in range(first, first + SLOTS_MAX) if each not in self._relays), None)
        if slot is None or not is_public_key(public_key):
            return None
        self._relays[slot] = public_key
        self._peers = {**self._peers, slot: Peer(name=_relay_name(public_key), member=slot)}
        self._links[slot] = self._open(public_key, address, curve_keys(self._seed))
        return slot

    def hang_up(self, public_key: bytes) -> None:
        """Dial a peer no longer; without effect on members where all of them are wanted."""
        index = self.index_of(public_key)
        if index is not None and self._wanted is not None:
            self._wanted.discard(public_key)
            if (link := self._links.pop(index, None)) is not None:
                link.close()
        for slot, key in list(self._relays.items()):
            if key == public_key:
                self._links.pop(slot).close()
                del self._relays[slot]
                self.inbox.forget(_relay_name(key))

    def index_of(self, public_key: bytes) -> int | None:
        """Index of a member; None for others."""
        return next((at for at, each in enumerate(self._members) if each.public_key == public_key), None)

    def has_dialled(self, public_key: bytes) -> bool:
        """Whether this process dials a peer, linked or not."""
        return any(self._key_at(index) == public_key for index in self._links)

    @property
    def members(self) -> tuple[Member, ...]:
        """Those of the epoch, then those of a later one."""
        return self._members

    def up(self) -> tuple[int, ...]:
        """Indices of the peers that this process dialled and that are linked now, ascending."""
        return tuple(index for index, link in sorted(self._links.items()) if link.ready)

    def dialled_up(self) -> list[bytes]:
        """Public keys of those, in the same order."""
        return [key for index in self.up() if (key := self._key_at(index)) is not None]

    # --- who may connect --------------------------------------------------------------------------

    def admit(self, principals: Mapping[str, bytes]) -> None:
        """From now on accept the members and these principals (name on the wire to Ed25519 key). Does nothing
        for a process that does not listen. Keys that are invalid, which an old log may list, are left out."""
        if not self.listens:
            return
        keys: dict[bytes, str] = {}
        users: dict[str, Peer] = {}
        self._named = {}
        for name, key in principals.items():
            if is_public_key(key) and curve_public(key) not in self._own:
                user = f"principal/{name}"
                keys[curve_public(key)] = user
                users[user] = Peer(name=user, member=None)
                self._named[user] = key
        for index, member in enumerate(self._members):
            user = f"member/{member.id}/{member.public_key.hex()[:16]}"
            keys[curve_public(member.public_key)] = user
            users[user] = self._peers[index]
            self._named[member.id] = member.public_key
        self._gatekeeper.allow(keys)
        self._acceptor.allow(users)

    # --- ports.Transport --------------------------------------------------------------------------

    def send(self, send: Send) -> None:
        """Queue a frame for one peer by its index, or for all that are dialled."""
        frame = spoken(send.frame, self.version)
        for index in list(self._links) if send.to == ALL else (send.to,):
            if index in self._links and frame is not None:
                self._links[index].send(frame)

    def reply(self, reply: ReplyTo) -> None:
        """A follower has no clients."""

    # --- the loop's side --------------------------------------------------------------------------

    def connected(self) -> list[str]:
        """Names of the dialled peers with a live link, by index."""
        return [self._peers[index].name for index in self.up()]

    # --- internals --------------------------------------------------------------------------------

    def _is_wanted(self, index: int) -> bool:
        return self._wanted is None or self._members[index].public_key in self._wanted

    def _key_at(self, index: int) -> bytes | None:
        if index < len(self._members):
            return self._members[index].public_key
        return self._relays.get(index)

    def _dial_member(self, index: int, link: DialledLink | None) -> None:
        """Dial a member, or keep the link that leads to it."""
        member = self._members[index]
        address = self._addresses.get(member.public_key, (member.host, member.port))
        if link is None:
            link = self._open(member.public_key, address, curve_keys(self._seed))
            link.spare = None if self._spare is None else curve_keys(self._spare)
        elif link.endpoint != endpoint_of(*address):
            link.redial(endpoint_of(*address))
        self._links[index] = link

    def _links_in_order(self) -> None:
        """By index, so that reading is fair in a known order."""
        ordered = dict(sorted(self._links.items()))
        self._links.clear()
        self._links.update(ordered)


def _relay_name(public_key: bytes) -> str:
    return f"relay/{public_key.hex()[:16]}"
