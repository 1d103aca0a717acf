"""Texts of `manage.py simulator`: parsing its flags, and printing its results."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dtvn.protocol.durations import MILLISECOND, SECOND, parse_duration
from simulator.options import Options

if TYPE_CHECKING:
    from simulator.campaign import Report
    from simulator.plain import Results

SEEDS_MAX = 1_000_000
"""Most seeds of one campaign, and most numbers in one list."""
JOBS_MAX = 64
DIGITS_MAX = 64
"""Most digits of a number, or of the two numbers of a range."""
WIDTH = 22

# --- flags ---------------------------------------------------------------------------------------


def nanoseconds(word: str) -> int:
    """A duration as `1m30s`, `50ms`, `2.5s`; raise ArgumentTypeError."""
    if len(word) <= DIGITS_MAX and not word.startswith(("-", "+")):
        with suppress(ValueError):
            return parse_duration(word)
    raise ArgumentTypeError(f"{word[:64]!r} is not a duration such as 60s, 1m30s or 50ms")


def seconds(word: str) -> float:
    """Seconds of a duration, as an int if they are whole."""
    return _in(SECOND, nanoseconds(word))


def milliseconds(word: str) -> float:
    """Milliseconds of a duration, as an int if they are whole."""
    return _in(MILLISECOND, nanoseconds(word))


def _in(unit: int, duration: int) -> float:
    return duration / unit if duration % unit else duration // unit


def seed_range(word: str) -> range:
    """`A:B` as a range, B excluded; raise ArgumentTypeError."""
    first, colon, last = word.partition(":")
    whole = first.isdecimal() and last.isdecimal() and len(word) < DIGITS_MAX
    if not colon or not whole or int(first) >= int(last):
        raise ArgumentTypeError(f"{word[:64]!r} is not a range of seeds such as 0:300")
    if int(last) - int(first) > SEEDS_MAX:
        raise ArgumentTypeError(f"{word[:64]!r} is more than {SEEDS_MAX} seeds: play them in parts")
    return range(int(first), int(last))


def jobs(word: str) -> int:
    """Number of processes; raise ArgumentTypeError."""
    if not word.isdecimal() or len(word) > DIGITS_MAX or not 1 <= int(word) <= JOBS_MAX:
        raise ArgumentTypeError(f"{word[:64]!r} is not a number of processes from 1 to {JOBS_MAX}")
    return int(word)


def numbers(word: str) -> frozenset[int]:
    """`1,4-9` as a set; raise ArgumentTypeError."""
    found: set[int] = set()
    for part in word.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise ArgumentTypeError(f"{word[:64]!r} is not a list of numbers such as 1,4-9")
        if int(last or first) - int(first) + len(found) >= SEEDS_MAX:
            raise ArgumentTypeError(f"{word[:64]!r} is more than {SEEDS_MAX} numbers")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


# --- a run by flags ------------------------------------------------------------------------------


BANNER = """\
=== DTVN simulator: the validators' own PBFT in a virtual network ===
Total Nodes: {0.nodes}
Byzantine Nodes: {0.byzantine_nodes}
Tickets: {0.tickets}
Duration: {0.duration_seconds:g}s
Network Latency: {0.latency_ms:g}ms
Packet Loss: {0.packet_loss_rate:.2%}
Network Partitions: {1}
Crash Rate: {0.crash_rate:g}/s
Seed: {0.seed}
Starting simulation..."""


def banner(options: Options, liars: dict[str, str]) -> Iterator[str]:
    """The header: what is about to be played."""
    yield from BANNER.format(options, str(options.enable_partitions).lower()).splitlines()
    for index, kind in enumerate(liars.values()):
        yield f"node-{index} is Byzantine: {kind}"
    yield f"Initialized {options.nodes} nodes; a ticket counts when a quorum of them holds it"


def progress(total: int, current: int, rounds: int, succeeded: int, failed: int) -> str:
    """The progress line, which the Simulator page parses too."""
    return f"Progress: {current}/{total} tickets | Rounds: {rounds} | Success: {succeeded} | Failed: {failed}"


ENDS = {
    "all_processed": "All tickets processed",
    "timed_out": "Simulation timed out",
    "interrupted": "Simulation interrupted",
    "violation": "Simulation stopped: a promise was broken",
}


RESULTS = """\
=== Simulation Results ===
Total Tickets: {0.total_tickets}
Validated Tickets: {0.validated_tickets}
Consensus Rounds: {0.consensus_rounds}
Successful Rounds: {0.successful_rounds}
Failed Rounds: {0.failed_rounds}
Success Rate: {0.success_rate:.2f}%
Messages Sent: {0.messages_sent}
Messages Received: {0.messages_received}
Partition Events: {0.partition_events}
Average Latency: {0.average_latency_ms:.3f}ms
View Changes: {0.view_changes}
Crashes: {0.crashes}
Virtual Time: {0.virtual_seconds:.3f}s
Events: {0.events}
Fingerprint: {0.fingerprint}
Command: {0.command}"""


def results(found: Results) -> list[str]:
    """The results of a run by flags."""
    return [ENDS[found.ended], *RESULTS.format(found).splitlines()]


# --- one seed, many seeds ------------------------------------------------------------------------


def report(found: Report) -> str:
    """The report of one seed."""
    lines = []
    for name in found.__struct_fields__:
        value = getattr(found, name)
        if name == "story":
            continue  # it is told at the end
        if name == "probes":
            value = ", ".join(f"{probe} {hits}" for probe, hits in sorted(value.items())) or "none"
        elif name == "virtual_time":
            value = f"{value / SECOND:.3f} s"
        lines.append(f"{name:{WIDTH}} {value}")
    return "\n".join([*lines, *found.story])


def summary(found: dict[str, Any], *, with_probes: bool) -> Iterator[str]:
    """The totals of a campaign."""
    for name, value in found.items():
        if name == "violations":
            yield f"{name:{WIDTH}} {len(value)}"
        elif name == "probes":
            yield f"{'probes never hit':{WIDTH}} {', '.join(_missed(found)) or 'none'}"
        else:
            yield f"{name:{WIDTH}} {value}"
    if with_probes:
        yield ""
        yield f"{'probe':44} {'hits':>9} {'first seed':>10}"
        for probe in found["probes"]:
            yield f"{probe['name']:44} {probe['hits']:>9} {probe['first_seed']!s:>10}"


def verdict(found: dict[str, Any]) -> str:
    """The result of a campaign in one sentence."""
    runs, violations = found["runs"], len(found["violations"])
    hit = f"{found['probes_hit']} of {found['probes_total']} probes hit"
    never = f"; never hit: {', '.join(_missed(found))}" if found["probes_hit"] < found["probes_total"] else ""
    return f"{violations} of {runs} seeds broke a promise, {hit}{never}"


def _missed(found: dict[str, Any]) -> list[str]:
    return [probe["name"] for probe in found["probes"] if not probe["hits"]]
