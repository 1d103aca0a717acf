"""How a body passes whose events wait for their verdicts: `mark` and `refuse`.

An event is held until it is judged. `mark` then puts a CUSTOM event before a bad one, and one with the
verdict on the run before its last event. `refuse` puts RUN_ERROR in the place of a bad event and ends the
stream. A CUSTOM event stands inside a run, and not within a message that is built of chunks: it waits until
there is such a place, and is not sent if none comes.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dtvn.events.rules import FramingError, Limits, Verdict, Violation, refused, warning
from dtvn.proxy.blocks import Block, Blocks
from dtvn.proxy.judging import UNFINISHED, Judging
from dtvn.proxy.media import Identity, Inflated, UnreadableEncoding
from dtvn.proxy.own_events import error_event, framed, verdict_event
from dtvn.proxy.passages import NO_EVENTS, Send
from dtvn.proxy.places import Place

UNDECODED_BYTES_MAX = 64 * 1024
"""Most bytes of a compressed body before the first that is decoded."""
_UNFINISHED = "The stream ends within a run."
MARKS = 100
"""Most refused events of one stream that get a CUSTOM event each."""


class Terms(Struct, frozen=True):
    """`refuse`: refuse bad events instead of marking them. `refuse_unjudged`: refuse events without a
    verdict."""

    refuse: bool
    refuse_unjudged: bool
    limits: Limits


class Holding:
    """One body whose events are held until they are judged."""

    judged = True

    def __init__(
        self, send: Send, judging: Judging, terms: Terms, decoder: Identity | Inflated, token: str
    ) -> None:
        """`token` stands in the CUSTOM events: an agent's own do not have it."""
        self.done = False
        self._token = token
        self._send = send
        self._judging = judging
        self._terms = terms
        self._decoder = decoder
        self._blocks = Blocks(terms.limits.event_bytes)
        self._place = Place()
        self._notes: list[dict[str, Any]] = []
        self._marks = 0
        self._run_events = 0
        self._run_code: str | None = None
        self._outage_said = False
        self._through = False
        self._decoded = False
        self._undecoded = bytearray()
        """What came before the first decoded byte."""

    async def body(self, piece: bytes) -> None:
        if not self._decoded:
            self._undecoded += piece
        try:
            for text in self._decoder.feed(piece):
                self._decoded = True
                self._undecoded.clear()
                await self._take(text)
                if self.done:
                    return
            if len(self._undecoded) > UNDECODED_BYTES_MAX:
                raise UnreadableEncoding(f"content encoding gzip: nothing in {UNDECODED_BYTES_MAX} bytes")
        except UnreadableEncoding as error:
            self._judging.give_up(str(error))
            if self._terms.refuse_unjudged or self._decoded:
                await self.broke(str(error))
            else:  # the header was wrong: the client gets the bytes as they are
                self._decoder, self._through = Identity(), True
                await self._more([bytes(self._undecoded)])

    async def _take(self, text: bytes) -> None:
        """Handle decoded bytes of the body."""
        if self._through:
            await self._more([text])
            return
        try:
            await self._pass(list(self._blocks.feed(text)))
            await self._bound()
        except FramingError as error:
            await self._no_events(error)

    async def end(self) -> None:
        try:
            self._decoder.end()
            await self._pass(list(self._blocks.end()))
        except UnreadableEncoding as error:
            self._judging.give_up(str(error))
            await self.broke(str(error))
        except FramingError as error:
            await self._no_events(error)
        if not self.done and self._terms.refuse and self._place.in_run:
            self._judging.findings.warn(
                warning(self._judging.findings.events - 1, UNFINISHED, None, _UNFINISHED)
            )
            await self._refuse([], UNFINISHED, _UNFINISHED)
        elif not self.done:
            out: list[bytes] = []
            if not self._terms.refuse and self._run_events and self._place.in_run:
                self._note_run()
            if self._notes and self._place.free:
                # The last line may lack its end, and would swallow an event behind it.
                out.append(b"\n" if self._blocks.form == "ndjson" else b"\n\n")
                self._say_notes(out)
            await self._finish(out)

    async def broke(self, reason: str) -> None:
        self._judging.findings.ended = reason
        if self._terms.refuse and not self._through:
            await self._refuse([], "UPSTREAM_BROKE_OFF", f"The agent's stream broke off: {reason}.")
        self.done = True

    async def close(self) -> None:
        self._forget_notes()
        await self._judging.close()

    async def _pass(self, blocks: list[Block]) -> None:
        """Judge the events of these blocks, and send the blocks on, marked or refused as their verdicts
        say."""
        if not blocks:
            return
        texts = [block.text for block in blocks if block.text is not None]
        given = iter(await self._judging.verdicts(texts))
        out: list[bytes] = []
        for block in blocks:
            if block.text is not None:
                verdict = next(given, None)
                if verdict is None and not self._outage_said:
                    reason = f"Not validated: {self._judging.findings.not_validated}."
                    if self._terms.refuse_unjudged:
                        await self._refuse(out, "NO_VERDICT", reason)
                        return
                    self._outage_said = True
                    self._note(None, not_validated=self._judging.findings.not_validated)
                if verdict is not None and not verdict.accepted and self._terms.refuse:
                    first = verdict.violations[0]
                    said = (
                        f"Event {first.index} was refused: {first.code}: {first.message} {first.suggestion}"
                    )
                    await self._refuse(out, first.code, said)
                    return
                self._show(out, block, block.text, verdict)
            out.append(block.raw)
        await self._more(out)

    def _show(self, out: list[bytes], block: Block, text: bytes, verdict: Verdict | None) -> None:
        """Note the verdict on an event, and put the notes that wait before it, if CUSTOM events may stand
        there."""
        place = self._place
        free, whole = place.free, not place.torn
        accepted = verdict is not None and verdict.accepted
        ends = place.take(block.raw, text, accepted=accepted, longest=self._terms.limits.event_bytes)
        may_say = not block.begun and (free or (ends and whole))
        if verdict is not None and not self._terms.refuse:
            self._mark(verdict)
            if ends:
                self._note_run()
        if may_say:
            self._say_notes(out)
        elif ends:  # in another run it would say something else
            self._forget_notes()

    def _mark(self, verdict: Verdict) -> None:
        self._run_events += 1
        if verdict.accepted:
            return
        first = verdict.violations[0]
        self._run_code = self._run_code or first.code
        if self._marks < MARKS:
            self._marks += 1
            self._note(False, verdict.violations, index=first.index, code=first.code)

    def _note_run(self) -> None:
        """Note the verdict on the run that ends."""
        self._note(self._run_code is None, events=self._run_events, code=self._run_code)
        self._run_events, self._run_code = 0, None

    def _note(self, valid: bool | None, violations: tuple[Violation, ...] = (), **more: Any) -> None:
        scope = self._judging.findings.scope
        self._notes.append(verdict_event(valid, scope, violations, **more, by=self._token))

    def _say_notes(self, out: list[bytes]) -> None:
        out += [framed(event, self._blocks.form) for event in self._notes]
        self._notes = []

    def _forget_notes(self) -> None:
        """Count the notes that wait as not sent."""
        self._judging.findings.marks_unsent += len(self._notes)
        self._notes = []

    async def _bound(self) -> None:
        """If the incomplete event is too large to be held, refuse it, or send its bytes on."""
        if self.done or self._blocks.held <= self._terms.limits.event_bytes:
            return
        if self._judging.judged and self._terms.refuse:
            said = f"An event has more than {self._terms.limits.event_bytes} bytes."
            findings = self._judging.findings
            findings.refuse(refused(findings.events, "EVENT_TOO_LARGE", said).violations[0])
            await self._refuse([], "EVENT_TOO_LARGE", said)
        else:
            await self._more([self._blocks.drained()])

    async def _no_events(self, error: FramingError) -> None:
        self._judging.give_up(f"{NO_EVENTS}: {error}")
        if self._terms.refuse_unjudged:
            await self._refuse([], "NOT_EVENTS", f"Not validated: {NO_EVENTS}: {error}.")
        else:
            self._through = True
            await self._more([self._blocks.drained()])

    async def _refuse(self, out: list[bytes], code: str, said: str) -> None:
        """Send `out` and a RUN_ERROR, unless the client has got one already, and end the stream."""
        if not self._place.errored:
            out.append(framed(error_event(code, said), self._blocks.form))
        if self._judging.findings.ended == "complete":
            self._judging.findings.ended = "refused"
        await self._finish(out)

    async def _more(self, out: list[bytes]) -> None:
        if out:
            await self._send({"type": "http.response.body", "body": b"".join(out), "more_body": True})

    async def _finish(self, out: list[bytes]) -> None:
        await self._send({"type": "http.response.body", "body": b"".join(out), "more_body": False})
        self.done = True
