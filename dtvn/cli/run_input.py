"""The RunAgentInput that `--input` names: an agent is asked with it, and advice takes its state, tools and
messages from it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
from msgspec import Struct

from dtvn.cli.sources import SourceError
from dtvn.events.rules import RunInput, read_input


class Given(Struct, frozen=True):
    """`body`: the bytes of the file; `read`: what they say."""

    body: bytes
    read: RunInput


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--input`."""
    parser.add_argument(
        "--input",
        metavar="FILE",
        type=Path,
        help="the RunAgentInput, as JSON, that the first run was asked with: its state, tools and messages; "
        "an agent at an address is asked with it (default: says Hello)",
    )


def given(path: Path | None) -> Given | None:
    """Read the file, once: it may be a pipe. Raises SourceError."""
    if path is None:
        return None
    try:
        body = path.read_bytes()
        return Given(body, read_input(body))
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no RunAgentInput: {error}") from None


def minimal() -> bytes:
    """The body of a new thread in which a user says Hello."""
    import uuid

    thread, run, message = (str(uuid.uuid4()) for _ in range(3))
    said = {"id": message, "role": "user", "content": "Hello"}
    # The last four are required by agents of protocol 0.x.
    rest: dict[str, object] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
    return json.dumps({"threadId": thread, "runId": run, "messages": [said]} | rest).encode()
