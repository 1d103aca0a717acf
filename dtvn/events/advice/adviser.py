"""All that is told about a stream: refusals with their cures, advice, each cause once."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from dtvn.events.advice.causes import Causes, follows
from dtvn.events.advice.client import SAYS, ClientAdvice
from dtvn.events.advice.cures import cured
from dtvn.events.advice.history import NOTED, SORTS, History, Named, named, stage_of
from dtvn.events.advice.older_forms import older_interrupt, older_nulls
from dtvn.events.advice.profiles import CODES
from dtvn.events.advice.refused_values import FORMED, refused_form, refused_nulls
from dtvn.events.rules import ACCEPTED, Linter, Phase, Severity, Stream, Verdict, Violation, warning
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s
from dtvn.events.rules.lint import PIECES


class Told(Struct, frozen=True):
    """`new`: what is told; `repeated`: what follows from earlier findings, and is counted only."""

    new: tuple[Violation, ...]
    repeated: tuple[Violation, ...] = ()


NOTHING = Told(())
PLAIN = Told(())
"""Nothing of a plain piece of text, nor of events that differ from it in plain text and later times alone."""
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
        self._left_out = CODES - codes
        follows_client = advises and stream.order
        self._client = ClientAdvice(stream.state, given) if follows_client else None
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
            advice = self.advise(data, now_ms) if own.accepted else ()
            return self._told([*verdict.violations, *advice]) if verdict.violations or advice else NOTHING
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

    def advise(self, data: bytes, now_ms: int | None) -> tuple[Violation, ...]:
        """The advice about the event that the stream accepted last."""
        stream = self.stream
        event = stream.event
        if event is None:
            return ()
        index = stream.index - 1
        said = self._linter.advise(data, now_ms)
        client = self._client
        for part in stream.parts if stream.expansion[0] == index else (event,):
            kind = type(part)
            if kind in NOTED:
                self._history.accept(part, index)
            if client is not None and (says := SAYS.get(kind)) is not None:
                for each in says(client, part):
                    said.append(warning(index, *each))
        if self._advises:
            # `in` raises and catches an exception first.
            if data.find(b"null") >= 0:
                said += refused_nulls(data, event, index)
                said += older_nulls(data, event, index)
            kind = type(event)
            if kind in FORMED or type(event.timestamp) is str:
                said += refused_form(data, event, index)
            if kind is s.RunFinished and (older := older_interrupt(data, index)) is not None:
                # Its calls wait for what clients dropped.
                said = [*(each for each in said if each.code != "CALL_NOT_ANSWERED"), older]
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

    def end(self, line_ends: str | None = None, *, complete: bool = False) -> Told:
        """What the end of the stream shows. `line_ends`: CR or CRLF if lines of server-sent events end so;
        `complete`: that it is not complete is an error, which no choice of advice leaves out."""
        found = [each for each in self._at_the_end(line_ends) if each.code not in self._left_out]
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
