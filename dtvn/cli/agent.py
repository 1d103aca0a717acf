"""The stream of an agent at an http(s) address, which is asked for a run; or a recording at that address."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from dtvn.cli import run_input
from dtvn.cli.sources import SourceError
from dtvn.events.rules import EventReader
from dtvn.wording import one_line

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
SAID_CHARACTERS = 200
"""Of an agent's error, how much is shown."""
_SAID = ("application/json", "application/problem+json", "text/plain")
"""Media types of errors that are shown."""
_NO_POST = (405, 501)
_VALUE = re.compile(r"[\t -~\x80-\xff]*")


class Request(Struct, frozen=True):
    """What an agent is asked. `body`: its RunAgentInput as JSON, None: a minimal one; `headers`: besides
    those of the protocol; `seconds`: how long it may send nothing."""

    body: bytes | None
    headers: tuple[tuple[str, str], ...]
    seconds: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--header` and `--timeout`."""
    parser.add_argument(
        "--header",
        metavar="NAME:VALUE",
        type=_header,
        action="append",
        default=[],
        help="a header for that agent, such as 'Authorization: Bearer ...'; may be given several times",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=SILENCE_SECONDS,
        help="how many seconds that agent may send nothing (default: 60)",
    )


def pieces(address: str, asked: Request, reader: EventReader) -> Iterator[bytes]:
    """The body that `address` answers to POST, or to GET if it takes no POST, as a recording does. `reader`:
    reads it, and has its form from the media type. Raises SourceError."""
    try:
        import httpx
    except ImportError:
        raise SourceError("an address needs httpx: pip install 'dtvn[events]'") from None
    timeout = httpx.Timeout(asked.seconds, connect=min(asked.seconds, CONNECT_SECONDS))
    origin = httpx.URL(address) if asked.headers else None

    def keep(sent: httpx.Request) -> None:
        if origin is not None and (sent.url.scheme, sent.url.netloc) != (origin.scheme, origin.netloc):
            raise SourceError(f"{address} leads to {sent.url}, which is not given the headers for it")

    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True, event_hooks={"request": [keep]}) as client,
            _answer(client, address, asked) as answer,
        ):
            reader.live = True
            reader.is_sse |= answer.headers.get("content-type", "").startswith("text/event-stream")
            yield from answer.iter_bytes()
    # The last three: certificates or proxies that environment variables name cannot be used.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        raise SourceError(f"cannot read {address}: {str(error) or type(error).__name__}") from None


@contextmanager
def _answer(client: httpx.Client, address: str, asked: Request) -> Iterator[httpx.Response]:
    accept = {"Accept": "text/event-stream, application/x-ndjson, application/json"}
    headers = accept | {"Content-Type": "application/json"} | dict(asked.headers)
    with client.stream("POST", address, content=asked.body or run_input.minimal(), headers=headers) as answer:
        if asked.body is not None or answer.status_code not in _NO_POST:
            _check(address, answer)
            yield answer
            return
    with client.stream("GET", address, headers=accept | dict(asked.headers)) as answer:
        _check(address, answer)
        yield answer


def _check(address: str, answer: httpx.Response) -> None:
    kind = answer.headers.get("content-type", "")
    if answer.status_code != 200:
        said = next(answer.iter_bytes(), b"") if kind.startswith(_SAID) else b""
        shown = one_line(" ".join(said.decode(errors="replace").split()), SAID_CHARACTERS)
        more = f": {shown}" if shown else ""
        raise SourceError(f"cannot read {address}: it answers {answer.status_code}{more}")
    if "proto" in kind:
        raise SourceError(f"not validated: {address} sends {kind}, not text")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not _VALUE.fullmatch(value):
        raise argparse.ArgumentTypeError("a header has the form 'Name: value'")
    return name, value


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 86_400:
        raise argparse.ArgumentTypeError("a number of seconds, above 0 and under a day")
    return number
