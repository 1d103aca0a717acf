"""What a run by hand is asked to be: the options of `simulator run`, their defaults and limits."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from simulator.adversary import ADVERSARIES
from simulator.clock import MILLISECOND, SECOND
from validators import quorum
from validators.durations import format_duration

__all__ = [
    "COMMAND_LIMITS",
    "FLAGS",
    "LIMITS",
    "MIXED",
    "PLAIN",
    "YEAR",
    "OptionError",
    "Options",
    "Plain",
    "by_hand",
    "check",
]

PLAIN = "plain"
"""World of a run without a world: a cluster by flags."""

MIXED = ("equivocator", "mutator", "mute", "sluggard")
"""Kinds of the liars, in turn, where none is named: two tongues, wrong digests, silence, delay."""


class OptionError(ValueError):
    """An option outside its limits; `field` names it."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster whose gates validate one ticket every 10 ms."""

    nodes: int = 7
    byzantine_nodes: int = 2
    tickets: int = 100
    duration_seconds: float = 60
    """Virtual seconds that the run may take; it ends when all tickets are done."""
    latency_ms: float = 50
    """One way, of every message."""
    packet_loss_rate: float = 0.01
    enable_partitions: bool = False
    """Before each ticket, one time in twenty, the first third of the nodes is cut off for 5 s."""
    seed: int = 1
    adversary: str = ""
    """Kind of every liar; "": one of each of MIXED in turn."""
    crash_rate: float = 0.0
    """Crashes of a random node for each virtual second."""


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
"""Field of Options, by the command's flag."""
ALWAYS_SAID = ("nodes", "byzantine_nodes")
"""Even the usual ones: a command with a mutant and no size would play the mutant's own world."""


class Plain(msgspec.Struct, frozen=True):
    """A run by flags, and the bug that is planted in it ("": none)."""

    options: Options
    mutant: str = ""

    @property
    def command(self) -> str:
        """What plays it again."""
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
"""(field, least, most) of a run asked for over HTTP."""
YEAR = 366 * 24 * 3_600
"""Seconds: no virtual clock is read beyond."""
COMMAND_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("nodes", 1, quorum.MEMBERS_MAX),
    ("tickets", 1, math.inf),
    ("duration_seconds", 0.001, YEAR),
    ("latency_ms", 0, YEAR * 1_000),
    ("packet_loss_rate", 0, 1),
    ("crash_rate", 0, 10),
)
"""Of the command, which has none but what the core itself bounds (spec 4.3). Crashes are ours."""


def check(options: Options, limits: tuple[tuple[str, float, float], ...] = LIMITS) -> Options:
    """The options themselves; raise OptionError for the first that is outside its limits."""
    for field, low, high in limits:
        value = getattr(options, field)
        if not low <= value <= high:  # a NaN is outside too
            outside = f"not between {low} and {high}" if high < math.inf else f"less than {low}"
            raise OptionError(field, f"{value} is {outside}")
    most = quorum.faults(options.nodes)
    if not 0 <= options.byzantine_nodes <= most:
        raise OptionError(
            "byzantine_nodes",
            f"{options.byzantine_nodes} is not between 0 and {most}, what {options.nodes} nodes tolerate",
        )
    if options.adversary and options.adversary not in ADVERSARIES:
        raise OptionError("adversary", f"{options.adversary!r} is none of {', '.join(ADVERSARIES)}")
    return options


def by_hand(given: dict[str, Any]) -> Options:
    """The options of a command line that gives these fields. The usual number of liars follows the nodes;
    raise OptionError for what is outside of the limits, and for nodes that tolerate none where nobody said
    that none is meant."""
    wanted = check(Options(**{"byzantine_nodes": 0, **given}), COMMAND_LIMITS)
    if "byzantine_nodes" in given:
        return wanted
    most = quorum.faults(wanted.nodes)
    if not most:
        raise OptionError("nodes", f"{wanted.nodes} tolerate no liar; -byzantine 0 plays them without one")
    return msgspec.structs.replace(wanted, byzantine_nodes=min(most, Options().byzantine_nodes))
