"""`make bench`: the cluster's rates on this machine, beside the machine's limits.

It uses real processes, sockets, CURVE, signatures, fsync and ticket rows; one gateway, one learner. Numbers
of a shared two-core machine vary, so every rate is reported beside the limits measured in the same run
(floor).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import floor, load
from benchmarks.cluster import gateway, running_cluster

LEARNERS = 1
LONE = 400
SINGLES = 6_000
BUNDLED = 60_000
BUNDLE = 100
BOUNDS = {"verification": "verifications", "apply": "applies"}
CLIENTS = 512
"""Single operations in flight at once: each is signed, and verified by every replica, by itself."""


def run(sizes: tuple[int, ...], *, scale: float = 1.0) -> dict[str, Any]:
    """Measure clusters of the given sizes; `scale` shortens every run (for tests)."""
    print("measuring the machine's floor ...", file=sys.stderr)
    base = floor.measure()
    report: dict[str, Any] = {"floor": base, "clusters": {}}
    for nodes in sizes:
        print(f"measuring {nodes} nodes ...", file=sys.stderr)
        report["clusters"][nodes] = _cluster(nodes, scale)
    for nodes, rows in report["clusters"].items():
        bound = base["verifications_per_second"] / (nodes + LEARNERS)
        rows["singles"]["ratio_to_verification_bound"] = rows["singles"]["operations_per_second"] / bound
        applied = base["applies_per_second"] / (nodes + LEARNERS)
        for name in ("bundles_issue", "bundles_admit"):
            rows[name]["ratio_to_apply_bound"] = rows[name]["operations_per_second"] / applied
    return report


def _cluster(nodes: int, scale: float) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    with running_cluster(nodes) as (processes, first):
        tickets = load.names("L", int(LONE * scale))
        load.drive(first, load.chunks(load.issues(tickets), BUNDLE), outstanding=4)
        rows["lone_client"] = asdict(load.lone(first, load.admits(tickets)))
        tickets = load.names("B", int(BUNDLED * scale))
        issued = load.drive(first, load.chunks(load.issues(tickets), BUNDLE), outstanding=32)
        rows["bundles_issue"] = asdict(issued)
        admitted = load.drive(first, load.chunks(load.admits(tickets), BUNDLE), outstanding=32)
        rows["bundles_admit"] = asdict(admitted)
        singles = load.names("S", int(SINGLES * scale))
        load.drive(first, load.chunks(load.issues(singles), BUNDLE), outstanding=32)
        with gateway(processes.folder, bundle_operations_max=1, in_flight_max=CLIENTS) as single:
            calls = load.chunks(load.admits(singles), 1)
            rows["singles"] = asdict(load.drive(single, calls, outstanding=CLIENTS))
    return rows


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    base = report["floor"]
    lines = [
        f"floor: {base['verifications_per_second']:,.0f} verifications/s on {base['cores']:.0f} busy cores, "
        f"fsync p50 {base['fsync_p50_ms']:.2f} ms, {base['applies_per_second']:,.0f} applies/s with rows",
        f"{'n':>3}  {'run':<14} {'operations/s':>12} {'p50 ms':>8} {'p99 ms':>8}  ratio",
    ]
    for nodes, rows in report["clusters"].items():
        for name, row in rows.items():
            beside = ""
            for what in ("verification", "apply"):
                if (ratio := row.get(f"ratio_to_{what}_bound")) is not None:
                    beside = f"{ratio:.2f} of {BOUNDS[what]}/(n+learners)"
            lines.append(
                f"{nodes:>3}  {name:<14} {row['operations_per_second']:>12,.0f} {row['p50_ms']:>8.2f} "
                f"{row['p99_ms']:>8.2f}  {beside}"
            )
    return "\n".join(lines)


def main(output: Path, sizes: tuple[int, ...], scale: float) -> None:
    """Measure, print the table, write the JSON."""
    report = run(sizes, scale=scale)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(table(report))
    print(f"written: {output}")
