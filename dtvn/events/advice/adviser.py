"""All that is told about a stream: refusals with their cures, advice, each cause once."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from dtvn.events.advice.causes import Causes, follows
from dtvn.events.advice.client import SAYS, ClientAdvice
from dtvn.events.advice.cures import cured
from dtvn.events.advice.history import NOTED, SORTS, History, Named, named, stage_of
from dtvn.events.advice.profiles import CODES
from dtvn.events.rules import (
    ACCEPTED,
    EventReader,
    Linter,
    Phase,
    Severity,
    Stream,
    Verdict,
    Violation,
    warning,
)
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s
from dtvn.events.rules.lint import PIECES
from dtvn.events.rules.violation import INTERRUPT, Refusal, error


class Told(Struct, frozen=True):
    """`new`: what is told; `repeated`: what follows from earlier findings, and is counted only."""

    new: tuple[Violation, ...]
    repeated: tuple[Violation, ...] = ()


NOTHING = Told(())
PLAIN = Told(())
"""Nothing of a plain piece of text, nor of events that differ from it in plain text and later times alone."""
_ALWAYS = {"UNKNOWN_EVENT_TYPE", "PROTOCOL_0X"}
"""Warnings of what the rules took in another form, which are given also where there is no advice."""
_RULES = {"TEXT_MESSAGE": "MESSAGE_INCOMPLETE", "TOOL_CALL": "TOOL_INCOMPLETE"}


class Adviser:
    """Follows one stream beside its rules."""

    def __init__(
        self,
        stream: Stream,
        linter: Linter,
        codes: frozenset[str],
        *,
        advises: bool = True,
        given: m.RunInput | None = None,
    ) -> None:
        """`codes`: the advice that is given; `advises` false: none but of the linter's own checks. `given`:
        the input that the stream was asked with."""
        self.stream = stream
        self._linter = linter
        self._left_out = CODES - (codes if advises else codes & _ALWAYS)
        follows_client = advises and stream.order
        self._client = ClientAdvice(stream.state, given, linter.filled) if follows_client else None
        self._advises = advises
        self._history = History()
        self._causes = Causes()

    def take(self, data: bytes, verdict: Verdict, own: Verdict, now_ms: int | None) -> Told:
        """What is told of the event that the stream judged last. `verdict`: the one that counts, of a cluster
        perhaps; `own`: the stream's; `now_ms`: milliseconds since 1970, None if times are not compared with
        now."""
        event = self.stream.event
        if (
            own is ACCEPTED is verdict
            and type(event) in PIECES
            and self.stream.expansion[0] != self.stream.index - 1  # it ends no chunks
            and self._linter.is_plain(data, now_ms)
        ):
            if not isinstance(event, s.ToolCallArgs):
                return PLAIN
            if self._client is None or self._client.has_held(event):
                return NOTHING
        if verdict.accepted:
            advice = self.advise(own, now_ms) if own.accepted else ()
            found = [*self._given(list(verdict.violations)), *advice] if verdict.violations else advice
            return self._told([*found]) if found else NOTHING
        given = named(data)
        found = [cured(each, given, self.stream.state, self._history) for each in verdict.violations]
        following = self.stream.order and follows(found[0], given, self._history)
        self._history.refuse(given, found[0].code)
        self._forget(given)
        return Told((), tuple(found)) if following else self._told(found)

    def pass_over(self) -> None:
        """Stand where the stream stands, which passed over events of which there is nothing to say."""
        self._linter.pass_over()

    def _forget(self, given: Named) -> None:
        """Say nothing of what an item lacks whose event was refused: that is why it lacks it."""
        sort, _ = stage_of(given.type)
        identifier = given.identifier(SORTS[sort][1]) if sort else None
        if identifier is not None:
            self._linter.unfinished.fill(_RULES.get(sort, ""), identifier)
            if self._client is not None and sort == "TOOL_CALL":
                self._client.forget_arguments(identifier)

    def advise(self, own: Verdict, now_ms: int | None) -> tuple[Violation, ...]:
        """The advice about the event that the stream accepted last."""
        stream = self.stream
        event = stream.event
        if event is None:
            return ()
        index = stream.index - 1
        said = self._linter.advise(now_ms)
        client = self._client
        if client is not None and isinstance(event, s.ToolCallResult) and self._linter.quiet:
            # The call of an earlier run may be answered in this one.
            known = client.knows_call(event.tool_call_id)
            said = [each for each in said if not known or each.code != "TOOL_RESULT_UNKNOWN_CALL"]
        for part in stream.parts if stream.expansion[0] == index else (event,):
            kind = type(part)
            if kind in NOTED:
                self._history.accept(part, index)
            if client is not None and (says := SAYS.get(kind)) is not None:
                for each in says(client, part):
                    said.append(warning(index, *each))
        if any(each.suggestion == INTERRUPT for each in own.violations):
            # Its calls wait for what clients dropped.
            said = [each for each in said if each.code != "CALL_NOT_ANSWERED"]
        return self._given(said) if said else ()

    def _given(self, said: list[Violation]) -> tuple[Violation, ...]:
        return tuple([each for each in said if each.code not in self._left_out])

    @property
    def runs(self) -> int:
        """How many runs the stream holds."""
        return self._history.runs

    @property
    def complete(self) -> bool | None:
        """Whether the stream holds a run and its last one has ended, if nothing follows; None without the
        rules of order."""
        if not self.stream.order:
            return None
        return self.stream.state.phase in (Phase.FINISHED, Phase.ERRORED)

    def missing(self) -> Violation | None:
        """Why the stream is not complete, if it is not and no refusal told it."""
        if self.complete is not False:
            return None
        if self.stream.state.phase is Phase.NEW:
            if self._history.has_refusal:
                return None
            lacks = "RUN_STARTED" if self.stream.index else "events"
            last = max(self.stream.index - 1, 0)
            return warning(last, "NO_RUN", None, f"The stream holds no run: it has no {lacks}.")
        return None if self._history.finish_refused else self.stream.end()[0]

    def end(self, reader: EventReader | None = None, *, complete: bool = False) -> Told:
        """What the end of the stream shows. `reader`: knows the form that its events had; `complete`: that it
        is not complete is an error, which no choice of advice leaves out."""
        line_ends = None if reader is None else reader.line_ends
        found = [each for each in self._at_the_end(line_ends) if each.code not in self._left_out]
        if reader is not None and reader.live:
            # Clients find no event in it.
            found = [
                replace(each, severity=Severity.ERROR) if each.code == "LINE_ENDS" else each for each in found
            ]
        if reader is not None and reader.unframed is not None:
            said = f"Line {reader.unframed} is JSON without `data: ` before it: clients skip it."
            found.insert(0, error(max(self.stream.index - 1, 0), Refusal("NOT_FRAMED", said)))
        missing = self.missing() if complete else None
        if missing is not None:
            others = [each for each in found if each.code != missing.code]
            found = [replace(missing, severity=Severity.ERROR), *others]
        return self._told(found)

    def _at_the_end(self, line_ends: str | None) -> Iterator[Violation]:
        # That the run did not end was told where its end was refused.
        if not self._history.finish_refused:
            yield from self._linter.end()
        missing = self.missing()
        if missing is not None and missing.code == "NO_RUN" and self._advises:
            yield missing
        if line_ends is not None and self._advises:
            said = f"Lines end with {line_ends}: the official client 1.0 knows only LF, and finds no event."
            yield warning(max(self.stream.index - 1, 0), "LINE_ENDS", None, said)

    def _told(self, found: list[Violation]) -> Told:
        new = [self._causes.is_new(each) for each in found]
        return Told(
            tuple(each for each, first in zip(found, new, strict=True) if first),
            tuple(each for each, first in zip(found, new, strict=True) if not first),
        )
