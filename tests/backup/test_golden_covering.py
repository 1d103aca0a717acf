"""Tells what a backup asks of the cluster so that it covers everything acknowledged before: which gateway,
which operations, how often, how long it waits for a stable checkpoint, and why it may be given up."""

from __future__ import annotations

import sqlite3
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError

from dtvn.gateway import GatewayClosed, Overloaded
from dtvn.ledger import Location
from dtvn.machine import reasons
from dtvn.net import KeyFileError
from dtvn.node.layout import ClusterFolder
from tests.api.telling import beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.backup import covering, postgresql
from validators.backup.forms import BackupError


class Gateway:
    """Decides, refuses or hangs as it is told."""

    def __init__(self, told: Recorder, clock: Any) -> None:
        self.told, self.clock = told, clock
        self.answers: list[Any] = []
        parameters = SimpleNamespace(checkpoint_interval=10)
        self.present = SimpleNamespace(members=[SimpleNamespace(id="r0")], parameters=parameters)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.told.say("  closed")

    def submit(self, operations: list[Any]) -> Any:
        [operation] = operations
        answer = self.answers.pop(0) if self.answers else (reasons.BUSY, 0)
        self.told.say(f"  {operation.kind} by {operation.actor} through {operation.entry}: {answer}")

        def result(wait: float) -> list[Any]:
            self.clock.now += wait / 3
            if isinstance(answer, Exception):
                raise answer
            return [SimpleNamespace(code=answer[0], sequence=answer[1])]

        return SimpleNamespace(result=result)


class Room:
    """A folder of which a backup is made."""

    def __init__(self, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told, self.clock = told, SimpleNamespace(now=100.0)
        self.gateway = Gateway(told, self.clock)
        self.certified: list[int] = []
        places = ClusterFolder(told.folder)
        for path in (places.genesis, places.gateway_key):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        ledgers = {"r0": SimpleNamespace(location="a ledger"), "r1": None}
        self.source: Any = SimpleNamespace(
            places=places, root=told.folder, ledgers=lambda genesis: ledgers, genesis=lambda: "the genesis"
        )
        told.answers |= {"open": lambda *_, **__: self.gateway, "read_epoch_changes": [b"recovered"]}
        told.answers["read.epoch_changes"] = [b"learned"]
        monkeypatch.setattr(covering, "Gateway", SimpleNamespace(open=told.function("open")))
        monkeypatch.setattr(covering, "read_epoch_changes", told.function("read_epoch_changes"))
        monkeypatch.setattr(covering, "read", told.thing("read"))
        monkeypatch.setattr(covering, "time", SimpleNamespace(monotonic=lambda: self.clock.now))
        monkeypatch.setattr(covering, "look_until", self.look_until)
        monkeypatch.setattr(covering, "_certified", self.newest)

    def look_until(self, condition: Any, seconds: float, *, pause: float) -> bool:
        for _ in range(12):
            if condition():
                return True
        self.told.say(f"  looked for {seconds} s, every {pause}")
        return False

    def newest(self, place: Any) -> int:
        found = self.certified.pop(0) if self.certified else 0
        self.told.say(f"  {place} is certified up to {found}")
        return found

    def covers(self, title: str, *answers: Any, certified: tuple[int, ...] = ()) -> None:
        self.gateway.answers, self.certified = list(answers), list(certified)
        self.told.chapter(title)
        self.told.say(f"  = {covering.cover(self.source)}")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Room:
    settings.DATA = tmp_path
    return Room(Recorder(tmp_path), monkeypatch)


def test_what_a_backup_asks_of_the_cluster(golden: Compare, room: Room, settings: Any) -> None:
    ok, told = reasons.OK, room.told
    room.covers("at the end of an interval", (ok, 20), certified=(10, 19, 20))
    room.covers("inside of one", (ok, 17), (ok, 18), (ok, 19), (ok, 20), certified=(20,))
    room.covers("refused at first", (reasons.BUSY, 0), (reasons.BUSY, 0), (ok, 30), certified=(30,))
    room.covers("refused for long")
    room.covers("refused later", (ok, 28), (reasons.BUSY, 0), *[(reasons.BUSY, 0)] * 9, certified=(30,))
    room.covers("never certified", (ok, 40), certified=(30,))
    troubles = (Overloaded(), GatewayClosed(), CancelledError(), TimeoutError(), ValueError("odd."))
    for trouble in troubles:
        room.covers(f"{type(trouble).__name__}", trouble)
    errors: tuple[Exception, ...] = (OSError("no room."), KeyFileError("no key"))
    for error in errors:
        told.answers["open"] = error
        room.covers(f"not opened: {type(error).__name__}")
    told.answers["open"] = lambda *_, **__: room.gateway
    told.answers["read.epoch_changes"] = DatabaseError("away")
    room.covers("without a copy", (ok, 20), certified=(20,))
    settings.DATA = room.told.folder / "other"
    room.covers("of another folder than the platform's", (ok, 20), certified=(20,))
    room.source.places.gateway_key.unlink()
    room.covers("without a platform")
    golden(beside(__file__, "covering"), told.text)


def test_up_to_where_a_ledger_is_certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Location(tmp_path / "ledger")
    assert covering._certified(place) == 0, "no ledger is there"
    place.folder.mkdir()
    place.database_file.write_bytes(b"no database at all" * 99)
    assert covering._certified(place) == 0
    place.database_file.unlink()
    with closing(sqlite3.connect(place.database_file)) as made, made:
        made.execute("CREATE TABLE ledger_checkpoint (sequence INTEGER, frames BLOB)")
        rows = [(10, b"signed"), (30, b"signed"), (20, b"signed"), (40, b"\x90"), (50, b"")]
        made.executemany("INSERT INTO ledger_checkpoint VALUES (?, ?)", rows)
    assert covering._certified(place) == 30
    asked: list[tuple[str, str]] = []

    def of_server(url: str, query: str) -> list[tuple[object]]:
        asked.append((url, query))
        if len(asked) > 1:
            raise BackupError("no server")
        return [("40",)]

    monkeypatch.setattr(postgresql, "rows", of_server)
    server = Location(tmp_path / "ledger", url="postgresql://h/d", schema="ledger_0")
    assert [covering._certified(server) for _ in range(2)] == [40, 0]
    assert asked[0] == ("postgresql://h/d", covering._CERTIFIED.replace("ledger_", '"ledger_0".ledger_'))
