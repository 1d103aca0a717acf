"""A file under the answers so far, as every question about it needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from tickets.importing.answers import ANY, CHOICES, Answers, Question, Told
from tickets.importing.layout import Layout
from tickets.importing.presets.preset import Decider
from tickets.importing.recognised import Recognised
from tickets.importing.settled import GIVEN, STORED, Decided, Known, Settled, named
from tickets.importing.source import Source, Values

YesNo = tuple[Collection[str] | None, Collection[str] | None]


class Inquiry(msgspec.Struct):
    """What is known of one file; `found` collects what is decided, and the open questions."""

    source: Source
    layout: Layout
    given: Answers
    recognised: Recognised
    known: Known
    found: Decided

    @property
    def stored(self) -> Answers:
        """The answers about the files before of this source."""
        return self.recognised.answers

    def question(
        self,
        name: str,
        sentence: str,
        *,
        column: str = "",
        values: Iterable[tuple[str, int]] = (),
        examples: dict[str, list[str]] | None = None,
        chosen: Iterable[str] = (),
        answers: tuple[str, ...],
    ) -> Question:
        """A question; `column`: normalised."""
        return Question(
            id=name,
            sentence=sentence,
            column=self.source.spelled(column) if column else "",
            values=list(values),
            examples=examples or {},
            chosen=list(chosen),
            answers=answers,
        )

    def ask(self, question: Question) -> None:
        """Leave a question open."""
        self.found.open.append(question)

    def answer(
        self, name: str, text: str, origin: str, question: Question | None = None, *chosen: str
    ) -> None:
        """Say which answer holds, and whose it is."""
        self.found.told.append(Told(name, text, origin, question, list(chosen)))

    def answer_values(
        self, name: str, before: str, settled: Settled, values: Values, question: Question
    ) -> None:
        """Say how the values of a column are decided."""
        listed = dict(question.values)
        chosen = [values.spelled[value] for value, yes in settled.values.items() if yes]
        chosen = [value for value in chosen if value in listed]
        if ANY in listed and any(yes for value, yes in settled.values.items() if value):
            chosen.append(ANY)
        text = f"{before}{named(settled.values, values)}"
        self.answer(name, text, settled.origin, question, *chosen)

    def choose(
        self,
        name: str,
        sentence: str,
        *,
        column: str,
        values: list[tuple[str, int]],
    ) -> str:
        """The answer to a question of one choice, whose name is its field; "" while it is open."""
        given, stored = getattr(self.given, name), getattr(self.stored, name)
        answers = tuple(f"{name}={choice}" for choice in CHOICES[name])
        question = self.question(name, sentence, column=column, values=values, answers=answers)
        if given or stored:
            self.answer(name, given or stored, GIVEN if given else STORED, question, given or stored)
        else:
            self.ask(question)
        return str(given or stored)

    def deciders(self, deciders: Iterable[Decider]) -> Mapping[str, YesNo]:
        """Column of the file -> what the preset says of its values."""
        found = [(self.source.first(one.columns), (one.yes, one.no)) for one in deciders]
        return {column: said for column, said in found if column}
