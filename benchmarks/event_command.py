"""`dtvn validate` over a recording of 200,000 events, beside a program that reads the same file and feeds
each event to the rules, and beside the pipeline of the official JavaScript client, in the same run: processor
time, which hardly depends on what else the machine does.

    python -m benchmarks.event_command
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cost import REPOSITORY, Line
from benchmarks.events import conversation
from dtvn.cli.sources import PIECE
from dtvn.events.rules import EventReader, Limits, Stream

EVENTS = 200_000
ROUNDS = 5
OFFICIAL = REPOSITORY / "tests/proxy/client"
"""Where `npm ci` has installed the official client."""
# The peak of `getrusage` counts that of the parent before `exec`; VmHWM does not.
RUN = """
import atexit, sys
from dtvn.cli.main import command
atexit.register(lambda: sys.stderr.write(open("/proc/self/status").read()))
command()
"""
RULES = """
import sys
from dtvn.cli.sources import PIECE
from dtvn.events.rules import EventReader, Limits, Stream

def judge(path):
    stream, reader = Stream(), EventReader(Limits().event_bytes)
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            for _line, data in reader.feed(piece):
                if not stream.feed(data).accepted:
                    raise SystemExit("the recording is valid")

judge(sys.argv[1])
"""
_IDS = re.compile(rb'"(msg|call|rs)_')
VALIDATE = [sys.executable, "-c", RUN, "validate"]
JUDGE = [sys.executable, "-c", RULES]


def recording(count: int) -> list[bytes]:
    """At least `count` events of runs as agents emit them now, to which no advice is due."""
    now = int(time.time() * 1000)
    run = [json.loads(each) | {"timestamp": now} for each in conversation()]
    texts = [json.dumps(each, separators=(",", ":")).encode() for each in run]
    # An id names one thing of a conversation.
    return [
        _IDS.sub(rb'"\1_%d_' % number, text.replace(b'"run-1"', b'"run-%d"' % number))
        for number in range(-(-count // len(texts)))
        for text in texts
    ]


def measure(count: int = EVENTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians of rounds, in processor seconds. `rules_s`: the program that reads and feeds, less its start;
    of this, by themselves, `feed_s`: the rules alone, and `read_s`: finding the events in the bytes;
    `validate_s`: the command less its start, `start_s`; `official_s`: the official pipeline, None where it is
    not installed. `memory_mb`: the command's resident memory at its most, `start_mb` of them for one run."""
    texts = recording(count)
    found: dict[str, list[float]] = {}

    def add(**measured: float) -> None:
        for name, value in measured.items():
            found.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as name:
        whole, one = Path(name, "whole.sse"), Path(name, "one.sse")
        whole.write_bytes(b"".join(b"data: " + text + b"\n\n" for text in texts))
        one.write_bytes(b"".join(b"data: " + text + b"\n\n" for text in texts[: len(conversation())]))
        for _ in range(rounds):
            add(feed_s=_fed(texts), read_s=_read(whole))
            add(rules_s=_spent([*JUDGE, str(whole)])[0] - _spent([*JUDGE, str(one)])[0])
            start, start_mb = _validated(one)
            seconds, memory = _validated(whole)
            add(start_s=start, start_mb=start_mb, validate_s=seconds - start, memory_mb=memory)
            official = _official(whole, len(texts))
            if official is not None:
                add(official_s=official)
    medians = {name: round(statistics.median(values), 4) for name, values in found.items()}
    return {"events": len(texts), "official_s": None} | medians


def _fed(texts: list[bytes]) -> float:
    """Seconds of `Stream.feed` over these events."""
    stream = Stream()
    begin = time.process_time()
    for text in texts:
        stream.feed(text)
    taken = time.process_time() - begin
    if stream.end() or any(not stream.feed(text).accepted for text in texts[:2]):
        raise AssertionError("the recording is valid")
    return taken


def _read(path: Path) -> float:
    """Seconds in which the events are found in the bytes."""
    reader, begin = EventReader(Limits().event_bytes), time.process_time()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            reader.feed(piece)
    return time.process_time() - begin


def _spent(command: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Processor seconds of a process, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def _validated(path: Path) -> tuple[float, float]:
    """Processor seconds and MB of the command over a valid recording."""
    seconds, done = _spent([*VALIDATE, str(path), "--json"])
    if json.loads(done.stdout)["violations"]:
        raise AssertionError(f"there is no advice on this recording: {done.stdout}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    if peak is None:
        raise AssertionError(f"no memory told: {done.stderr}")
    return seconds, int(peak[1]) / 1024


def _official(path: Path, count: int) -> float | None:
    """Seconds of the official pipeline."""
    node = shutil.which("node")
    if node is None or not (OFFICIAL / "node_modules").exists():
        return None
    command = [node, str(OFFICIAL / "rate.mjs"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["events"] != count:
        raise AssertionError(f"the official client took {found['events']} of {count} events")
    seconds: float = found["seconds"]
    return seconds


def lines(count: int = EVENTS) -> list[Line]:
    """Its lines of the table."""
    found = measure(count)
    name = f"`dtvn validate`, {found['events']:,} events"
    rate = found["events"] / found["validate_s"]
    lines = [Line(f"{name}, of the rules alone", found["validate_s"] / found["rules_s"], "", 1.5, 1.0)]
    if found["official_s"] is not None:
        part = found["validate_s"] / found["official_s"]
        lines.append(Line(f"{name}, of the official client", part, "", 0.5, per_second=rate))
    lines.append(Line(f"{name}, resident memory", found["memory_mb"], "MB", 22))
    return lines


def main() -> dict[str, Any]:
    """Measure and print."""
    found = measure()
    for name, value in found.items():
        print(f"{name:>12} {value}")
    return found


if __name__ == "__main__":
    main()
