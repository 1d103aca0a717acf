"""A node's side of a splice around a listener's process that says what a script holds: what it is started
with, told and asked, and what the operator reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.net import public_key_of
from dtvn.net.splice_report import SpliceReport
from dtvn.node import via as via_module
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.options import StartError
from dtvn.node.via import Via, read_splice
from dtvn.node.via_start import begin_via
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
SPLICE = f"/ip4/192.0.2.7/tcp/7/p2p/{peer_id(public_key_of(dev_seed('splice')))}"
KEY = public_key_of(dev_seed("splice")).hex()


class Lines(logging.Handler):
    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play

    def emit(self, record: logging.LogRecord) -> None:
        self._play.say(f"log {record.levelname}: {record.getMessage()}")


class Play(Telling):
    """Listeners that are started one after the other; each makes its reports and ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.logger = logging.Logger("via", logging.INFO)
        self.logger.addHandler(Lines(self))
        self.lives: Iterator[list[SpliceReport]] = iter(())
        self.via: Via
        self.waits: list[float | None] = []
        process = SimpleNamespace(PIPE=-1, Popen=self._popen)
        monkeypatch.setattr(via_module, "subprocess", process)
        monkeypatch.setattr(via_module, "time", SimpleNamespace(sleep=lambda s: self.say(f"pauses {s} s")))
        threads = SimpleNamespace(
            Lock=via_module.threading.Lock,  # type: ignore[attr-defined]
            Event=lambda: SimpleNamespace(set=lambda: self.say("it is known"), wait=self._wait),
            Thread=lambda **_named: SimpleNamespace(start=lambda: None, join=lambda: self.say("it ended")),
        )
        monkeypatch.setattr(via_module, "threading", threads)

    def say(self, line: str) -> None:
        super().say(line.replace(str(self.folder), "FOLDER").replace(KEY, "KEY"))

    def _wait(self, seconds: float) -> None:
        self.say(f"waits {seconds} s")

    def _popen(self, words: list[str], **options: Any) -> Any:
        self.say(f"starts {words[1:]}, {sorted(options)}, {sorted(options['env'])}")
        play = self

        class Process:
            returncode = 3
            stdin = SimpleNamespace(write=lambda data: play.say(f"tells it {data!r}"))

            @property
            def stdout(self) -> Iterator[bytes]:
                life = next(play.lives, None)
                if life is None:
                    play.via._ended = True
                for report in life or ():
                    yield msgspec.json.encode(report)
                    play.say(f"  {play.via.address}, trouble {play.via.trouble!r}")

            def kill(self) -> None:
                play.say("kills it")

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_error: object) -> None: ...

        return Process()

    def run(self, kept: Path | None, *lives: list[SpliceReport]) -> None:
        self.lives = iter(lives)
        self.via = Via(SPLICE, self.folder / "node.key", kept=kept, logger=self.logger)
        self.say(f"{self.via.address}, trouble {self.via.trouble!r}, waited for {self.via.wait()}")
        self.via.serve(5_000)
        self.via._attend()
        self.say(f"{self.via.wait(1.5)}")
        self.via.close()


def test_a_nodes_side_of_a_splice(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LANG", "DTVN_API_KEY"):
        monkeypatch.setenv(name, "C")
    play, kept = Play(monkeypatch, tmp_path), tmp_path / "via"
    here, there = SpliceReport("192.0.2.7", 100), SpliceReport("2001:db8::7", 101)
    gone = SpliceReport(trouble="the splice does not answer")
    play.chapter("It has never had a place")
    play.run(kept, [gone, gone, here], [gone, here, there])
    play.say(kept.read_text())
    play.chapter("It had one")
    play.run(kept, [there])
    play.chapter("It is kept nowhere")
    play.run(None, [here])
    for text in (
        f"{SPLICE.replace('192.0.2.7', '192.0.2.8')}\n/ip4/192.0.2.7/tcp/9\n",
        "junk",
        f"{SPLICE}\njunk",
    ):
        kept.write_text(text)
        play.chapter(f"Kept is {text!r}")
        play.run(kept, [gone])
    play.chapter("A start")
    kept.unlink()
    for splice in ("", "junk", "/ip4/192.0.2.7/tcp/7", SPLICE):
        try:
            play.say(f"{splice}: {begin_via(tmp_path / 'node.key', kept, splice, play.logger)}")
        except StartError as error:
            play.say(f"{splice}! {error}")
    play.say(f"{read_splice(SPLICE)}")
    golden(GOLDEN / "via.txt", play.text)
