"""Who is whose neighbour: HyParView (Leitao, Pereira and Rodrigues, DSN 2007, section 4).

The *active view* holds the neighbours, over links that stay up; among relays it is symmetric. The *passive
view* holds addresses of others, of which one replaces each neighbour that fails. Walks over the overlay make
newcomers known, and shuffles keep the passive views random.

What differs from the paper:

* *Referral.* A full node does not evict a neighbour for a newcomer: it refuses with addresses of others
  (Overcast, Jannotti et al., OSDI 2000) and sends the walk on its way. Only who has no neighbour at all may
  not be refused (the paper's priority), and evicts one, at best one that the tree does not use.
* *Sources.* A link brings the log only to who dialled it, so a node also dials as many relays as its active
  view has places, neighbours or not, and no more (decision 0288). Who refused stays linked as one of them.
* *Leaves.* Who listens nowhere only dials: its neighbours keep it apart from their active view.
* *Shuffle.* Its reply goes back along the walk; no connection is made for it. Addresses are signed, so nobody
  on the way can alter them.
* *Members* have no views: their full mesh is one hop. They refer newcomers, and begin walks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from dtvn.overlay.messages import (
    SHUFFLE_MAX,
    Disconnect,
    ForwardJoin,
    Join,
    Neighbour,
    NeighbourReply,
    Shuffle,
    ShuffleReply,
)
from dtvn.overlay.ports import Chance, Contact, Out, pick, sample
from dtvn.sync import Item

PASSIVE_MAX = 30
"""Addresses in the passive view: the paper's value for 10,000 nodes."""
WALK = 6
"""Hops of a newcomer's walk (the paper's ARWL)."""
WALK_PASSIVE = 3
"""Hops left at which it also enters a passive view (PRWL)."""
WALKERS = 3
"""Walks that a member begins for a newcomer, through relays that are linked to it."""
SHUFFLE_WALK = 3
SHUFFLE_EVERY = 10_000_000_000
"""Nanoseconds between two shuffles."""
ACTIVE_SHUFFLED, PASSIVE_SHUFFLED = 3, 4
"""Addresses of each view in a shuffle (the paper's ka and kp)."""
DIAL_TIME = 3_000_000_000
"""Nanoseconds in which a dialled peer must have answered."""
RETRY = 10_000_000_000
"""Nanoseconds for which who refused, or did not answer, is not asked again."""
FILL_EVERY = 500_000_000
"""Nanoseconds between two looks for missing neighbours, besides those when one fails."""
DIALS_MAX = 2
"""Most peers that are dialled at the same time."""
LEAVES_MAX = 64
"""Most leaves of one node."""
RETURNS_MAX = 64
"""Most shuffles whose way back is remembered; the oldest is forgotten first."""
TRIED_MAX = 128
NEVER = 1 << 62


class _Return(msgspec.Struct, frozen=True):
    """The way back of a shuffle: whose it was, and the number under which it came; b"": it was ours."""

    key: bytes
    number: int


class Views:
    """The views of one node. Keys are public keys; times monotonic nanoseconds."""

    def __init__(
        self, size: int, chance: Chance, out: Out, now: int, *, is_member: Callable[[bytes], bool]
    ) -> None:
        """`size`: of the active view, and number of relays that are dialled; 0 for members, which only
        refer."""
        self.size = size
        self._is_member = is_member
        self.active: dict[bytes, Contact | None] = {}
        """Neighbour -> its address record, None until it is known."""
        self.leaves: dict[bytes, Contact] = {}
        """Neighbours that listen nowhere."""
        self.passive: dict[bytes, Contact] = {}
        self.linked: dict[bytes, bool] = {}
        """Linked peer -> whether it was dialled from here; in the order in which they came."""
        self.uses: frozenset[bytes] = frozenset()
        """Peers that the tree uses, which are evicted last."""
        self.record: Item | None = None
        """This node's own address record."""
        self._chance = chance
        self._out = out
        self._asked: dict[bytes, int] = {}
        """Peer that was dialled or asked to be a neighbour -> until when it may answer."""
        self._tried: dict[bytes, int] = {}
        """Peer that refused or did not answer -> until when it is not asked."""
        self._returns: dict[int, _Return] = {}
        self._shuffle_at = now + SHUFFLE_EVERY
        self._fill_at = now

    # --- links --------------------------------------------------------------------------------------

    def on_up(self, key: bytes, now: int, *, dialled: bool) -> None:
        """A link is up. `dialled`: from here."""
        self.linked.setdefault(key, dialled)
        if self.record is None or not self.size:
            return
        if key in self._asked and self.is_full:
            del self._asked[key]
        elif key in self._asked:
            self._ask(key, now)
        elif dialled and not self.is_full and key not in self.active:
            self._asked[key] = now + DIAL_TIME
            self._out.send(key, Join(self.record))

    def on_down(self, key: bytes, now: int) -> None:
        """A link is down, or could not be made: the peer that was asked is forgotten."""
        self.linked.pop(key, None)
        self.leaves.pop(key, None)
        if self._asked.pop(key, None) is not None or key in self.active:
            self.passive.pop(key, None)
            self._try_later(key, now)
        self.active.pop(key, None)
        self._fill(now)

    @property
    def is_full(self) -> bool:
        return len(self.active) >= self.size

    @property
    def neighbours(self) -> list[bytes]:
        """Of both kinds."""
        return [*self.active, *self.leaves]

    @property
    def sources(self) -> list[bytes]:
        """The linked relays that were dialled from here, oldest first: only they can bring the log."""
        return [key for key, dialled in self.linked.items() if dialled and not self._is_member(key)]

    def spare(self, needed: Collection[bytes]) -> list[bytes]:
        """The links that are to end: of more sources than the view has places, those that nobody needs, the
        oldest first. Thus a node's links do not grow with the others' number, and who was just referred has
        its time to become the source."""
        sources = self.sources
        free = [k for k in sources if not (k in self.active or k in self._asked or k in needed)]
        return free[: max(0, len(sources) - self.size)]

    def offer(self, contacts: Iterable[Contact]) -> None:
        """Note addresses that may replace neighbours."""
        for contact in contacts:
            self._keep(contact)

    def forget(self, key: bytes, now: int) -> None:
        """Do not ask this peer for a while, and drop it from the views."""
        self._leave(key)
        self.passive.pop(key, None)
        self._try_later(key, now)

    # --- joining ------------------------------------------------------------------------------------

    def on_join(self, key: bytes, newcomer: Contact, now: int) -> None:
        """Take a newcomer, or refer it; and let it be known by a walk through each neighbour."""
        self._answer(key, newcomer, high=False)
        if newcomer.can_be_dialled:
            known = [each for each in self.passive if each in self.linked]
            walkers = list(self.active) if self.size else sample(self._chance, known, WALKERS)
            for walker in walkers:
                if walker != key:
                    self._out.send(walker, ForwardJoin(newcomer.item, WALK))
            self._keep(newcomer)

    def on_forward_join(self, key: bytes, newcomer: Contact, ttl: int, now: int) -> None:
        """Become the newcomer's neighbour at the end of its walk, or send it on."""
        if not newcomer.can_be_dialled or self._is_me(newcomer.key):
            return
        ttl = min(ttl, WALK)
        others = [each for each in self.active if each not in (key, newcomer.key)]
        if ttl == 0 or not others:
            if not self.is_full and newcomer.key not in self.active:
                self._keep(newcomer)
                self._dial(newcomer, now)
            return
        if ttl <= WALK_PASSIVE:
            self._keep(newcomer)
        self._out.send(pick(self._chance, others), ForwardJoin(newcomer.item, ttl - 1))

    def on_neighbour(self, key: bytes, contact: Contact, high: bool, now: int) -> None:
        """Take a peer into the active view if there is room, or if it has no other."""
        self._answer(key, contact, high=high)
        self._keep(contact)

    def on_reply(self, key: bytes, accepted: bool, contacts: list[Contact], now: int) -> bool:
        """Note an answer; returns whether one was awaited. `contacts`: of who accepts its own address, of who
        refuses those of others."""
        if self._asked.pop(key, None) is None:
            return False
        if accepted and (not self.is_full or key in self.active):
            self.active[key] = next((contact for contact in contacts if contact.key == key), None)
            self.passive.pop(key, None)
            return True
        if accepted:
            self._out.send(key, Disconnect())
        self._try_later(key, now)
        self.offer(contacts)
        self._fill(now)
        return True

    def on_disconnect(self, key: bytes, now: int) -> None:
        """A neighbour has taken this node out of its view."""
        if key in self.active or key in self.leaves:
            self._try_later(key, now)
            self._leave(key)
            self._fill(now)

    def _answer(self, key: bytes, contact: Contact, *, high: bool) -> None:
        """Accept or refuse a peer that asks to be a neighbour."""
        accepted = contact.key == key and self._accept(key, contact, high)
        if accepted:
            records: tuple[Item, ...] = () if self.record is None else (self.record,)
            self._asked.pop(key, None)  # both asked at the same time
        else:
            records = tuple(each.item for each in self._referrals(key))
        self._out.send(key, NeighbourReply(accepted, records))

    def _accept(self, key: bytes, contact: Contact, high: bool) -> bool:
        if not self.size:
            return False
        if not contact.can_be_dialled:
            if key not in self.leaves and len(self.leaves) >= LEAVES_MAX:
                return False
            self.leaves[key] = contact
            return True
        if key not in self.active and self.is_full:
            if not high:
                return False
            self._evict()
        self.active[key] = contact
        self.passive.pop(key, None)
        return True

    def _evict(self) -> None:
        """Make room for who has no other neighbour."""
        victims = [key for key in self.active if key not in self.uses] or list(self.active)
        victim = pick(self._chance, victims)
        self._out.send(victim, Disconnect())
        self._leave(victim)

    def _referrals(self, asker: bytes) -> list[Contact]:
        """Addresses of others for who is refused: neighbours first, which are up."""
        near = [contact for contact in self.active.values() if contact is not None]
        known = {each.key: each for each in (*self.passive.values(), *near) if each.can_be_dialled}
        known.pop(asker, None)
        first = [each.key for each in near if each.key in known]
        rest = sample(self._chance, [key for key in known if key not in first], SHUFFLE_MAX)
        return [known[key] for key in (sample(self._chance, first, SHUFFLE_MAX) + rest)[: SHUFFLE_MAX // 2]]

    def _leave(self, key: bytes) -> None:
        contact = self.active.pop(key, None)
        self.leaves.pop(key, None)
        if contact is not None:
            self._keep(contact)

    # --- shuffling ----------------------------------------------------------------------------------

    def on_shuffle(self, key: bytes, message: Shuffle, contacts: list[Contact], now: int) -> None:
        """Send a shuffle on, or answer it at the end of its walk."""
        others = [each for each in self.active if each != key]
        ttl = min(message.ttl, SHUFFLE_WALK)
        if ttl > 0 and others:
            number = self._remember(_Return(key, message.number))
            records = tuple(contact.item for contact in contacts)
            self._out.send(pick(self._chance, others), Shuffle(number, ttl - 1, records))
            return
        mine = sample(self._chance, self.passive, len(contacts))
        self._out.send(key, ShuffleReply(message.number, tuple(self.passive[each].item for each in mine)))
        self._exchange(contacts, mine)

    def on_shuffle_reply(self, number: int, contacts: list[Contact]) -> bool:
        """Keep what came, or send it back the way that the shuffle came; returns whether it was awaited."""
        back = self._returns.pop(number, None)
        if back is None:
            return False
        if back.key in self.linked:
            self._out.send(back.key, ShuffleReply(back.number, tuple(contact.item for contact in contacts)))
        elif not back.key:
            self._exchange(contacts, [])
        return True

    def _shuffle(self) -> None:
        if not self.active or self.record is None:
            return
        near = [contact.item for contact in self.active.values() if contact is not None]
        active = [near[place] for place in _places(self._chance, len(near), ACTIVE_SHUFFLED)]
        passive = [self.passive[key].item for key in sample(self._chance, self.passive, PASSIVE_SHUFFLED)]
        number = self._remember(_Return(b"", 0))
        target = pick(self._chance, list(self.active))
        self._out.send(target, Shuffle(number, SHUFFLE_WALK, (self.record, *active, *passive)))

    def _remember(self, back: _Return) -> int:
        """A number that only this node knows for the way back."""
        number = self._chance.below(NEVER)
        self._returns[number] = back
        if len(self._returns) > RETURNS_MAX:
            del self._returns[next(iter(self._returns))]
        return number

    def _exchange(self, contacts: list[Contact], sent: list[bytes]) -> None:
        """Take addresses; those that were sent away make room first."""
        for contact in contacts:
            if len(self.passive) >= PASSIVE_MAX and sent:
                self.passive.pop(sent.pop(), None)
            self._keep(contact)

    # --- filling ------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Give up who did not answer, look for missing neighbours, shuffle."""
        for key in [key for key, until in self._asked.items() if now >= until]:
            del self._asked[key]
            self.passive.pop(key, None)
            self._try_later(key, now)
        if now >= self._fill_at:
            self._fill_at = now + FILL_EVERY
            self._fill(now)
        if now >= self._shuffle_at:
            self._shuffle_at = now + SHUFFLE_EVERY
            self._shuffle()

    def deadline(self) -> int:
        """When `tick` is due."""
        if not self.size:
            return NEVER
        times = [self._shuffle_at, *self._asked.values()]
        return min([*times, self._fill_at] if self._missing() else times)

    def _missing(self) -> int:
        """Neighbours, or else sources, that are missing."""
        return max(self.size - len(self.active), self.size - len(self.sources))

    def _fill(self, now: int) -> None:
        """Ask others to be neighbours while some are missing, and dial while sources are."""
        while self.record is not None and len(self._asked) < min(DIALS_MAX, self._missing()):
            candidates = [key for key in self.passive if self._may_ask(key, now)]
            if self.is_full:
                candidates = [key for key in candidates if key not in self.linked]
            if not candidates:
                return
            self._dial(self.passive[pick(self._chance, candidates)], now)

    def _may_ask(self, key: bytes, now: int) -> bool:
        return key not in self.active and key not in self._asked and now >= self._tried.get(key, 0)

    def _dial(self, contact: Contact, now: int) -> None:
        if contact.key in self._asked or self.record is None:
            return
        self._asked[contact.key] = now + DIAL_TIME
        if contact.key in self.linked:
            self._ask(contact.key, now)
        else:
            self._out.dials.append(contact.item)

    def _ask(self, key: bytes, now: int) -> None:
        if self.record is not None:
            self._asked[key] = now + DIAL_TIME
            self._out.send(key, Neighbour(not self.active, self.record))

    def _try_later(self, key: bytes, now: int) -> None:
        self._tried[key] = now + RETRY
        if len(self._tried) > TRIED_MAX:
            del self._tried[next(iter(self._tried))]

    def _keep(self, contact: Contact) -> None:
        """Put an address into the passive view, of which a random one makes room."""
        key = contact.key
        if not contact.can_be_dialled or key in self.active or self._is_me(key):
            return
        known = self.passive.get(key)
        if known is not None and known.item.version >= contact.item.version:
            return
        if known is None and len(self.passive) >= PASSIVE_MAX:
            del self.passive[pick(self._chance, list(self.passive))]
        self.passive[key] = contact

    def _is_me(self, key: bytes) -> bool:
        return self.record is not None and key == self.record.author


def _places(chance: Chance, length: int, count: int) -> list[int]:
    rest = list(range(length))
    return [rest.pop(chance.below(len(rest))) for _ in range(min(count, length))]
