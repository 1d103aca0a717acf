"""All that an overlay does of what comes in by chance: messages, refusals, dials, views, book and figures."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.overlay import messages as o
from dtvn.overlay.overlay import Overlay
from dtvn.overlay.records import AddressValue, signed_address
from dtvn.protocol import canonical
from dtvn.sync import Item, ItemError
from simulator.overlay_peers import MEMBERS, Gossip, Peer
from simulator.overlay_world import MS, SECOND, OverlayWorld
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"


class Names:
    """Keys and records of a world in words."""

    def __init__(self, world: OverlayWorld) -> None:
        self.world = world

    def key(self, key: bytes) -> str:
        number = self.world.numbers.get(key)
        if number is None:
            return "nobody" if not key else "a stranger"
        return f"m{number}" if number < MEMBERS else f"p{number}"

    def keys(self, keys: Any) -> str:
        return "{" + " ".join(self.key(key) for key in keys) + "}"

    def item(self, item: Item) -> str:
        try:
            value = canonical.decode(AddressValue, item.value)
            said = f"{value.role} {value.addresses[0][0] if value.addresses else '-'}"
        except (canonical.CanonicalError, ItemError):
            said = f"{len(item.value)} bytes"
        return f"{self.key(item.author)}+{item.version - self.world.wall + self.world.time // 1_000}({said})"

    def message(self, message: o.Message) -> str:
        parts = [type(message).__name__]
        for field in message.__struct_fields__:
            value = getattr(message, field)
            if isinstance(value, Item):
                parts.append(self.item(value))
            elif isinstance(value, tuple):
                parts.append("[" + ", ".join(self.item(each) for each in value) + "]")
            elif isinstance(value, bytes):
                parts.append(value.hex() if len(value) <= 32 else f"{len(value)} bytes")
            else:
                parts.append(str(value))
        return " ".join(parts)

    def standing(self, overlay: Overlay) -> list[str]:
        """The views, the conduct and the figures."""
        views, now = overlay.views, self.world.now
        blamed = [f"{self.key(key)} {overlay.conduct.counts(key)}" for key in self.world.numbers
                  if overlay.conduct.counts(key)]  # fmt: skip
        kept_off = [key for key in self.world.numbers if not overlay.may_link(key, now)]
        book = [overlay.book.get(key) for key in self.world.numbers]
        failed = [known.item.author for known in book if known is not None and known.failed]
        return [
            f"  active {self.keys(views.active)} leaves {self.keys(views.leaves)}"
            f" passive {self.keys(views.passive)} linked {self.keys(views.linked)}",
            f"  book {self.keys(known.item.author for known in book if known)} failed {self.keys(failed)}",
            f"  blamed {blamed} kept off {self.keys(kept_off)}",
            f"  {overlay.figures()} checks {overlay.checks} due in {overlay.deadline() - now.monotonic}",
        ]


class OverlayStory:
    """One overlay driven by chance; the other peers lend their names."""

    def __init__(self, number: int, others: int, seed: str) -> None:
        self.world = OverlayWorld(1, others)
        self.peer = self.world.peers[number]
        self.overlay = self.peer.overlay
        self.others = [peer for peer in self.world.peers if peer is not self.peer]
        self.chance, self.names = random.Random(seed), Names(self.world)
        self.lines: list[str] = []
        self.asked: dict[bytes, list[o.Message]] = {}
        self.dialled: list[bytes] = []
        self.overlay.set_record(self.peer.record, self.world.now)
        self.done("begins")

    def done(self, what: str) -> None:
        """What was done, and what the overlay wants done for it."""
        self.lines.append(f"{self.world.time // MS} ms: {what}")
        done = self.overlay.take()
        for key, body in done.sends:
            message = o.decode(body)
            if isinstance(message, o.Shuffle | o.Closest | o.Neighbour | o.Join):
                self.asked.setdefault(key, []).append(message)
            self.lines.append(f"  to {self.names.key(key)}: {self.names.message(message)}")
        self.dialled += [item.author for item in done.dials]
        self.lines += [f"  dials {self.names.item(item)}" for item in done.dials]
        ended = done.hang_ups
        self.lines += [f"  hangs up on {self.names.key(key)}" for key in ended]
        for key in ended:
            if self.chance.random() < 0.7:
                self.overlay.on_down(key, self.world.now)

    def record(self, peer: Peer) -> Item:
        """One of a peer's records: mostly true ones, of one role or the other."""
        sort = self.chance.random()
        if sort < 0.5:
            return peer.record
        role, places = ("leaf", ()) if sort > 0.9 else ("relay", (("10.1.1.1", 9),))
        wall = self.world.wall + self.chance.randrange(50)
        secret, cluster = peer.secret, self.world.cluster
        if sort > 0.985:
            _public, secret = self.world.keyring.pair("a stranger")
        item = signed_address(cluster, secret, AddressValue(peer.name, role, places), wall)  # type: ignore[arg-type]
        return msgspec.structs.replace(item, timestamp=wall + 7) if 0.5 < sort < 0.515 else item

    def records(self) -> tuple[Item, ...]:
        some = self.chance.sample(self.others, self.chance.randrange(5 if len(self.others) < 20 else 14))
        return tuple(self.record(peer) for peer in some)

    def message(self, peer: Peer) -> o.Message | bytes:
        """Something that a peer may say, or may not: often the answer to what it was asked."""
        chance, about = self.chance, self.chance.choice(self.others)
        questions = self.asked.get(peer.public)
        asked = questions.pop() if questions else None
        if asked is not None and chance.random() < 0.8:
            return self.answer(peer, asked)
        number = 5
        says: list[Callable[[], o.Message | bytes]] = [
            lambda: o.Join(self.record(peer if chance.random() < 0.9 else about)),
            lambda: o.ForwardJoin(self.record(about), chance.choice((0, 0, 2, 3, 4, 9))),
            lambda: o.Neighbour(chance.random() < 0.3, self.record(peer)),
            lambda: o.Neighbour(False, peer.record),
            lambda: o.NeighbourReply(chance.random() < 0.7, (peer.record, *self.records())),
            lambda: o.NeighbourReply(chance.random() < 0.5, self.records()),
            o.Disconnect,
            lambda: o.Shuffle(chance.randrange(99), chance.choice((0, 1, 3, 8)), self.records()),
            lambda: o.ShuffleReply(number, self.records()),
            lambda: o.Closest(chance.randrange(99), bytes([chance.randrange(256)]) * 32),
            lambda: o.Records(number, self.records()),
            lambda: o.Rumour(chance.choice((0, 1, 5, 16)), self.records()),
            lambda: o.Exchange(b"nonsense") if chance.random() < 0.1 else o.Rumour(2, self.records()),
            lambda: b"nonsense" if chance.random() < 0.2 else o.Rumour(3, (peer.record,)),
        ]  # fmt: skip
        return chance.choice(says)()

    def answer(self, peer: Peer, asked: o.Message) -> o.Message:
        if isinstance(asked, o.Shuffle):
            return o.ShuffleReply(asked.number, self.records())
        if isinstance(asked, o.Closest):
            return o.Records(asked.number, self.records())
        accepted = self.chance.random() < 0.7
        own = (peer.record,) if self.chance.random() < 0.5 else ()
        return o.NeighbourReply(accepted, own if accepted else self.records())

    def hears(self, peer: Peer) -> None:
        linked = peer.public in self.overlay.views.linked
        told = self.message(peer)
        if not linked and self.chance.random() < 0.7:
            told = o.Rumour(3, self.records()) if self.chance.random() < 0.5 else o.Closest(1, peer.public)
        body = told if isinstance(told, bytes) else o.encode(told)
        said = repr(told) if isinstance(told, bytes) else self.names.message(told)
        if linked:
            reason = self.overlay.receive(peer.public, body, self.world.now)
            self.done(f"{peer.name} says {said}: {reason!r}")
            return
        reason, answer = self.overlay.visit(peer.public, body, self.world.now)
        answered = None if answer is None else self.names.message(o.decode(answer))
        self.done(f"{peer.name} visits with {said}: {reason!r} {answered}")

    def step(self) -> None:
        chance, overlay, now = self.chance, self.overlay, self.world.now
        linked = [each for each in self.others if each.public in overlay.views.linked]
        peer = chance.choice(linked if linked and chance.random() < 0.8 else self.others)
        match chance.randrange(20):
            case 0 | 1 | 2 if self.dialled:
                key = self.dialled.pop()
                overlay.on_up(key, now, dialled=True)
                self.done(f"{self.names.key(key)} is reached")
            case 0 | 1 | 2 if peer not in linked:
                overlay.on_up(peer.public, now, dialled=False)
                self.done(f"{peer.name} dials this one")
            case 3:
                overlay.on_down(peer.public, now)
                self.done(f"{peer.name} is down")
            case 4:
                some = [each.public for each in chance.sample(self.others, 2)]
                overlay.uses(some)
                overlay.wants_member = not overlay.wants_member
                self.done(f"the tree uses {self.names.keys(some)}")
            case 5:
                room = overlay.seek(peer.public, now)
                self.done(f"seeks {peer.name}: {room}")
            case 6:
                records = [canonical.encode(self.record(each)) for each in chance.sample(self.others, 4)]
                overlay.refer([*records, b"nonsense"], now)
                self.done("is referred")
            case 7:
                some = [each.public for each in chance.sample(self.others, 5)]
                held = [canonical.decode(Item, data) for data in overlay.records_of(some)]
                self.done(f"names {[self.names.item(item) for item in held]} of {self.names.keys(some)}")
            case 8:
                (
                    overlay.hear(self.records(), now)
                    if chance.random() < 0.8
                    else overlay.blame(peer.public, now)
                )
                self.done("hears, or blames")
            case 9:
                self.lines += self.names.standing(overlay)
            case 10 | 11 | 12:
                self.world.time += chance.choice((SECOND // 2, SECOND, 4 * SECOND))
                overlay.tick(self.world.now)
                self.done("a tick")
            case _:
                self.hears(peer)


@pytest.mark.parametrize(
    ("who", "number", "others"), [("relay", MEMBERS, 9), ("member", 0, 7), ("crowded-relay", MEMBERS, 60)]
)
def test_an_overlay_by_chance(golden: Compare, who: str, number: int, others: int) -> None:
    story = OverlayStory(number, others, who)
    for _step in range(600):
        story.step()
    story.lines += story.names.standing(story.overlay)
    golden.drawn(GOLDEN / f"overlay-of-a-{who}.txt", "\n".join(story.lines) + "\n")


def test_a_world_of_overlays(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve followers find each other, four die, one joins late: every message of the overlay."""
    world = OverlayWorld(3, 12, loss=0.02)
    names, lines = Names(world), []
    send = world.send

    def told(source: int, target: int, message: Any) -> None:
        if isinstance(message, Gossip):
            said = names.message(o.decode(message.body))
            lines.append(f"{world.time // MS} ms: {source} to {target}: {said}")
        send(source, target, message)

    monkeypatch.setattr(world, "send", told)
    world.begin(knows=3)
    world.run(12)
    world.kill(world.followers[2:6])
    late = world.add()
    world.introduce(late, world.peers[:MEMBERS])
    late.act()
    world.run(12)
    for peer in world.peers:
        if peer.up:
            lines += [f"{peer.name}", *names.standing(peer.overlay)]
    golden.drawn(GOLDEN / "world-of-overlays.txt", "\n".join(lines) + "\n")
