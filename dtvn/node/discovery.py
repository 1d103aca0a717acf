"""Members learn each other's addresses from any member: the overlay's book, asked beside the links (R45).

A member that is missing (not linked, or its record unknown) is searched for in the books of those whose
address was given or learned. A question says first where the asker listens, so that asking makes
known. One `-bootstrap` is enough, one that is down only causes a delay, and who was told may go. A record
moves its author only, and holds IP addresses, never names.

Questions go over sockets of their own (`asker`): members that are not linked cannot be asked over links.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping

from dtvn.net import curve_keys, public_key_of
from dtvn.node.asker import Asker, Heard, Talk
from dtvn.node.overlay_port import SystemChance
from dtvn.node.own_record import Address, OwnRecord
from dtvn.overlay.book import AddressBook
from dtvn.overlay.messages import Closest, OverlayMessageError, Records, Rumour, decode, encode
from dtvn.overlay.ports import Out
from dtvn.overlay.questions import SEARCHES_MAX, Questions
from dtvn.overlay.records import is_place
from dtvn.protocol.consensus.effects import Now
from dtvn.sync import Item

SECOND = 1_000_000_000
AGAIN = SECOND
"""Nanoseconds after the begin of a search until the next one for the same member."""
AGAIN_KNOWN = 5 * SECOND
"""The same for one whose record is known, but which cannot be reached there: mostly it is down."""
SEARCH = 6 * SECOND
"""Nanoseconds after which a search begins anew: who was down may be up."""
SILENT = SECOND
SILENT_MAX = 16 * SECOND
"""Nanoseconds for which a node that said nothing is not asked again, doubling from SILENT. It may be of a
release that does not know these messages: to such a node each is a malformed frame, of which 16 in a minute
would mute this node."""
LOOK = 50_000_000
"""Nanoseconds between two looks at conversations that are under way."""
ROTATE = 3 * SECOND
"""Nanoseconds after which another address of a member that is not linked is dialled."""


class Discovery:
    """The loop calls `look` once a second, and `turn` at each turn. Keys are public keys."""

    def __init__(
        self,
        book: AddressBook,
        own: OwnRecord,
        keys: Mapping[str, bytes],
        *,
        seed: bytes,
        learned: Callable[[list[Item], Now], None] = lambda items, now: None,
    ) -> None:
        """`keys`: the members' keys by id. `learned` receives the records of each answer."""
        self.book = book
        self.own = own
        self._keys = {name: key for name, key in keys.items() if key != public_key_of(seed)}
        self._names = {key: name for name, key in self._keys.items()}
        self._learned = learned
        self._out = Out()
        self._askable: set[bytes] = set()
        """Keys of those of whom an address is known."""
        self._questions = Questions(book, SystemChance(), self._out, self._askable)
        self._asker = Asker(curve_keys(seed))
        self.asks = True
        """Whether others are asked: members of a cluster of version 1 may not know such questions (R47)."""
        self._contacts: dict[bytes, Address] = {}
        """Presumed addresses of members."""
        self._named: tuple[bytes, ...] = ()
        """Members that are asked first."""
        self._wanted: dict[bytes, int] = {}
        """Key of a missing member -> when the next search for it may begin."""
        self._begun: dict[bytes, int] = {}
        """Sought member -> when the search for it began."""
        self._silent: dict[bytes, tuple[int, int]] = {}
        """Who said nothing -> (until when it is not asked, the next such time)."""
        self._looked = 0
        """When conversations were looked at last."""
        self._told: dict[str, tuple[int, int]] = {}
        """Member -> (version of its record, number of the address) that `look` returned last."""
        self._since: dict[str, int] = {}
        """Member that is not linked -> since when it is dialled at that address."""

    def begin(
        self,
        listens: Address,
        contacts: Mapping[str, Address],
        named: Iterable[str],
        books: Mapping[bytes, Address] = {},
    ) -> None:
        """Start asking. `contacts`: presumed addresses of members by id; `named`: those asked first; `books`:
        key and address of others that keep addresses, asked first too."""
        self.own.listens(listens)
        self._contacts = {self._keys[name]: place for name, place in contacts.items() if name in self._keys}
        self._contacts.update(books)
        self._named = (*(self._keys[name] for name in named if name in self._keys), *books)
        self._askable.update(self._contacts)
        self.own.reaches(host for host, _ in self._contacts.values())

    def look(self, connected: Iterable[str], now: Now) -> dict[str, Address]:
        """Note which members are linked; return where others are to be dialled, as far as that changed."""
        linked = frozenset(connected)
        news = {}
        for name, key in self._keys.items():
            address = self._where(name, key, linked, now.monotonic)
            if address is not None:
                news[name] = address
        missing = [key for name, key in self._keys.items() if not (name in linked and self._is_told(key))]
        if not self.asks:
            missing = []
        self._wanted = {key: self._wanted.get(key, now.monotonic) for key in missing}
        for key in self._questions.sought - self._wanted.keys():
            self._questions.drop(key)
        return news

    def turn(self, now: Now) -> None:
        """Take answers, and ask."""
        for heard in self._asker.take():
            self._take(heard, now)
        self._seek(now.monotonic)
        for _ in range(len(self._askable) + 1):  # who cannot be asked fails at once, so that others are due
            if not self._send(now):
                break

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next turn that is needed."""
        sought = self._questions.sought
        times = [at for key, at in self._wanted.items() if key not in sought]
        if len(sought) >= SEARCHES_MAX:
            times = []
        if self._asker.busy:
            times.append(self._looked + LOOK)
        if sought:
            times.append(self._questions.deadline())
        return min(times, default=None)

    def end(self) -> None:
        """Stop asking; the thread ends a moment later."""
        self._asker.end()

    def close(self) -> None:
        """Stop asking, and wait for the end of the thread."""
        self._asker.close()

    # --- internals --------------------------------------------------------------------------------

    def _is_told(self, key: bytes) -> bool:
        """Whether a member said where it is, or needs not."""
        return key in self.book or self._has_name(key)

    def _has_name(self, key: bytes) -> bool:
        """Whether a member is reached by a DNS name, which is better than what it knows of itself."""
        return key in self._contacts and not is_place(self._contacts[key][0])

    def _where(self, name: str, key: bytes, linked: frozenset[str], now: int) -> Address | None:
        """Where a member is to be dialled from now on: at a newer record's first address, or at the next one
        if it is not linked. None: as before."""
        known = self.book.get(key)
        if known is None or self._has_name(key):
            return None
        version, number = self._told.get(name, (-1, 0))
        places = known.value.addresses
        if version != known.item.version:
            number = 0
        elif name in linked or len(places) < 2 or now < self._since.get(name, now) + ROTATE:
            self._since[name] = now if name in linked else self._since.get(name, now)
            return None
        else:
            number = (number + 1) % len(places)
        self._told[name], self._since[name] = (known.item.version, number), now
        return places[number]

    def _seek(self, now: int) -> None:
        for key, begun in list(self._begun.items()):
            if key not in self._questions.sought:
                del self._begun[key]
            elif now >= begun + SEARCH:
                self._questions.drop(key)
        for key, at in self._wanted.items():
            if now < at or key in self._questions.sought:
                continue
            known = self.book.get(key)
            if known is not None:
                known.failed = True  # only a newer record helps
            others = [other for other in self._contacts if other not in self.book]
            secrets.SystemRandom().shuffle(others)
            if not self._questions.seek(key, now, first=self._named, contacts=others):
                return
            self._begun[key] = now
            self._wanted[key] = now + (AGAIN if known is None else AGAIN_KNOWN)

    def _send(self, now: Now) -> bool:
        """Begin the conversations that are due; returns whether somebody could not be asked."""
        self._questions.tick(now.monotonic)
        for item in self._out.dials:
            self._askable.add(item.author)
            self._questions.on_up(item.author)
        asked: dict[bytes, list[bytes]] = {}
        for key, message in self._out.sends:
            if isinstance(message, Closest):
                asked.setdefault(key, []).append(encode(message))
        self._out.sends, self._out.dials, self._out.idle = [], [], []
        failed = [key for key, questions in asked.items() if not self._talk(key, questions, now)]
        for key in failed:
            self._questions.on_down(key, now.monotonic)
        self._looked = now.monotonic
        return bool(failed)

    def _talk(self, key: bytes, questions: list[bytes], now: Now) -> bool:
        """Ask one node; returns whether it can be asked now."""
        places = self._places(key)
        if not places or now.monotonic < self._silent.get(key, (0, 0))[0]:
            return False
        record = self.own.item(self.book.own_version)
        tidings = [] if record is None else [encode(Rumour(0, (record,)))]
        self._asker.ask(Talk(key, places, (*tidings, *questions), len(questions)))
        return True

    def _places(self, key: bytes) -> list[Address]:
        known = self.book.get(key)
        places = [] if known is None else list(known.value.addresses)
        if key in self._contacts and self._contacts[key] not in places:
            places.append(self._contacts[key])
        return places

    def _take(self, heard: Heard, now: Now) -> None:
        """Take what a node said in one conversation; what is no answer counts as silence."""
        answered = False
        for body in heard.bodies:
            try:
                message = decode(body)
            except OverlayMessageError:
                continue
            if isinstance(message, Records):
                answered |= self._questions.on_records(heard.key, message, message.items, now)
                self._learned(list(message.items), now)
        if answered:
            self._silent.pop(heard.key, None)
            return
        self._questions.on_down(heard.key, now.monotonic)
        if heard.reached:
            _, wait = self._silent.get(heard.key, (0, SILENT))
            self._silent[heard.key] = (now.monotonic + wait, min(2 * wait, SILENT_MAX))
