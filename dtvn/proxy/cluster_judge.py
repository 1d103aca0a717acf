"""The judge that asks a cluster, through the REST API of its platform: one run there for each stream."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from dtvn.events.rules import Verdict, Violation, warning
from dtvn.log_limit import limit
from dtvn.proxy.headers import address
from dtvn.proxy.judge import Judgement, NoVerdict
from dtvn.proxy.transcripts import SaltedEvents, TranscriptFile

RUNS = "/api/v1/events/runs"
CHUNK_EVENTS = 1_000
CHUNK_BYTES = 1024 * 1024
"""Bytes of the events in one request, and the longest event that members judge."""
CONNECT_SECONDS = 5.0
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.2, 10.0
"""Seconds after the first attempt at a call, doubled after each up to the second figure; Retry-After may ask
for more. A repeated call gets the same answer."""
BUSY = "run_busy"
"""Code of a call whose earlier attempt, of which the answer was lost, is not answered yet."""
EARLIER = "run_is_live"
"""Code of a call about a run that an earlier stream still writes: it waits for that one's end."""
EARLIER_PAUSE_MAX = 1.0
_AGAIN = (429, 502, 503, 504)
_WHITE = b" \t\r\n"
Form = TypeVar("Form", bound=Struct)
log = logging.getLogger(__name__)
log.addFilter(limit)


class _Began(Struct):
    id: int


class _Beginning(Struct):
    data: _Began


class _Reason(Struct):
    code: str
    text: str


class _Ended(Struct):
    events: int
    """Number of events that certificates cover."""
    scope: str
    failure: _Reason | None
    recorded: str
    """Outcome code of the run's last record."""

    @property
    def not_recorded(self) -> Violation | None:
        """Why the log did not record the run, as a warning about the whole; None if it did."""
        if self.failure is None or self.failure.code != self.recorded:
            return None
        return warning(0, self.failure.code, None, self.failure.text)


class _Ending(Struct):
    data: _Ended


class _Line(Struct):
    """The verdict on one event: a line of the platform's answer."""

    index: int
    accepted: bool
    violations: tuple[Violation, ...]
    scope: str


class _Failure(Struct):
    error: str = ""
    code: str = ""


class ClusterJudge:
    """Judges through the platform at an address."""

    def __init__(
        self,
        platform: str,
        *,
        key: str = "",
        algorithm: str | None = None,
        drop_unknown: bool = False,
        transcripts: Path | None = None,
        recorded: bool | None = None,
        patience: float | None = None,
    ) -> None:
        """`key`: an API key with the scope `record`. `algorithm`: one that the cluster offers; None leaves
        the choice to it. `transcripts`: a folder that gets the transcript of each stream. `recorded`: whether
        the ordered log records the runs; None leaves that to the algorithm. `patience`: seconds for one call
        with its repetitions, and a platform that never answered is called once; None: no end. Raises
        AddressError."""
        self.transcripts = transcripts
        self.patience = patience
        self.reached = False
        """Whether the platform has answered anything."""
        wanted = {"algorithm": algorithm, "drop_unknown": drop_unknown or None, "recorded": recorded}
        self.wanted = {name: value for name, value in wanted.items() if value is not None}
        # Who asks sets the time for a verdict.
        self.client = httpx.AsyncClient(
            base_url=address(platform),
            headers={"X-API-Key": key} if key else {},
            trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def open(self) -> Judgement:
        """See Judge. The platform is asked meanwhile: the first call of `judge` waits for it."""
        return _ClusterJudgement(self)

    async def begin(self) -> int:
        """Begin a run at the platform; returns its id. Raises NoVerdict."""
        content = await self.call(RUNS, msgspec.json.encode(self.wanted), "application/json")
        return _decoded(content, _Beginning).data.id

    async def call(self, path: str, body: bytes, media: str) -> bytes:
        """Sends a POST, again and again while the platform is unreachable or busy, and returns the body of
        the answer. Raises _Refused if the platform answers another error, NoVerdict after `patience`."""
        pause = PAUSE_SECONDS
        trouble: Exception = NoVerdict(f"no answer of the cluster's platform in {self.patience} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while True:
                    asked = 0
                    try:
                        answer = await self.client.post(path, content=body, headers={"Content-Type": media})
                    except httpx.TransportError as error:
                        trouble = NoVerdict(
                            f"cannot reach the cluster's platform: {str(error) or type(error).__name__}"
                        )
                        if self.patience is not None and not self.reached:
                            break
                    else:
                        self.reached = True
                        if answer.is_success:
                            return answer.content
                        trouble = _Refused(answer)
                        if answer.status_code not in _AGAIN and trouble.code != BUSY:
                            break
                        asked = _retry_after(answer)
                    if self.patience is None:  # otherwise the caller reports it
                        log.warning("%s. Retrying.", trouble)
                    await asyncio.sleep(max(pause, asked))
                    pause = min(2 * pause, PAUSE_SECONDS_MAX)
        raise trouble


def _retry_after(answer: httpx.Response) -> int:
    """Seconds that the platform asks to wait; 0 if it gives none, or a date."""
    given = answer.headers.get("Retry-After", "")
    return int(given) if re.fullmatch("[0-9]{1,6}", given) else 0


class _Refused(NoVerdict):
    """The platform answered an error; `code` is its stable code."""

    def __init__(self, answer: httpx.Response) -> None:
        try:
            failure = msgspec.json.decode(answer.content, type=_Failure)
        except msgspec.MsgspecError:
            failure = _Failure()
        self.code = failure.code
        self.said = (failure.error or f"{answer.url.path} is not there").rstrip(".")
        super().__init__(f"the cluster's platform answers {answer.status_code}: {self.said}")


class _ClusterJudgement:
    def __init__(self, judge: ClusterJudge) -> None:
        self.scope = ""
        self.waits_for = ""
        self._judge = judge
        # It goes on when who asks for verdicts gives up: a run that the platform begins is to be ended.
        self._beginning = asyncio.ensure_future(judge.begin())
        self._path = ""
        self._position = 0
        self._transcript: TranscriptFile | None = None

    async def judge(self, events: Sequence[bytes]) -> list[Verdict]:
        if not self._path:
            number = await asyncio.shield(self._beginning)
            self._path = f"{RUNS}/{number}"
            if self._judge.transcripts:
                self._transcript = TranscriptFile(self._judge.transcripts, number)
        verdicts: list[Verdict] = []
        try:
            for chunk in _chunks(events):
                verdicts += await self._judged(chunk)
        except NoVerdict as error:
            error.verdicts = verdicts
            raise
        return verdicts

    async def close(self) -> Violation | None:
        try:
            number = await self._beginning
        except NoVerdict:
            return None  # no run to end
        content = await self._judge.call(f"{RUNS}/{number}/end", b"", "application/json")
        ended = _decoded(content, _Ending).data
        self.scope = ended.scope
        if self._transcript is not None:
            await self._transcript.make(ended.events, self._make_transcript)
        return ended.not_recorded

    async def _make_transcript(self, body: bytes) -> bytes:
        return await self._judge.call(f"{self._path}/transcript", body, "application/json")

    async def _judged(self, chunk: list[bytes]) -> list[Verdict]:
        if len(chunk[0]) > CHUNK_BYTES:
            raise NoVerdict("event over 1 MiB")
        salted = None if self._transcript is None else self._transcript.add(chunk)
        body, media = _written(chunk, salted)
        content = await self._answer(body, media)
        lines = [_decoded(line, _Line) for line in content.splitlines() if line]
        if [line.index for line in lines] != [*range(self._position, self._position + len(chunk))]:
            raise NoVerdict("the cluster's platform answers other events than it was asked about")
        self._position += len(chunk)
        self.scope = lines[-1].scope
        return [Verdict(line.accepted, line.violations) for line in lines]

    async def _answer(self, body: bytes, media: str) -> bytes:
        """What the platform answers about the next events, once no earlier stream writes their run: the
        client of that one may have gone and asked again."""
        until = None if self._judge.patience is None else time.monotonic() + self._judge.patience
        pause = PAUSE_SECONDS
        while True:
            try:
                content = await self._judge.call(f"{self._path}/events?from={self._position}", body, media)
            except _Refused as refusal:
                if refusal.code != EARLIER or (until is not None and time.monotonic() > until):
                    raise
                self.waits_for = refusal.said
            else:
                self.waits_for = ""
                return content
            await asyncio.sleep(pause)
            pause = min(2 * pause, EARLIER_PAUSE_MAX)


def _chunks(events: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The events in requests of their own; one over CHUNK_BYTES is alone in its."""
    chunk: list[bytes] = []
    size = 0
    for text in events:
        if chunk and (len(chunk) == CHUNK_EVENTS or size + len(text) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield chunk


def _written(chunk: list[bytes], salted: SaltedEvents | None) -> tuple[bytes, str]:
    """(body, media type) of a request with exactly these texts: NDJSON if each is one line and needs no salt,
    else JSON. Raises NoVerdict for a text of several lines that is not UTF-8."""
    if salted is not None:
        return msgspec.json.encode(salted), "application/json"
    if all(text == text.strip(_WHITE) and b"\n" not in text for text in chunk):
        return b"\n".join(chunk), "application/x-ndjson"
    try:
        texts = [text.decode() for text in chunk]
    except UnicodeDecodeError:
        raise NoVerdict("an event of several lines that is not UTF-8") from None
    return msgspec.json.encode({"texts": texts}), "application/json"


def _decoded(content: bytes, form: type[Form]) -> Form:
    try:
        return msgspec.json.decode(content, type=form)
    except msgspec.MsgspecError as error:
        raise NoVerdict(f"the cluster's platform answers something else: {error}") from None
