"""The nodes' metrics of the last minutes, kept by this process, so that a page opened later shows them, and
in a file, so that the next process does.

A node counts since its start; a point of the window is what all nodes did between two samples.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from django.db import close_old_connections

from dtvn.files.whole import write_private
from dtvn.machine.kinds import EVENTLESS
from validators.feed.outage import Outage
from validators.own_api import are_elsewhere, read_metrics
from validators.services.cluster import own_members

logger = logging.getLogger("dtvn.figures")

INTERVAL = 2.0
INTERVAL_UNSEEN = 5.0
"""Seconds between two samples while a page asks, and while none does."""
SPAN = 300.0
"""Seconds that the window holds."""
RECENT = 60.0
"""Seconds over which the latency of now is computed."""
SAVED_EVERY = 60.0
"""Seconds between two writes of the file: what a process that is killed loses of the window."""
BEHIND_MAX = 32.0
"""Sequences (a window) behind which a node replays what was decided before."""
FILE_BYTES_MAX = 1024 * 1024
ASKED_AT_ONCE = 8
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
SAMPLES = {
    "dtvn_operations_total": "decided",
    "gossip_messages_sent_total": "gossip",
    "network_bytes_transmitted_total": "traffic",
    "peer_count": "peers",
    "dtvn_sequence": "sequence",
    "dtvn_behind": "behind",
}
"""Sample of a node's metrics to the field of NodeFigures."""
LATENCY = "consensus_latency_seconds_bucket"
SAMPLE = re.compile(
    rf'^({"|".join((*SAMPLES, LATENCY))})(?:\{{(?:(?:le|kind)="([^"]*)")?[^}}\n]*\}})? (\S+)$', re.MULTILINE
)
"""A line of Prometheus text with its name, its first label if that is `le` or `kind`, and its value.
prometheus_client's parser reads the whole page in 50 times the time, and does not end on one that is cut off
within a label."""

Buckets = dict[float, float]
"""Upper bound in seconds to the number of observations up to it, ascending; the last bound is infinite."""


class NodeFigures(msgspec.Struct, frozen=True):
    """One node's counters and gauges at one time; 0 for what it does not report."""

    decided: float = 0.0
    """Operations on tickets, refused ones included."""
    gossip: float = 0.0
    """Messages sent that keep members in sync."""
    traffic: float = 0.0
    """Bytes sent."""
    peers: float = 0.0
    sequence: float = 0.0
    behind: float = 0.0
    """Sequences that others have executed and this node has not."""
    latency: Buckets = {}
    """From the first sight of a proposal to its durable execution."""


class Point(msgspec.Struct, frozen=True):
    """What the nodes did until `at`, since the point before it; None: unknown."""

    at: float
    """Unix seconds."""
    sequence: float | None
    peers: float | None
    """Of the best connected node."""
    throughput: float | None
    """Operations decided per second."""
    gossip: float | None
    """Messages per second, all nodes together."""
    traffic: float | None
    """Bytes per second, all nodes together."""
    p50: float | None
    """Seconds, as p95 and p99: of the sequences decided meanwhile; None if there were none."""
    p95: float | None
    p99: float | None


class Saved(msgspec.Struct, frozen=True):
    """The content of the file, as MessagePack: JSON has no infinite bound of a bucket."""

    points: list[Point]
    latencies: list[tuple[float, Buckets]]


class FiguresWindow:
    """The points of the last SPAN seconds. One thread adds; any thread reads."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=round(SPAN / INTERVAL))
        self._latencies: deque[tuple[float, Buckets]] = deque(maxlen=round(RECENT / INTERVAL))
        self._before: tuple[float, Mapping[str, NodeFigures]] = (0.0, {})

    def add(self, at: float, nodes: Mapping[str, NodeFigures]) -> None:
        """Take a sample: the nodes that answered at `at`, Unix seconds. A node that did not answer the
        sample before, or began to count anew, adds nothing to rates and latencies."""
        then, before = self._before
        self._before = (at, nodes)
        common = [(node, before[name]) for name, node in nodes.items() if name in before]
        pairs = [
            (now, was) for now, was in common if now.decided >= was.decided and now.traffic >= was.traffic
        ]
        latency = _sum([_difference(now.latency, was.latency) for now, was in pairs])
        current = [(now, was) for now, was in pairs if was.behind <= BEHIND_MAX]
        self._latencies.append((at, latency))
        seconds = at - then
        rates: dict[str, float | None] = dict.fromkeys(("throughput", "gossip", "traffic"))
        if current and seconds > 0:
            # Every node counts the same operations; one that catches up counts those of long ago.
            now, was = max(current, key=lambda pair: pair[1].sequence)
            rates["throughput"] = (now.decided - was.decided) / seconds
        if pairs and seconds > 0:  # messages and bytes are its own
            rates["gossip"] = sum(now.gossip - was.gossip for now, was in pairs) / seconds
            rates["traffic"] = sum(now.traffic - was.traffic for now, was in pairs) / seconds
        self._points.append(
            Point(
                at=at,
                sequence=max((node.sequence for node in nodes.values()), default=None),
                peers=max((node.peers for node in nodes.values()), default=None),
                **rates,
                **{name: quantile(latency, share) for name, share in QUANTILES.items()},
            )
        )

    def points(self, now: float, after: float = 0.0) -> list[Point]:
        """The points later than `after`, oldest first; none is older than SPAN."""
        return [point for point in tuple(self._points) if point.at > max(after, now - SPAN)]

    def latency(self, now: float) -> dict[str, float | None]:
        """QUANTILES of all sequences decided in the last RECENT seconds; None if there were none."""
        found = _sum([buckets for at, buckets in tuple(self._latencies) if at > now - RECENT])
        return {name: quantile(found, share) for name, share in QUANTILES.items()}

    def save(self) -> bytes:
        """The window for `restore`."""
        return msgspec.msgpack.encode(Saved(list(self._points), list(self._latencies)))

    def restore(self, data: bytes, now: float) -> None:
        """Take over what is not too old of an earlier process's window; the first point after it has no
        rates. Raise msgspec.DecodeError, with nothing taken over."""
        saved = msgspec.msgpack.decode(data, type=Saved)
        found = [point for point in saved.points if now - SPAN < point.at <= now]
        self._points.extend(sorted(found, key=lambda point: point.at))
        self._latencies.extend(each for each in saved.latencies if now - RECENT < each[0] <= now)


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value that `share` of the observations do not exceed, interpolated within its bucket as
    Prometheus' histogram_quantile does: at most the highest finite bound. None without observations."""
    total = buckets.get(math.inf, 0.0)
    if total <= 0:
        return None
    low, below = 0.0, 0.0
    for bound, count in buckets.items():
        if count >= share * total:
            within = (share * total - below) / (count - below)
            return low if math.isinf(bound) else low + (bound - low) * within
        low, below = bound, count
    return low


def _difference(now: Buckets, earlier: Buckets) -> Buckets:
    return {bound: max(0.0, count - earlier.get(bound, 0.0)) for bound, count in now.items()}


def _sum(several: list[Buckets]) -> Buckets:
    found: Buckets = {}
    for buckets in several:
        for bound, count in buckets.items():
            found[bound] = found.get(bound, 0.0) + count
    return dict(sorted(found.items()))


def read_node_figures(text: str) -> NodeFigures:
    """A node's figures from its Prometheus text, summed over labels; raise ValueError."""
    sums: dict[str, float] = {}
    latency: Buckets = {}
    for name, label, value in SAMPLE.findall(text):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{name} is not finite")
        if name == LATENCY:
            latency[float(label)] = latency.get(float(label), 0.0) + number
        elif label not in EVENTLESS:
            sums[SAMPLES[name]] = sums.get(SAMPLES[name], 0.0) + number
    return NodeFigures(**sums, latency=dict(sorted(latency.items())))


class Sampler:
    """Fills the window of this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.window = FiguresWindow()
        self.asked = 0
        """This platform's members, as of the newest sample."""
        self.answering = 0
        self.elsewhere = False
        """Whether their ports are in another data folder than that of this process."""
        self._clock = clock
        self._file: Path | None = None
        self._saves = True
        """Whether the newest write of the file succeeded."""
        self._newest = 0.0
        self._looking = threading.Lock()
        self._pool = ThreadPoolExecutor(ASKED_AT_ONCE, "metrics")  # one that hangs delays no other

    def refresh(self, interval: float = INTERVAL) -> None:
        """Take a sample if the newest is `interval` seconds old, and none is being taken; raise
        DatabaseError."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            if abs(self._clock() - self._newest) >= interval * 0.9:
                self._look()
        finally:
            self._looking.release()

    def keep_in(self, file: Path) -> None:
        """Begin with the window in `file`, and write it there from now on. A file that cannot be read is
        logged and replaced."""
        self._file = file
        try:
            with file.open("rb") as opened:
                self.window.restore(opened.read(FILE_BYTES_MAX), self._clock())
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            logger.warning("the window of the nodes' metrics begins empty: %s: %s", file, error)

    def save(self) -> None:
        """Write the window to its file, if it has one; log the first of several failures in a row."""
        if self._file is None:
            return
        saved, self._saves = self._saves, True
        try:
            write_private(self._file, self.window.save(), replace=True)
        except OSError as error:
            self._saves = False
            if saved:
                logger.warning("the window of the nodes' metrics is not saved: %s", error)

    def run_forever(self) -> None:
        """The main function of a thread: a sample every INTERVAL_UNSEEN, the file every SAVED_EVERY."""
        outage = Outage("the nodes' metrics")
        saved = time.monotonic()
        while True:
            begun = time.monotonic()
            close_old_connections()  # a lost connection stays lost
            with outage:
                self.refresh(INTERVAL_UNSEEN)
            if begun - saved >= SAVED_EVERY:
                saved = begun
                self.save()
            time.sleep(max(0.0, begun + INTERVAL_UNSEEN - time.monotonic()))

    def _look(self) -> None:
        names = list(own_members().values_list("node_id", flat=True))
        answers = zip(names, self._pool.map(_ask, names), strict=True)
        nodes = {name: found for name, found in answers if found is not None}
        self.asked, self.answering = len(names), len(nodes)
        self.elsewhere = are_elsewhere(names)
        self._newest = self._clock()
        if names:
            self.window.add(self._newest, nodes)


def _ask(name: str) -> NodeFigures | None:
    text = read_metrics(name)
    try:
        return None if text is None else read_node_figures(text)
    except ValueError:
        return None


sampler = Sampler()
"""That of this process."""


def keep_sampling(file: Path) -> None:
    """Fill the window from now on, whether a page is open or not, and keep it in `file`."""
    sampler.keep_in(file)
    threading.Thread(target=sampler.run_forever, daemon=True, name="figures").start()
