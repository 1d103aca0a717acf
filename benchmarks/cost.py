"""What a benchmark counts: processor time of all processes, in Ed25519 checks of the same core and run.

Processor time hardly depends on what else the machine does; rates and latencies do, and stand beside it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from nacl import bindings

CHECKS = 2_000
TICKS = os.sysconf("SC_CLK_TCK")
SCHEMA = 1
LOOK = 0.5
"""Seconds between two looks at the processor time of processes that may still work."""
QUIET = 2.5
"""Seconds of rest after which their work is over: after two idle ones a node copies its write-ahead log and
collects garbage."""
SETTLE_MAX = 15.0
"""Most seconds to wait for that."""
RATE_MARGIN, SECONDS_MARGIN = 1.25, 0.03
"""Processes rest while they use at most RATE_MARGIN times their idle rate, plus SECONDS_MARGIN seconds."""
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Line:
    """One measure. `target` and `floor` are in `unit`; None if there is none. Times in milliseconds."""

    name: str
    value: float
    unit: str = "checks"
    target: float | None = None
    floor: float | None = None
    floor_name: str = ""
    per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty without one."""
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "missed"


HEADINGS = ("measure", "value", "target", "", "floor", "a second", "p50 ms", "p99 ms", "floor is")


def table(lines: Iterable[Line]) -> str:
    """The lines as a Markdown table."""
    rows: list[tuple[str, ...]] = [HEADINGS, ("---",) * len(HEADINGS)]
    for each in lines:
        target = "" if each.target is None else f"<= {each.target:g}"
        numbers = (_number(n) for n in (each.floor, each.per_second, each.p50_ms, each.p99_ms))
        value = f"{_number(each.value)} {each.unit}"
        rows.append((each.name, value, target, each.verdict, *numbers, each.floor_name))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_json(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Fields of the lines and their verdicts."""
    return [asdict(line) | {"verdict": line.verdict} for line in lines]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def check_seconds() -> float:
    """Processor seconds of one Ed25519 verification on this core now."""
    public, secret = bindings.crypto_sign_keypair()
    signed = bindings.crypto_sign(b"m" * 120, secret)
    begin = time.thread_time()
    for _ in range(CHECKS):
        bindings.crypto_sign_open(signed, public)
    return (time.thread_time() - begin) / CHECKS


class Rest:
    """Waits until processes have nothing left to do. `used`: their processor seconds so far; `rate`: those
    that they use a second without any work."""

    def __init__(self, used: Callable[[], float], rate: float) -> None:
        self.rate = rate
        self._used = used
        self._seen: deque[tuple[float, float]] = deque()
        """(monotonic, processor seconds) of the looks: the newest that is QUIET old, and later ones."""

    @classmethod
    def measured(cls, used: Callable[[], float], seconds: float) -> Self:
        """The rate is that of the next `seconds`, in which nothing is asked."""
        begin, before = time.monotonic(), used()
        time.sleep(seconds)
        return cls(used, (used() - before) / (time.monotonic() - begin))

    def wait(self) -> float:
        """Wait until they have been at rest for QUIET seconds, at most SETTLE_MAX, which is said then; return
        the seconds waited."""
        begin = time.monotonic()
        while True:
            now, used = time.monotonic(), self._used()
            self._seen.append((now, used))
            while len(self._seen) > 1 and self._seen[1][0] <= now - QUIET:
                self._seen.popleft()
            seconds, spent = now - self._seen[0][0], used - self._seen[0][1]
            if seconds >= QUIET and spent <= RATE_MARGIN * self.rate * seconds + SECONDS_MARGIN:
                return now - begin
            if now - begin >= SETTLE_MAX:
                rates = f"{100 * spent / seconds:.0f} % of a core, {100 * self.rate:.0f} % when idle"
                print(f"not at rest after {SETTLE_MAX:g} s: {rates}", file=sys.stderr)
                return now - begin
            time.sleep(LOOK)


class Meter:
    """Processor time of some processes while a block runs."""

    def __init__(self, pids: Iterable[int], *, idle: float = 0.0) -> None:
        """`idle`: seconds of processor time a second that they use without any work; left out."""
        self._pids = list(pids)
        self._idle = idle
        self.seconds = self.wall = self.check = 0.0
        """Processor seconds, wall-clock seconds, and processor seconds of a check."""

    @contextmanager
    def running(self, tail: Rest | None = None) -> Iterator[None]:
        """Measure this block, with a check before and after it. `tail`: what its work still costs after the
        block counts, until then; `wall` does not include that time."""
        check = check_seconds()
        used, begin = processor_seconds(self._pids), time.monotonic()
        yield
        self.wall = time.monotonic() - begin
        idle = self._idle * self.wall
        if tail is not None:
            idle += tail.rate * tail.wait()
        self.seconds = processor_seconds(self._pids) - used - idle
        self.check = (check + check_seconds()) / 2

    def checks(self, operations: int) -> float:
        """Checks for each of `operations` operations."""
        return self.seconds / self.check / operations

    @property
    def busy(self) -> float:
        """Share of all cores that these processes used."""
        return self.seconds / self.wall / (os.cpu_count() or 1)


def processor_seconds(pids: Iterable[int]) -> float:
    """User and system time of all threads, ended ones included; a process that has ended counts nothing."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size of these processes: pages that several share are counted once."""
    kib = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib / 1024


def facts() -> dict[str, Any]:
    """The machine on which the numbers are measured, and the code."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    git = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "cores": os.cpu_count(),
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_at_start": round(os.getloadavg()[0], 1),
    }
