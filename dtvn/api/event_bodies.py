"""Events and runs in request bodies. The texts of events are taken out of a body byte for byte, for digests
cover these bytes: `{"a": 1}` and `{"a":1}` are two texts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec

from dtvn.api.bodies import Flag, convert
from dtvn.api.errors import InvalidRequest
from dtvn.events.config import OFFERED
from dtvn.events.judging import SALT_SIZE
from dtvn.events.rules import EventReader, FramingError
from dtvn.gateway import EVENT_BYTES_MAX
from dtvn.machine.bodies import PRINTABLE
from dtvn.machine.fields import is_text

RUN_NAME_LENGTH_MAX = 1_024
SEQUENCE_EVENTS_MAX = 65_536
"""Most events of one request."""
BODY_BYTES_MAX = 16 * 1024 * 1024
NO_EVENTS = "events must not be empty"
"""The error of a request without events."""

RunName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=RUN_NAME_LENGTH_MAX,
        pattern=PRINTABLE,
        description=f"a string of 1 to {RUN_NAME_LENGTH_MAX} characters without control characters",
    ),
]
AlgorithmName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="one of " + ", ".join(OFFERED))
]
"""Which of them the cluster offers is known where the run begins."""


class RunBody(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is to be judged. Names that are left out are those of the RUN_STARTED that begins it."""

    thread: RunName | None = None
    run: RunName | None = None
    algorithm: AlgorithmName | None = None
    """None: that of the cluster's log, pbft or raft."""
    drop_unknown: Flag = False
    """Events of unknown types are accepted with a warning."""
    recorded: Flag | None = None
    """Whether the ordered log records the run's head; None: for pbft and raft."""


class EventsBody(RunBody, frozen=True, kw_only=True):
    """A run's next events, besides how it is judged."""

    end: Flag = False


class GivenEvents(msgspec.Struct, frozen=True):
    """Events as a caller gave them."""

    texts: tuple[bytes, ...]
    salts: tuple[bytes, ...] = ()
    """16 bytes for each event, or none at all."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_strings = msgspec.json.Decoder(list[str])


def read_run(content: bytes) -> RunBody:
    """A run without events; an empty body is one without names."""
    return _run_of(_read_members(content), RunBody) if content.strip() else RunBody()


def read_events(content: bytes) -> tuple[EventsBody, GivenEvents]:
    """A run and its events: `events` (JSON values), `texts` (strings), or one `event` or `text`."""
    members = _read_members(content)
    texts = _read_texts(members)
    salts = _read_salts(members, len(texts))
    return _run_of(members, EventsBody), GivenEvents(texts, salts)


def read_lines(content: bytes) -> GivenEvents:
    """Events of an NDJSON body: each line that is not empty is one event, whatever it holds."""
    lines = (line.strip(b" \t\r") for line in content.split(b"\n"))
    return GivenEvents(_checked(tuple(line for line in lines if line)))


class EventStream:
    """Reads a stream that arrives in pieces: NDJSON, server-sent events or a JSON list, by its first bytes. A
    list is read whole, so it has at most EVENT_BYTES_MAX bytes. Both methods return JSON texts of events, and
    raise InvalidRequest."""

    def __init__(self) -> None:
        self._reader = EventReader(EVENT_BYTES_MAX, list_bytes=EVENT_BYTES_MAX)
        self._count = 0

    @property
    def held(self) -> int:
        """Bytes of earlier pieces that are kept, since they complete no event yet."""
        return self._reader.held

    def feed(self, piece: bytes) -> tuple[bytes, ...]:
        """The events that `piece` completes."""
        return self._found(partial(self._reader.feed, piece))

    def end(self) -> tuple[bytes, ...]:
        """The events that the end of the stream completes; call it once, last."""
        found = self._found(self._reader.end)
        if not self._count:
            raise InvalidRequest(NO_EVENTS)
        return found

    def _found(self, read: Callable[[], list[tuple[int, bytes]]]) -> tuple[bytes, ...]:
        try:
            texts = tuple(text for _line, text in read())
        except FramingError as error:
            raise InvalidRequest(f"Invalid request body: {error}") from error
        _check(texts, self._count)
        self._count += len(texts)
        return texts


def _read_members(content: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _members.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest("Invalid request body: a JSON object is needed") from error


def _run_of(members: dict[str, msgspec.Raw], shape: type[Any]) -> Any:
    """The members that `shape` has, as `shape`; raises InvalidRequest."""
    named = {each.name for each in msgspec.structs.fields(shape)}
    try:
        plain = {name: msgspec.json.decode(raw) for name, raw in members.items() if name in named}
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest("Invalid request body") from error
    return convert(plain, shape)


def _read_texts(members: dict[str, msgspec.Raw]) -> tuple[bytes, ...]:
    given = [name for name in ("events", "texts", "event", "text") if name in members]
    if len(given) != 1:
        raise InvalidRequest("Give the events in exactly one of events, texts, event, text")
    name, raw = given[0], members[given[0]]
    try:
        match name:
            case "events":
                texts = tuple(bytes(each) for each in _list.decode(raw))
            case "texts":
                texts = tuple(each.encode() for each in _strings.decode(raw))
            case "event":
                texts = (bytes(raw),)
            case _:
                texts = (msgspec.json.decode(raw, type=str).encode(),)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        rule = {"events": "a list of JSON values", "texts": "a list of strings"}.get(name, "a string")
        raise InvalidRequest(f"{name} must be {rule}") from error
    return _checked(texts)


def _checked(texts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if not texts:
        raise InvalidRequest(NO_EVENTS)
    _check(texts, 0)
    return texts


def _check(texts: tuple[bytes, ...], before: int) -> None:
    """Raise InvalidRequest if these events, after `before` earlier ones, are too many, or one is too long."""
    if before + len(texts) > SEQUENCE_EVENTS_MAX:
        raise InvalidRequest(f"events must be at most {SEQUENCE_EVENTS_MAX}")
    for index, text in enumerate(texts, before):
        if len(text) > EVENT_BYTES_MAX:
            raise InvalidRequest(f"events[{index}] must have at most {EVENT_BYTES_MAX} bytes")


def _read_salts(members: dict[str, msgspec.Raw], count: int) -> tuple[bytes, ...]:
    if "salts" not in members:
        return ()
    wrong = f"salts must be a list of {count} strings, each of {SALT_SIZE} bytes in base64"
    try:
        salts = tuple(base64.b64decode(each, validate=True) for each in _strings.decode(members["salts"]))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise InvalidRequest(wrong) from error
    if len(salts) != count or any(len(salt) != SALT_SIZE for salt in salts):
        raise InvalidRequest(wrong)
    return salts


class _Started(msgspec.Struct, frozen=True):
    type: str
    thread: str = msgspec.field(name="threadId", default="")
    run: str = msgspec.field(name="runId", default="")


_started = msgspec.json.Decoder(_Started)


def names_of(text: bytes) -> tuple[str, str]:
    """(thread, run) that a RUN_STARTED names, "" for an invalid name; ("", "") for any other text."""
    try:
        found = _started.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "", ""
    if found.type != "RUN_STARTED":
        return "", ""
    return _name(found.thread), _name(found.run)


def _name(text: str) -> str:
    return text if len(text) <= RUN_NAME_LENGTH_MAX and is_text(text) else ""
