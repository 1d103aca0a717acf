"""The background of a synchroniser, turn by turn: whom it asks and when, and what it tells of failures."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.config import CircuitBreakerConfig, StateSyncConfig, SyncProtocol
from dtvn.gateway import StateSynchronizer, state_peers, state_store, state_sync
from dtvn.gateway.state_peers import Asker, StateSyncError
from tests.gateway.test_golden_sync import CLUSTER, NODES, SEEDS
from tests.gateway.wording import Clock, Wording, fixed_clock
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"


class Wires:
    """Carries questions of one node, and tells whom it asks."""

    def __init__(self, story: Rounds) -> None:
        self.story = story
        self.names: Sequence[str] = ("b", "c")
        self.failure: Exception | None = None

    def active(self) -> Sequence[str]:
        if self.failure is not None:
            raise self.failure
        return self.names

    def back(self) -> None:
        self.failure, self.names = None, ("b",)

    def ask(self, name: str, body: bytes, timeout: float) -> bytes:
        self.story.asked.append(name)
        if name in self.story.cut:
            raise OSError(f"{name} is cut off")
        return self.story.town[name].answer("a", body)


class Wake:
    """What the background waits for: the story's next step is taken while it waits."""

    def __init__(self, story: Rounds) -> None:
        self.story = story
        self.called = False

    def wait(self, seconds: float) -> bool:
        called, self.called = self.called, False
        self.story.step(seconds, called)
        return called

    def clear(self) -> None:
        """The step that comes next may call it again."""

    def set(self) -> None:
        self.called = True


class Rounds(Telling):
    """A node whose background runs in the story's thread, with two peers."""

    def __init__(self, clock: Clock, protocol: SyncProtocol, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__()
        self.clock, self.caplog = clock, caplog
        self.words = Wording()
        self.asked: list[str] = []
        self.cut: set[str] = set()
        self.town: dict[str, StateSynchronizer] = {}
        self.wires = Wires(self)
        config = StateSyncConfig(
            protocol=protocol, snapshot_threshold=2, gossip_fanout=1, sync_interval=7.0, max_retries=1
        )
        for name in SEEDS:
            self.town[name] = StateSynchronizer(
                name, seed=SEEDS[name], cluster=CLUSTER, nodes=NODES, config=config,
                peers=self.wires if name == "a" else None, chance=random.Random(name),
            )  # fmt: skip
        self.node = self.town["a"]
        self.node._wake = Wake(self)  # type: ignore[assignment]
        self.steps: list[tuple[str, Callable[[], Any]]] = []

    def run(self, steps: list[tuple[str, Callable[[], Any]]]) -> None:
        self.steps = [*steps, ("stop", self.node._stopping.set)]
        self.node._run()
        self.say("the background has ended")

    def step(self, seconds: float, called: bool) -> None:
        """Tell what the last round did, then let time go by, and take the next step."""
        self._tell()
        self.clock.elapsed += round(seconds * 1e9)
        what, do = self.steps.pop(0)
        self.say(f"{self.clock.elapsed / 1e9:g} s, woken {called}, waited {seconds:g} s: {what}")
        do()

    def _tell(self) -> None:
        status = self.node.get_sync_status()
        self.say(
            f"  asked {sorted(self.asked)} synced {status.sync_count} failed {status.error_count} changes "
            f"{status.changes} items {status.items} conflicts {status.conflict_count} {status.node_status}"
        )
        self.asked.clear()
        for record in self.caplog.records:
            error = record.exc_info and record.exc_info[1]
            self.say(
                f"  logged {record.levelname} {record.getMessage()} {self.words(error) if error else ''}"
            )
        self.caplog.clear()
        values = {name: node.get_state("k") for name, node in self.town.items()}
        told = {name: found.value for name, found in values.items() if found is not None}
        owed = {name: len(node.get_owed()) for name, node in self.town.items()}
        self.say(f"  k {told} owed {owed}")


@pytest.mark.parametrize("protocol", list(SyncProtocol))
def test_rounds_in_the_background(
    golden: Compare,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: SyncProtocol,
) -> None:
    caplog.set_level(logging.WARNING, logger=state_sync.__name__)
    clock = fixed_clock(monkeypatch, state_store, state_sync, state_peers)
    told = Rounds(clock, protocol, caplog)
    node, wires = told.node, told.wires
    told.run(
        [
            ("nothing", lambda: None),
            ("a writes", lambda: node.set_state("k", 1)),
            ("a writes again", lambda: node.set_state("k", 2)),
            ("a counts", lambda: node.increment("n")),
            ("b writes", lambda: told.town["b"].set_state("k", 3)),
            ("a adds", lambda: node.add_member("s", "x")),
            ("c is cut off", lambda: told.cut.add("c")),
            ("a writes", lambda: node.set_state("k", 4)),
            ("both are cut off", lambda: told.cut.add("b")),
            ("a removes", lambda: node.remove_member("s", "x")),
            ("a deletes", lambda: node.delete_state("k")),
            ("both are back", told.cut.clear),
            ("no peers", lambda: setattr(wires, "names", ())),
            ("peers that fail", lambda: setattr(wires, "failure", RuntimeError("no list"))),
            ("peers again", wires.back),
            ("a writes", lambda: (node.set_state("k", 5), node.set_state("j", 6))),
            ("owing that fails", lambda: setattr(node, "owing", lambda: 1 / 0)),
            ("owing of nothing", lambda: setattr(node, "owing", list)),
            ("a deletes", lambda: node.delete_state("j")),
            *[("an hour", lambda: _wait(clock, 3_600))] * 3,
            *[("a week", lambda: _wait(clock, 7 * 86_400))] * 3,
        ]
    )
    golden(GOLDEN / f"rounds-{protocol.value}.txt", told.text)


def _wait(clock: Clock, seconds: float) -> None:
    clock.elapsed += round(seconds * 1e9)


# --- asking one peer ----------------------------------------------------------------------------------


class Peer(Telling):
    """A peer that answers as it is told, and all attempts to ask it."""

    def __init__(self, clock: Clock, breaker: CircuitBreakerConfig, attempts: int) -> None:
        super().__init__()
        self.clock = clock
        self.answers: list[bytes | Exception] = []
        self.stops = False
        self.asker = Asker(
            self, attempts=attempts, breaker=breaker, wait=self.wait, chance=random.Random(attempts)
        )
        self.say(f"# {attempts} attempts, {breaker}")

    def active(self) -> Sequence[str]:
        return ()

    def ask(self, name: str, body: bytes, timeout: float) -> bytes:
        answer = self.answers.pop(0)
        self.say(f"  {self.clock.elapsed / 1e9:.6f} s asks {name} {body!r} within {timeout:g} s")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds: float) -> bool:
        self.say(f"  waits {seconds:.6f} s")
        self.clock.sleep(seconds)
        return self.stops

    def asks(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        try:
            self.say(f"{self.asker.ask('b', b'what')!r}")
        except StateSyncError as error:
            self.say(f"{error} because of {error.__cause__!r}")
        except Exception as error:  # noqa: BLE001 - told
            self.say(f"{type(error).__name__}: {error}")
        self.say(f"  left {len(self.answers)}, breakers {self.asker.states()}")


def test_a_peer_is_asked_again(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts, pauses, breakers that open and close again, a node that stops meanwhile."""
    clock = fixed_clock(monkeypatch, state_peers)
    text = ""
    broken = OSError("no link")
    for attempts, timeout in ((0, 0.0), (3, 4.0), (9, 30.0)):
        breaker = CircuitBreakerConfig(name="peer", max_failures=4, reset_timeout=60.0, timeout=timeout)
        peer = Peer(clock, breaker, attempts)
        peer.asks(b"one")
        peer.asks(broken, b"two")
        peer.asks(broken, broken, b"three")
        peer.asks(*[broken] * 9)
        peer.asks(b"four")
        clock.sleep(60.1)
        peer.asks(b"five")
        peer.asks(RuntimeError("a program's own"), b"six")
        peer.stops = True
        peer.asks(broken, b"seven")
        peer.asks(b"eight")
        text += peer.text
    golden(GOLDEN / "asked-again.txt", text)


def test_a_stop_waits_for_the_background_and_leaves_all_ready_for_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = StateSynchronizer("a", seed=SEEDS["a"], cluster=CLUSTER, nodes=NODES, peers=None)
    noted: list[Any] = []

    class Background:
        def __init__(self, target: Any, name: str, daemon: bool) -> None:
            noted.append((target == node._run, name, daemon))

        def start(self) -> None:
            noted.append(("starts", node._stopping.is_set()))

        def join(self) -> None:
            noted.append(("ends", node._stopping.is_set(), node._wake.is_set()))

    monkeypatch.setattr(state_sync.threading, "Thread", Background)  # type: ignore[attr-defined]
    with node:
        assert node.get_sync_status().running
        with pytest.raises(StateSyncError, match="runs already"):
            node.start()
    assert noted == [(True, "state-sync", True), ("starts", False), ("ends", True, True)]
    assert not node.get_sync_status().running
    node.stop()
    assert (len(noted), node._stopping.is_set()) == (3, False)
    node.start()
    assert noted[3:] == [noted[0], ("starts", False)]
