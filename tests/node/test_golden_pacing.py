"""What paces a node, told whole: lines about requests, heartbeats, and rests while it catches up."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from dtvn.node.api_channel import Answered
from dtvn.node.cpu_yield import CpuYield
from dtvn.node.heart import Heart
from dtvn.node.json_lines import FIELDS
from dtvn.node.request_log import LINES_MAX, RequestLog, nonce_text
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
MILLISECOND = 1_000_000


def test_request_lines(golden: Compare, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of requests, probes, long paths, and how many were left out in a second."""
    time = [10.0]
    log = RequestLog(logging.getLogger("test.requests"), lambda: time[0], level=logging.WARNING)
    log.answered([_answered()])
    log.answered([_answered(endpoint=probe) for probe in ("/health", "/live", "/ready")])
    log.answered([_answered(path="/" + "p" * size) for size in (199, 200)])
    log.answered([_answered(method="M" * 201, status=503, seconds=0.00996, nonce="n", sequence=7)])
    log.answered([_answered(path=f"/many/{number}") for number in range(LINES_MAX)])
    for moment in (10.999, 11.0, 11.5, 12.0):
        time[0] = moment
        log.answered([_answered(path=f"/at/{moment}")])
    log.answered([_answered(path=f"/many/{number}") for number in range(LINES_MAX + 3)])
    log.flush()
    log.flush()
    lines = [
        f"{record.levelname} {record.getMessage()} {getattr(record, FIELDS, '')}" for record in caplog.records
    ]
    lines = [line for line in lines if not 5 < _number(line) < LINES_MAX - 6]
    lines += [nonce_text(nonce) for nonce in (b"plain", "é".encode(), b"\xffz", b"")]
    golden(GOLDEN / "request-lines.txt", "\n".join(lines) + "\n")


def _number(line: str) -> int:
    """Of one of the many requests, else 0."""
    return int(line.partition("/many/")[2].partition(" ")[0].strip("\",'")) if "/many/" in line else 0


def _answered(**changed: Any) -> Answered:
    usual: dict[str, Any] = {
        "method": "GET",
        "endpoint": "/tickets",
        "path": "/tickets/T-1",
        "status": 200,
        "seconds": 0.0123,
    }
    return Answered(**usual | changed)


def test_heartbeats_and_rests(golden: Compare) -> None:
    """When a heartbeat is sent or repeated; how long a thread rests, and when not."""
    lines: list[str] = []
    now = [0]
    heart = Heart(lambda report: lines.append(f"  beat {dict(report)}"), lambda: now[0])
    for moment, what in (
        (0, "alive"),
        (5, "tell"),
        (999, "alive"),
        (1_004, "alive"),
        (1_005, "alive"),
        (1_100, "tell"),
    ):
        now[0] = moment * MILLISECOND
        lines.append(f"{moment} ms {what}, due {heart.is_due(now[0])}")
        if what == "tell":
            heart.tell({"at": moment}, now[0])
        else:
            heart.alive()
    Heart(None).tell({}, 0)
    lines += _rests()
    golden(GOLDEN / "pacing.txt", "\n".join(lines) + "\n")


def _rests() -> list[str]:
    lines: list[str] = []
    clock = {"worked": 0, "waited": 0, "now": 0}
    known = [True]

    def sleep(seconds: float) -> None:
        lines.append(f"    rests {seconds * 1_000:g} ms")
        clock["now"] += round(seconds * 1_100 * MILLISECOND)

    cpu = CpuYield(
        worked=lambda: clock["worked"],
        waited=lambda: clock["waited"] if known[0] else None,
        now=lambda: clock["now"],
        sleep=sleep,
    )
    drawn = random.Random(1)
    for step in range(40):
        spent = drawn.choice((1, 2, 8, 30)) * MILLISECOND
        stood = drawn.choice((0, spent // 8, spent // 8 + 1, spent)) if step % 3 else 0
        clock["worked"] += spent
        clock["waited"] += stood
        clock["now"] += spent + stood + (step % 13 == 12) * 1_500 * MILLISECOND
        known[0] = step != 20
        if step == 30:
            cpu.left = 7 * MILLISECOND
        if step in (10, 25):
            cpu.end()
        cpu.rest()
        lines.append(f"  {step}: worked {spent}, waited {stood}, left {cpu.left}")
    assert list(cpu.between(range(1_001))) == list(range(1_001))
    return lines
