"""`make bench`: the whole table of what people feel: costs, many tickets, growth, recorded agents, a gate
beside troubles."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks import event_command, gate, growth, large, network

OPERATIONS = 1_000_000
"""Operations over which growth is measured."""


def main(scale: float, tickets: int) -> dict[str, Any]:
    """Measure one after the other, and print one table. `scale` shortens every run; `tickets`: with which
    a network is restarted and over which it grows, at full scale."""
    least = min(scale, 1.0)
    tickets = max(1, int(tickets * least))
    costs = network.run(scale)
    more = []
    for what, measure in (
        (f"import, restart and a wiped node with {tickets:,} tickets", lambda: large.run(tickets)),
        ("growth", lambda: growth.run(tickets, int(OPERATIONS * least))),
        ("`dtvn validate`", event_command.lines),
        ("a gate beside troubles", lambda: gate.run(scale)),
    ):
        print(f"measuring {what} ...", file=sys.stderr)
        more += measure()
    return costs.told(more)
