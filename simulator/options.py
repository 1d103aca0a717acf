"""Options of `simulator run`, their defaults and limits."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.durations import MILLISECOND, SECOND, format_duration
from dtvn.protocol.quorum import Mode
from simulator.names import ADVERSARIES

PLAIN = "plain"
"""Name of the world of a run for which none is named: a cluster by flags."""

MIXED = ("equivocator", "mutator", "mute", "slow-primary")
"""Kinds of the liars, in turn, if none is named: equivocation, wrong digests, silence, delay."""


class OptionError(ValueError):
    """An option outside of its limits; `field` names it."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster whose gates validate one ticket every 10 ms."""

    nodes: int = 7
    byzantine_nodes: int = 2
    tickets: int = 100
    duration_seconds: float = 60
    """Longest virtual duration in seconds; the run ends earlier when all tickets are done."""
    latency_ms: float = 50
    """One-way latency of every message."""
    packet_loss_rate: float = 0.01
    enable_partitions: bool = False
    """Before each ticket, with probability 1/20, the first third of the nodes is cut off for 5 s."""
    seed: int = 1
    adversary: str = ""
    """Kind of every liar; "": one of each of MIXED in turn."""
    crash_rate: float = 0.0
    """Crashes of a random node per virtual second."""


FLAGS = {
    "nodes": "nodes",
    "byzantine": "byzantine_nodes",
    "tickets": "tickets",
    "duration": "duration_seconds",
    "latency": "latency_ms",
    "packet-loss": "packet_loss_rate",
    "partition": "enable_partitions",
    "adversary": "adversary",
    "crash-rate": "crash_rate",
}
"""Command-line flag -> field of Options."""
ALWAYS_SAID = ("nodes", "byzantine_nodes")
"""Flags that a command always names, even with default values: a command with a mutant and no size would play
the mutant's own world."""


class PlainTask(msgspec.Struct, frozen=True):
    """A run by flags, and its mutant ("": none)."""

    options: Options
    mutant: str = ""

    @property
    def command(self) -> str:
        """The command that plays it again."""
        words = ["manage.py simulator run"]
        for flag, field in FLAGS.items():
            value = getattr(self.options, field)
            if field in ALWAYS_SAID or value != getattr(Options(), field):
                words.append(f"--{flag}" if value is True else f"--{flag} {_spelled(field, value)}")
        words.append(f"--seed {self.options.seed}")
        if self.mutant:
            words.append(f"--mutant {self.mutant}")
        return " ".join(words)


def _spelled(field: str, value: Any) -> str:
    unit = {"duration_seconds": SECOND, "latency_ms": MILLISECOND}.get(field)
    if unit is None:
        return str(value).removesuffix(".0")
    return format_duration(round(value * unit))


LIMITS: tuple[tuple[str, float, float], ...] = (
    ("nodes", 4, 30),
    ("tickets", 1, 1_000),
    ("duration_seconds", 10, 600),
    ("latency_ms", 0, 1_000),
    ("packet_loss_rate", 0, 0.5),
    ("crash_rate", 0, 10),
)
"""(field, least, most) for a run requested over HTTP."""
YEAR = 366 * 24 * 3_600
"""Seconds: the longest duration of a virtual run."""
COMMAND_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("nodes", 1, quorum.MEMBERS_MAX),
    ("tickets", 1, math.inf),
    ("duration_seconds", 0.001, YEAR),
    ("latency_ms", 0, YEAR * 1_000),
    ("packet_loss_rate", 0, 1),
    ("crash_rate", 0, 10),
)
"""(field, least, most) for the command, which has only the core's own bounds. Crashes are ours."""


def check(options: Options, limits: tuple[tuple[str, float, float], ...] = LIMITS) -> Options:
    """Return the options; raise OptionError for the first that is outside of its limits."""
    for field, low, high in limits:
        value = getattr(options, field)
        if not low <= value <= high:  # a NaN is outside too
            outside = f"not between {low} and {high}" if high < math.inf else f"less than {low}"
            raise OptionError(field, f"{value} is {outside}")
    most = quorum.faults(options.nodes, Mode.PBFT)
    if not 0 <= options.byzantine_nodes <= most:
        raise OptionError(
            "byzantine_nodes",
            f"{options.byzantine_nodes} is not between 0 and {most}, what {options.nodes} nodes tolerate",
        )
    if options.adversary and options.adversary not in ADVERSARIES:
        raise OptionError("adversary", f"{options.adversary!r} is not one of {', '.join(ADVERSARIES)}")
    return options


def by_hand(given: dict[str, Any]) -> Options:
    """The options of a command line that gives these fields. The default number of liars depends on the
    nodes; raise OptionError for a value outside of its limits, and for nodes that tolerate no liar unless the
    command line says that no liar is meant."""
    wanted = check(Options(**{"byzantine_nodes": 0, **given}), COMMAND_LIMITS)
    if "byzantine_nodes" in given:
        return wanted
    most = quorum.faults(wanted.nodes, Mode.PBFT)
    if not most:
        raise OptionError("nodes", f"{wanted.nodes} tolerate no Byzantine node; use -byzantine 0")
    return msgspec.structs.replace(wanted, byzantine_nodes=min(most, Options().byzantine_nodes))
