"""Tells when a process of the platform opens a gateway to the cluster, with what, when it opens another one,
and how long it waits for members; and how commands use the gateway of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import DatabaseError

from dtvn.api.errors import Unavailable
from dtvn.net import KeyFileError
from dtvn.protocol.quorum import Mode
from tests.api.telling import beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.management import own_gateway
from validators.services import network


class Opened:
    """A gateway that was opened."""

    made = 0

    def __init__(self, told: Recorder) -> None:
        Opened.made += 1
        self.told, self.name = told, f"gateway {Opened.made}"
        self.alive, self.acknowledged = True, 10 * Opened.made
        self.heard = 0
        self.present = SimpleNamespace(members=[1, 2, 3, 4], mode=Mode.PBFT)

    def close(self) -> None:
        self.told.say(f"  {self.name} is closed")
        self.alive = False

    def members(self) -> list[Any]:
        self.heard += 1
        return [SimpleNamespace(heard=0.1 if place < self.heard else None) for place in range(4)]

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Recorder]:
    settings.DATA, settings.FOLLOWS, settings.EVENTS_CONFIG = tmp_path, None, None
    made = Recorder(tmp_path)
    Opened.made = 0
    for name in ("_own", "_given"):
        monkeypatch.setattr(network, name, None)
    monkeypatch.setattr(network, "Gateway", SimpleNamespace(open=made.function("open")))
    monkeypatch.setattr(network, "read", made.thing("read"))
    made.answers |= {"open": lambda *_, **__: Opened(made), "read.epoch_changes": [b"proof"]}
    yield made
    network._own = None


def asked(told: Recorder, title: str, call: Any = network.gateway) -> Any:
    told.chapter(title)
    try:
        found = call()
    except Unavailable as error:
        told.say(f"  = {told.shown(str(error))}")
        return None
    told.say(f"  = {getattr(found, 'name', found)}, acknowledged {network.acknowledged()}")
    return found


def test_which_gateway_a_process_has(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    genesis = told.folder / "cluster" / "genesis.bin"
    handovers = told.folder / "cluster" / "handovers.bin"
    told.say(f"before the first: {network.opened()} {network.acknowledged()}")
    for error in (FileNotFoundError(), OSError("no room"), KeyFileError("no key"), ValueError("odd")):
        told.answers["open"] = error
        asked(told, f"{type(error).__name__}")
    told.answers["open"] = lambda *_, **__: Opened(told)
    asked(told, "opened")
    asked(told, "again")
    genesis.parent.mkdir()
    genesis.write_bytes(b"another")
    first = asked(told, "another cluster was founded")
    asked(told, "again")
    handovers.write_bytes(b"recovered")
    asked(told, "a recovery")
    monkeypatch.setattr(network, "read_epoch_changes", lambda path: [path.read_bytes()])
    told.answers["read.epoch_changes"] = DatabaseError("away")
    found = asked(told, "again")
    found.alive = False
    settings.EVENTS_CONFIG = SimpleNamespace(consensus_config="judging", load_balancer="balancing")
    asked(told, "its thread has ended, and events are configured")
    told.say(f"the first one is alive: {first.alive}")
    network.use(SimpleNamespace(name="given", acknowledged=77))  # type: ignore[arg-type]
    asked(told, "another one is used")
    network.use(None)
    asked(told, "no longer")
    network.close()
    network.close()
    told.say(f"  closed: {network.opened()}")
    settings.FOLLOWS = {"cluster": "0102"}
    asked(told, "a follower")
    told.say(f"  {network.own_cluster()!r} {told.shown(network.key_file())}")
    golden(beside(__file__, "gateway_of_a_process"), told.text)


def test_how_long_members_are_waited_for(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)

    def look(condition: Any, seconds: float, *, pause: float) -> None:
        looks = [condition() for _ in range(4)]
        told.say(f"  looks {looks} within {seconds:.1f} s, every {pause}")

    monkeypatch.setattr(network, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(network, "look_until", look)
    for after in (0.0, 1.5, 0.5, 1.0):
        clock.now += after
        asked(told, f"{after} s later", network.informed_gateway)
    network.use(SimpleNamespace(name="given", acknowledged=0))  # type: ignore[arg-type]
    asked(told, "another one is used", network.informed_gateway)
    network.use(None)
    golden(beside(__file__, "gateway_waits"), told.text)


def test_a_forked_child_opens_its_own(told: Recorder) -> None:
    """It must not touch its parent's sockets."""
    parents = network.gateway()
    lock = network._lock
    network._forked()
    assert network.opened() is None
    assert network._lock is not lock
    assert network.gateway() is not parents
    assert not [line for line in told.lines if "closed" in line]


def test_which_gateway_a_command_uses(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_gateway, "Gateway", SimpleNamespace(open=told.function("open")))
    for title, folder in {"the platform's own folder": told.folder, "another": told.folder / "other"}.items():
        told.chapter(title)
        with pytest.raises(CommandError) as refused, own_gateway.gateway_of(folder):
            pass
        told.say(f"  = {told.shown(str(refused.value))}")
        (folder / "cluster").mkdir(parents=True)
        (folder / "cluster" / "genesis.bin").touch()
        told.say(f"  of the platform: {own_gateway.is_platforms(folder)}")
        for fails in (False, True):
            try:
                with own_gateway.gateway_of(folder) as found:
                    told.say(f"  {found.name}, used {network.opened() is found}")  # type: ignore[attr-defined]
                    if fails:
                        raise ValueError("a mistake")
            except ValueError:
                told.say("  it failed")
            told.say(f"  used afterwards: {network.opened()}")
    golden(beside(__file__, "gateway_of_a_command"), told.text)
