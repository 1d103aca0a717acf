"""The body of a start over HTTP: defaults for missing fields, 400 for invalid ones."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from dtvn.api.errors import InvalidRequest
from simulator.old_names import ADVERSARIES, current
from simulator.options import OptionError, Options, check

SEED_MAX = 2**63 - 1


class StartRequest(Options, frozen=True, forbid_unknown_fields=False):
    """The body of a start. The first seven fields are the contract's, the others ours; unknown ones are
    ignored."""

    duration_seconds: int = 60
    latency_ms: int = 50
    seed: Annotated[int, msgspec.Meta(ge=0, le=SEED_MAX)] = 1
    trace: bool = False
    """Keep every event of the run for `GET runs/{id}/trace`."""


def read_start_request(body: bytes) -> StartRequest:
    """Parse the body; an empty one means the defaults. Raise InvalidRequest naming the invalid field."""
    if not body.strip():
        return StartRequest()
    try:
        request = msgspec.json.decode(body, type=StartRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body could not be parsed: {error}") from error
    try:
        check(options_of(request))
    except OptionError as error:
        raise InvalidRequest(str(error)) from error
    return request


def options_of(request: StartRequest) -> Options:
    """The same options as the simulator takes them."""
    fields: dict[str, Any] = msgspec.structs.asdict(request)
    del fields["trace"]
    fields["adversary"] = current(request.adversary, ADVERSARIES)
    return Options(**fields)
