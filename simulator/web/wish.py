"""The body of a start over HTTP: defaults for missing fields, 400 for invalid ones (spec 10)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from simulator.old_names import ADVERSARIES, current
from simulator.options import OptionError, Options, check
from tickets.services import InvalidRequest

__all__ = ["Wish", "options_of", "read_wish"]

SEED_MAX = 2**63 - 1


class Wish(msgspec.Struct, frozen=True):
    """The body of a start. The first seven are the contract's, the others ours; unknown ones are ignored."""

    nodes: int = 7
    byzantine_nodes: int = 2
    tickets: int = 100
    duration_seconds: int = 60
    latency_ms: int = 50
    packet_loss_rate: float = 0.01
    enable_partitions: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0, le=SEED_MAX)] = 1
    adversary: str = ""
    crash_rate: float = 0.0
    trace: bool = False
    """Keep every event of the run for `GET runs/{id}/trace`."""


def read_wish(body: bytes) -> Wish:
    """Parse the body; an empty one means the defaults. Raise InvalidRequest naming the invalid field."""
    if not body.strip():
        return Wish()
    try:
        wish = msgspec.json.decode(body, type=Wish)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body could not be parsed: {error}") from error
    try:
        check(options_of(wish))
    except OptionError as error:
        raise InvalidRequest(str(error)) from error
    return wish


def options_of(wish: Wish) -> Options:
    """The same options as the simulator takes them."""
    fields: dict[str, Any] = msgspec.structs.asdict(wish)
    del fields["trace"]
    fields["adversary"] = current(wish.adversary, ADVERSARIES)
    return Options(**fields)
