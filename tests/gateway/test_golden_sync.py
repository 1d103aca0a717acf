"""State that no log orders, told whole: what processes write, exchange, resolve, and refuse."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl import bindings

from dtvn.events.config import ConflictResolution, StateSyncConfig, SyncProtocol
from dtvn.gateway import StateSynchronizer, state_store, state_sync
from dtvn.gateway.owed import OwedSummary
from dtvn.gateway.state_values import compare_states
from dtvn.sync.views import View
from tests.gateway.wording import Wording, fixed_clock
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
SEEDS = {name: sha256(name.encode()).digest() for name in "abc"}
NODES = {name: bindings.crypto_sign_seed_keypair(seed)[0] for name, seed in SEEDS.items()}
CLUSTER = bytes(range(32))


class Wires:
    """Carries questions of one node to the other; a name that is cut does not answer."""

    def __init__(self, own: str, town: dict[str, StateSynchronizer], asked: Sequence[str]) -> None:
        self._own, self._town = own, town
        self.asked = asked
        self.cut: set[str] = set()
        self.changed: Callable[[bytes], bytes] = lambda body: body

    def active(self) -> Sequence[str]:
        return self.asked

    def ask(self, name: str, body: bytes, timeout: float) -> bytes:
        if name in self.cut:
            raise OSError(f"{name} is cut off")
        return self.changed(self._town[name].answer(self._own, body))


class Story:
    """Three processes that exchange state when the story says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        self.clock = fixed_clock(monkeypatch, state_store, state_sync)
        self.town: dict[str, StateSynchronizer] = {}
        self.wires = {name: Wires(name, self.town, ["b" if name == "a" else "a"]) for name in SEEDS}
        settings = StateSyncConfig(**{"max_retries": 1} | config)
        for name, seed in SEEDS.items():
            self.town[name] = StateSynchronizer(
                name, seed=seed, cluster=CLUSTER, nodes=NODES, peers=self.wires[name], config=settings,
                resolver=_longest, chance=random.Random(name),
            )  # fmt: skip
        self.words, self.lines = Wording(), [f"# {config}"]

    def say(self, what: str, value: Any = None) -> None:
        self.lines.append(f"{what}: {self.words(value)}")

    def tries(self, what: str, do: Callable[[], Any]) -> None:
        try:
            self.say(what, do())
        except (Exception, ExceptionGroup) as error:  # noqa: BLE001 - told
            self.say(what, error)

    def standing(self) -> None:
        for name, node in self.town.items():
            status = node.get_sync_status()
            self.lines.append(f"  {name}: {', '.join(self.words.fields(status))}")
            values = [node.get_state(key) for key in ("k", "mine", "gone")]
            self.lines.append(f"    {self.words(values)}")
            kept = node.get_counter("count"), node.get_members("set"), node.get_owed()
            self.lines.append(f"    {self.words(kept)}")


def _longest(first: View, second: View) -> View:
    """The program's own choice: the value with the longest text."""
    return max(first, second, key=lambda each: len(str(each.value)))


@pytest.mark.parametrize("protocol", list(SyncProtocol))
def test_exchanges(golden: Compare, monkeypatch: pytest.MonkeyPatch, protocol: SyncProtocol) -> None:
    """Writes of three processes, rounds, a cut, changed answers, what is owed."""
    story = Story(monkeypatch, protocol=protocol, snapshot_threshold=3)
    _writes(story)
    for name in ("a", "b", "c", "a", "b"):
        story.tries(f"{name} synchronises", story.town[name].sync_state)
    story.standing()
    story.wires["a"].cut = {"b"}
    story.town["a"].set_state("k", "while cut off")
    story.town["b"].remove_member("set", "x")
    story.town["a"].add_member("set", "x")
    for _time in range(2):
        story.tries("a is cut off", story.town["a"].sync_state)
    story.wires["a"].cut = set()
    story.wires["b"].changed = lambda body: body[:-1] + bytes((body[-1] ^ 1,))
    story.tries("a changed answer", story.town["b"].sync_state)
    story.wires["b"].changed = lambda body: body
    _owes(story)
    for name in "abab":
        story.tries(f"{name} synchronises", story.town[name].sync_state)
    story.standing()
    for body in (b"", b"junk", bytes(40)):
        story.tries("junk is asked", partial(story.town["a"].answer, "b", body))
    golden(GOLDEN / f"sync-{protocol.value}.txt", "\n".join(story.lines) + "\n")


def _writes(story: Story) -> None:
    a, b, c = story.town.values()
    story.say("set", a.set_state("k", {"b": 1, "a": [True, None, "é"]}))
    story.say("set", b.set_state("k", "longer than that of a, by far"))
    story.say("set", c.set_state("mine", 3.5))
    story.say("set", b.set_state("gone", 1))
    b.delete_state("gone")
    story.say("count", [a.increment("count", 5), b.increment("count", -2), c.increment("count")])
    for node, element in ((a, "x"), (a, "y"), (b, "x"), (c, "z")):
        node.add_member("set", element)
    a.remove_member("set", "y")
    story.tries("too large", lambda: a.set_state("k", "x" * 1_000_000))
    story.tries("not JSON", lambda: a.set_state("k", {1, 2}))


def _owes(story: Story) -> None:
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = (
        OwedSummary(number, "t", f"r{number}", made, number + 4, 70 * number) for number in (1, 2)
    )
    owed = [[first, second], [msgspec.structs.replace(second, events=9)]]
    story.town["a"].owing = lambda: owed.pop(0) if owed else []
    story.tries("a is owed two", story.town["a"].sync_state)
    story.say("  b knows", story.town["b"].get_owed())
    story.tries("a is owed one", story.town["a"].sync_state)
    story.say("  b knows", story.town["b"].get_owed())


@pytest.mark.parametrize("resolution", list(ConflictResolution))
def test_conflicts_and_snapshots(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, resolution: ConflictResolution
) -> None:
    """Which value a key has that several wrote; snapshots that are applied, altered, compared."""
    story = Story(monkeypatch, conflict_resolution=resolution)
    _writes(story)
    a, b, c = story.town.values()
    before = a.get_snapshot()
    snapshot = b.get_snapshot({"judged": 7})
    story.say("snapshot", msgspec.structs.replace(snapshot, items=()))
    for name, altered in (
        ("none", None),
        ("altered", msgspec.structs.replace(snapshot, version=99)),
        ("forged", _forged(snapshot)),
        ("as it is", snapshot),
        ("again", snapshot),
    ):
        story.tries(name, partial(a.apply_snapshot, altered))
    a.apply_snapshot(c.get_snapshot())
    story.say("compared", compare_states(before, a.get_snapshot()))
    story.say("equal", compare_states(a.get_snapshot(), a.get_snapshot()).equal)
    story.say("compared", compare_states(a.get_snapshot(), c.get_snapshot()))
    story.standing()
    golden(GOLDEN / f"conflict-{resolution.value}.txt", "\n".join(story.lines) + "\n")


def _forged(snapshot: Any) -> Any:
    items = (msgspec.structs.replace(snapshot.items[0], value=b"99"), *snapshot.items[1:])
    forged = msgspec.structs.replace(snapshot, items=items)
    return msgspec.structs.replace(forged, checksum=forged.summed())


def test_what_no_synchroniser_is_made_of(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed of another node, a resolver that is missing; life without peers."""
    story = Story(monkeypatch)
    given: dict[str, Any] = {"cluster": CLUSTER, "nodes": NODES, "peers": None}
    story.tries("another's seed", lambda: StateSynchronizer("a", seed=SEEDS["b"], **given))
    custom = StateSyncConfig(conflict_resolution=ConflictResolution.CUSTOM)
    story.tries("no resolver", lambda: StateSynchronizer("a", seed=SEEDS["a"], config=custom, **given))
    alone = StateSynchronizer("a", seed=SEEDS["a"], **given)
    alone.set_state("k", 1)
    story.tries("alone", alone.sync_state)
    story.say("status", alone.get_sync_status())
    with alone:
        story.tries("twice", alone.start)
        story.say("running", alone.get_sync_status().running)
    story.say("running", alone.get_sync_status().running)
    golden(GOLDEN / "synchronisers.txt", "\n".join(story.lines) + "\n")
