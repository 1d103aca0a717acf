"""When an exporter listens, takes figures, waits for newer ones and says what; under a clock of the test."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from dtvn.node.metrics import exporter
from dtvn.node.metrics.disk import DiskWatch
from dtvn.node.metrics.exporter import Exporter
from dtvn.node.metrics.names import ALL, counter, gauge, histogram
from dtvn.node.metrics.snapshot import Snapshot
from dtvn.node.options import MetricsOptions, StartError
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000_000_000
MAKERS: dict[str, Callable[[str, CollectorRegistry], Any]] = {
    "counter": counter,
    "gauge": gauge,
    "histogram": histogram,
}


class Lines(logging.Handler):
    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def emit(self, record: logging.LogRecord) -> None:
        self._bench.say(f"log {record.levelname}: {record.getMessage()}")


class Bench(Telling):
    """A port that is taken or free, a node whose figures count up, and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__()
        self.now = 100 * SECOND
        self.taken = 0
        self.views = 0
        self.waits: Callable[[], object] = lambda: None
        self.logger = logging.Logger("metrics", logging.INFO)
        self.logger.addHandler(Lines(self))
        self.node = SimpleNamespace(
            ledger=SimpleNamespace(location=SimpleNamespace(folder=folder)),
            figures=SimpleNamespace(registry=CollectorRegistry()),
        )
        monkeypatch.setattr(exporter, "time", SimpleNamespace(monotonic_ns=lambda: self.now))
        monkeypatch.setattr(exporter, "MetricsServer", self._server)
        monkeypatch.setattr(exporter, "take", self._take)
        monkeypatch.setattr(exporter, "DiskWatch", lambda _folder: SimpleNamespace(look=dict))

    def _server(self, address: tuple[str, int], page: Callable[[], bytes]) -> Any:
        self.say(f"listens on {address}")
        if self.taken:
            self.taken -= 1
            raise OSError(98, "Address already in use")
        self.page = page
        return SimpleNamespace(address=address, close=lambda: self.say("listens no more"))

    def _take(self, _node: object) -> Snapshot:
        self.views += 1
        self.say("takes figures")
        values: dict[str, Any] = {"dtvn_view": self.views, "dtvn_sequence": 7, "unknown": 1}
        values["dtvn_peer_connected"] = {("b",): 1.0, ("a",): 0.0}
        return Snapshot(taken_at=self.now, values=values)

    def made(self, options: MetricsOptions | None) -> Exporter:
        made = Exporter(options, self.logger)

        class Published:
            """Waits until the test did what it does meanwhile."""

            def __enter__(self) -> None: ...
            def __exit__(self, *_error: object) -> None: ...
            def notify_all(self) -> None: ...

            def wait_for(_self, ready: Callable[[], bool], patience: float) -> bool:
                self.say(f"  waits {patience} s for newer figures, has them {ready()}")
                self.waits()
                return ready()

        made._published = cast(Any, Published())
        return made

    def scrape(self, made: Exporter) -> None:
        self.say(f"scraped at {self.now / SECOND:g}")
        for family in made.collect():
            samples = [f"{{{','.join(each.labels.values())}}} {each.value:g}" for each in family.samples]
            self.say(f"  {family.type} {family.name}: {'; '.join(samples)}")


def test_an_exporter(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench = Bench(monkeypatch, tmp_path)
    bench.chapter("Off")
    made = bench.made(None)
    made.publish(cast(Any, bench.node))
    bench.say(f"address {made.address}, wanted {made.wanted()}")
    made.close()
    bench.chapter("A needed port is taken")
    bench.taken = 1
    with pytest.raises(StartError) as refused:
        bench.made(MetricsOptions(9_090, "::1", needed=True))
    bench.say(f"! {refused.value}")
    bench.chapter("Another one is tried again every ten seconds")
    bench.taken = 3
    made = bench.made(MetricsOptions(9_090, "::1"))
    bench.scrape(made)
    for seconds in (1.0, 8.999999999, 1e-9, 10.0, 10.0):
        bench.now += round(seconds * SECOND)
        bench.say(f"{bench.now / SECOND:.9f}")
        made.publish(cast(Any, bench.node))
    bench.say(f"address {made.address}")
    _scrapes(bench, made)
    made.close()
    made.close()
    golden(GOLDEN / "exporter.txt", bench.text)


def _scrapes(bench: Bench, made: Exporter) -> None:
    bench.chapter("Scrapes wait for the loop")
    bench.now += SECOND // 20
    bench.scrape(made)
    bench.say(f"wanted {made.wanted()}, the last figures are 0.05 s old")
    bench.now += SECOND // 20
    bench.say(f"wanted {made.wanted()}")
    bench.waits = lambda: made.publish(cast(Any, bench.node))
    bench.scrape(made)
    bench.say(f"wanted {made.wanted()}")
    bench.waits = lambda: None
    bench.now += 3 * SECOND
    bench.say(f"wanted {made.wanted()}")
    bench.scrape(made)


def test_a_full_disk_is_foretold(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    story = Telling()
    watch = DiskWatch(tmp_path)
    for now, size, free in (
        (0.0, 100, 1_000),
        (29.9, 110, 1_000),
        (59.9, 160, 1_000),
        (60.0, 160, 1_000),
        (60.1, 100, 1_000),
        (90.0, 190, 910),
        (3_600.0, 3_700, 100),
        (3_601.0, 3_701, 99),
        (9_000.0, 3_701, 99),
        (9_059.0, 9_000, 99),
        (9_061.0, 9_000, 99),
    ):
        story.say(f"{now:g} s, {size} bytes, {free} free: full in {watch.forecast(now, size, free):g} s")
    (tmp_path / "log").write_bytes(b"x" * 70)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "log").write_bytes(b"x" * 70)
    (tmp_path / "link").symlink_to(tmp_path / "log")
    usage = SimpleNamespace(free=7, total=9)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage if folder == tmp_path else 1 / 0)
    found: Mapping[str, Any] = DiskWatch(tmp_path).look()
    assert found.pop("dtvn_disk_full_in_seconds") == math.inf  # type: ignore[attr-defined]
    story.say(f"{found}")

    def unreadable(_folder: Path) -> None:
        raise OSError(5, "no disk")

    monkeypatch.setattr(shutil, "disk_usage", unreadable)
    story.say(f"{DiskWatch(tmp_path).look()}")
    golden(GOLDEN / "disk.txt", story.text)


def test_every_metric(golden: Compare) -> None:
    """Its name, kind, labels and bounds, and the text that a page of metrics has."""
    story = Telling()
    for metric in ALL:
        bounds = f" {metric.bounds}" if metric.kind == "histogram" else ""
        story.say(f"{metric.kind} {metric.name}{list(metric.labels)}{bounds}: {metric.text}")
    registry = CollectorRegistry()
    made = [make(metric.name, registry) for metric in ALL for make in (MAKERS[metric.kind],)]
    for each in made:
        family = next(iter(each.collect()))
        story.say(f"{family.type} {family.name}: {family.documentation}")
    golden(GOLDEN / "every-metric.txt", story.text)
