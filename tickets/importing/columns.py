"""What the columns say that no field is read from: who may come in, who has entered, the day, or nothing.

Which names and words decide is an open set, so nothing is passed over by its name: each column that parts the
rows (importing.parting) is asked about, unless a preset or an answer knows it, and so is one that is unlike
the field that is read from it (importing.field_kinds). Words only order the questions and propose; but a
preset that calls a column harmless does not know one with a word for a status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import msgspec

from tickets.importing import words
from tickets.importing.answers import ANY, Question
from tickets.importing.days import MORNING, has_time, is_clock, is_day
from tickets.importing.inquiry import Inquiry, YesNo
from tickets.importing.jsoncells import list_of
from tickets.importing.parting import OF_GUEST, Parting, are_days
from tickets.importing.recognised import question_of_lost
from tickets.importing.record import FileRefused, normalised
from tickets.importing.sections import TITLE
from tickets.importing.settled import GIVEN, STORED, Said, settle
from tickets.importing.source import Values

MEANINGS = {
    "admits": "who may come in, and who has entered: as chosen for each value",
    "product": "the kind of ticket: which kinds come in is asked next",
    "variation": "the rest of the kind of ticket: which kinds come in is asked next",
    "name": "the guest's name or first name, which the gate shows",
    "first_name": "the guest's first name",
    "last_name": "the guest's last name",
    "seat": "the seat, which the gate shows",
    "order": "the number of the order, by which the gate finds who came together",
}
MEANINGS |= dict.fromkeys(sorted(OF_GUEST - MEANINGS.keys()), "known of the guest, and kept with the name")
MEANINGS["harmless"] = "does not matter at the door"
"""What a column may say, beside a day."""
BY_NAME = {"name", "first_name", "last_name", "email", "order"}
"""Fields whose columns a known shop writes under their common names."""
OFFERED = ("name", "last_name", "order")
"""Fields that a column may be by which none is found."""
EXAMPLES = 3
SUMMED = 12
"""Most values that a sentence names."""
LISTED = 30
"""Most values that a question lists."""
NOTHING: YesNo = (None, None)
TITLES = "Rows stand under titles, or below the header once more. What does the title above a row say?"


def decide_columns(about: Inquiry) -> None:
    """Decide each column that may decide who comes in, or ask."""
    _Columns(about).decide()


def _filled(values: Values) -> dict[str, int]:
    """The filled values, as far as they are stored, and their numbers; the most frequent first."""
    return {value: count for value, count in values.counts.most_common() if value}


def _are_timed(values: Values) -> bool:
    return any(has_time(values.spelled[value]) for value in values.counts if value)


class _Columns:
    def __init__(self, about: Inquiry) -> None:
        self._about, self._source, self._found = about, about.source, about.found
        preset = about.source.preset
        self._preset, self._ignored = preset, {*preset.ignored}
        self._statuses = about.deciders(preset.statuses)
        self._entries = about.deciders(preset.entries)
        # The time of an entry says who has entered, unless the preset knows that from elsewhere.
        times = set() if preset.entries else set(about.layout.columns.get("entered_at", ()))
        self._read = (about.layout.read() - times) | {
            preset.admission,
            *about.found.printed,
            *about.found.candidates,
        }
        self._parting = Parting(about.source, about.layout, about.found.printed)
        self._keep()

    def _keep(self) -> None:
        """Stored answers about columns that this file lacks hold for the next one."""
        stored, columns = self._about.stored, {*self._source.columns}
        self._found.harmless += [name for name in stored.harmless if name not in columns]
        self._found.seen |= {name: seen for name, seen in stored.seen.items() if name not in columns}
        self._found.constant |= {name: one for name, one in stored.constant.items() if name not in columns}

    def _may_decide(self, column: str) -> bool:
        """Whether a column may say who comes in: it puts the orders into groups, or all of them into one by
        a status."""
        values = self._source.values(column)
        if not any(values.counts) or column in self._preset.ids:
            return False
        if len(values.counts) > 1:
            return not self._parting.tells_apart(column)
        named = words.names_status(column) or words.names_entry(column)
        return named or words.has_status(values.counts)

    def _is_doubtful(self, column: str) -> bool:
        """Whether a column that a field is read from is asked about: as the kind of a ticket if it holds
        days, as what is known of the guest if it may decide. What a person has said of one, holds, and of
        most what a preset says."""
        given, stored, values = self._about.given, self._about.stored, self._source.values(column)
        said = map(normalised, (given.columns | stored.columns).values())
        found = self._about.found
        if column in (*said, *found.printed, *found.candidates, self._preset.admission):
            return False
        fields = self._parting.fields_of(column)
        if not fields.isdisjoint(("product", "variation")):
            return are_days(values)
        of_shop = column in self._ignored or any(column in names for names in self._preset.fields.values())
        named = self._preset.name and fields <= BY_NAME
        known = (of_shop or named) and not words.has_status(values.counts)
        return fields <= OF_GUEST and not known and self._may_decide(column)

    def decide(self) -> None:
        """Decide each column, or leave a question open; a person's answer holds for a column that a field is
        read from, too. Raises FileRefused for an answer about a column that the file lacks, or one that
        contradicts another."""
        given = self._about.given
        ends = [name for name in given.days.values() if name and not is_clock(name)]
        values_of = {*given.admits, *given.refuses, *(given.entered or ())}
        recognised = self._about.recognised
        here = [name for name in given.harmless if name not in recognised.lacking]
        for column in (*here, *values_of, *given.days, *ends):
            self._source.column(column)
        decided = values_of | given.days.keys()
        if both := decided.intersection(given.harmless) | values_of.intersection([*given.days, *ends]):
            shown = ", ".join(map(self._source.spelled, sorted(both)))
            raise FileRefused(
                f"The answers about {shown} contradict each other: it says who comes in, or the day, or it "
                "is harmless."
            )
        days = self._take_days(decided)
        asked = [question_of_lost(name) for name in recognised.lost if name not in given.harmless]
        stored = self._about.stored
        known = decided.union(stored.admits, stored.refuses, stored.entered or (), stored.harmless)
        known = known.union(given.harmless)
        for column in self._source.columns:
            if column in days:
                continue
            if column in self._read and column not in known and not self._is_doubtful(column):
                continue
            values = self._source.values(column)
            harmless = self._harmless(column, decided) or self._of_series(column)
            admits, entered = (
                not harmless and decides for decides in (self._is_status(column), self._is_entry(column))
            )
            if admits:
                self._settle("admits", column, values, self._statuses.get(column, NOTHING))
            if entered or (admits and self._says_entered(column)):
                self._settle("entered", column, values, self._entries.get(column, NOTHING))
            if not (admits or entered):
                asked += self._judge(column, values, harmless)
        # A person looks first at what most likely decides.
        order = ["admits", "entered", "day", ""]
        asked.sort(key=lambda one: order.index(one.likely) if one.likely in order else len(order))
        for question in asked:
            self._about.ask(question)

    def _harmless(self, column: str, decided: Collection[str]) -> str:
        """Who says that a column is harmless; "" if nobody does. A person's answer counts most."""
        if column in self._about.given.harmless:
            return GIVEN
        if column in decided:
            return ""
        if column in self._about.stored.harmless and not self._all_others(column):
            return STORED
        listed = list_of(column) in self._ignored  # no other shop has a list of that name
        ignored = column in self._ignored and not words.has_status(self._source.values(column).counts)
        return self._preset.name if listed or ignored else ""

    def _all_others(self, column: str) -> bool:
        """Whether no value is one of those for which a column was called harmless: another shop may say with
        it who comes in."""
        seen, filled = self._about.stored.seen.get(column), _filled(self._source.values(column))
        return seen is not None and bool(filled) and not filled.keys() & {*seen}

    def _remember(self, column: str, values: Values, harmless: str) -> None:
        """Keep the values for which a column is harmless, as far as a person looked at them: not those of
        texts, nor days, of which each file has others."""
        before, filled = self._about.stored.seen.get(column), _filled(values)
        few = len(values.counts) <= LISTED and not (filled and all(map(is_day, filled)))
        first = harmless == GIVEN and column not in self._about.stored.harmless
        if before is not None or (few and first):
            kept = dict.fromkeys([*filled, *(before or ())])
            self._found.seen[column] = [*kept][:LISTED]

    def _of_series(self, column: str) -> str:
        """The preset's name if this column says no more than one before it of the date of a series."""
        series = [name for name in self._preset.series if name in self._source.columns]
        for other in series[: series.index(column)] if column in series else ():
            pairs = set(zip(self._source.cells(other), self._source.cells(column), strict=True))
            if len(pairs) == len(self._source.values(other).counts) > 1:
                return self._preset.name
        return ""

    def _is_status(self, column: str) -> bool:
        given, stored = self._about.given, self._about.stored
        if column in given.admits or column in given.refuses or column in self._statuses:
            return True
        entered = (given.entered or {}).get(column)
        if entered is not None and ANY not in entered:
            # Of a status that also says who has entered, the other values may be of guests who may not; other
            # times are of guests who entered on other days.
            values = self._source.values(column)
            others = {value for value in values.counts if value} - {*entered}
            statuses = {value for value in others if not is_day(values.spelled[value])}
            return len(statuses) > 1 or column in stored.admits
        return column in stored.admits and entered is None

    def _is_entry(self, column: str) -> bool:
        given, stored = self._about.given, self._about.stored
        if not any(self._source.values(column).counts):
            return False
        if column in self._entries or column in (given.entered or ()):
            return True
        if column in given.admits or column in given.refuses:
            return False
        nobody = given.entered == {} and words.names_entry(column)
        return nobody or column in (stored.entered or ())

    def _says_entered(self, column: str) -> bool:
        """Whether a value that admits says that the guest has entered."""
        statuses = self._found.statuses.get(column, {})
        return any(admits and value in words.ENTERED_WORDS for value, admits in statuses.items())

    def _settle(self, kind: str, column: str, values: Values, preset: YesNo) -> None:
        """Decide each value of a column, or ask which ones admit, or have entered."""
        about, shown = self._about, self._source.spelled(column)
        given, stored = about.given, about.stored
        if kind == "admits":
            before, own = stored.admits.get(column) or [], given.admits.get(column)
            earlier = Said(before, stored.refuses.get(column), STORED)
            said = [
                Said(*preset, self._preset.name),
                *([earlier] if own is None else []),  # what a person ticks is the whole
                Said(own, given.refuses.get(column), GIVEN),
            ]
            sentence = f"With which values of the column {shown!r} may a guest come in?"
        else:
            before = (stored.entered or {}).get(column) or []
            own = [] if given.entered == {} else (given.entered or {}).get(column)
            said = [
                Said(*preset, self._preset.name),
                Said(before, stored.outside.get(column), STORED),
            ]
            said = said if own is None else [Said(own, None, GIVEN)]
            sentence = f"Which values of the column {shown!r} say that the guest has entered already?"
        question = about.question(
            f"{kind}:{column}",
            sentence,
            column=column,
            values=_listed(values),
            examples=_examples(values),
            chosen=[values.spelled.get(value, value) for value in before],
            answers=(f"{kind}={shown}=VALUE,VALUE", *(["nobody-entered"] if kind == "entered" else [])),
        )
        if (settled := settle(values, said)) is None:
            about.ask(question)
            return
        found = self._found
        if kind == "admits":
            found.statuses[column], found.known_statuses[column] = settled.values, settled.known
        else:
            found.entered[column], found.known_entered[column] = settled.values, settled.known
        about.answer_values(kind, f"{shown}: ", settled, values, question)

    def _take_days(self, decided: Collection[str]) -> set[str]:
        """Read the day of each ticket from columns; returns these, with those in which its time ends."""
        given, stored = self._about.given, self._about.stored
        kept = {
            name: ends
            for name, ends in stored.days.items()
            if name in self._source.columns and name not in {*decided, *given.harmless}
        }
        for column, ends in (kept | given.days).items():
            shown = self._source.spelled(column)
            if not ends and _are_timed(self._source.values(column)):
                if column not in given.days:
                    continue  # it is asked anew: the file before had days without times
                raise FileRefused(
                    f"The column {shown!r} holds times: say until when a ticket admits, by the column of the "
                    f'end ("--day={shown}=COLUMN") or a time of the next morning ("--day={shown}={MORNING}").'
                )
            self._found.days[column] = ends
            if not self._take_dates(column):
                continue
            until = "on that day"
            if ends:
                until = f"from then to {self._source.spelled(ends)}"
                until += " of the next morning" if is_clock(ends) else ""
            text = f"{shown}: each ticket admits {until} only"
            question = self._question(column, self._source.values(column))
            origin = GIVEN if column in given.days else STORED
            meaning = f"day={self._source.spelled(ends)}" if ends else "day"
            self._about.answer(f"column:{column}", text, origin, question, meaning)
        return {name for pair in self._found.days.items() for name in pair}

    def _take_dates(self, column: str) -> bool:
        """Take the dates for which values of a column of days stand, as Friday; False if one has to be asked.
        Of many such values the rows are wrong."""
        values, given, stored = self._source.values(column), self._about.given, self._about.stored
        dates = stored.dates.get(column, {}) | given.dates.get(column, {})
        texts = [value for value in values.counts if value and not is_day(values.spelled[value])]
        if not texts or len(texts) > LISTED:
            return True
        shown = self._source.spelled(column)
        question = self._about.question(
            f"dates:{column}",
            f"Which date is each value of the column {shown!r}?",
            column=column,
            values=[(values.spelled[value], values.counts[value]) for value in texts],
            answers=(f"date={shown}=VALUE=2026-08-31",),
        )
        if not dates.keys() >= {*texts}:
            self._about.ask(question)
            return False
        self._found.dates[column] = dates
        said = ", ".join(f"{values.spelled[value]}: {dates[value]}" for value in texts)
        origin = GIVEN if column in given.dates else STORED
        self._about.answer(question.id, said, origin, question, *(dates[value] for value in texts))
        return True

    def _judge(self, column: str, values: Values, harmless: str) -> Iterator[Question]:
        """Pass over a column that is harmless, and ask about one that parts the rows."""
        about, before = self._about, self._about.stored.constant.get(column)
        changed = before is not None and any(value != before for value in values.counts)
        known = about.recognised.columns
        new = bool(known) and column not in known and any(values.counts)
        decides = self._may_decide(column) or new
        if harmless:
            if harmless in (GIVEN, STORED):
                self._found.harmless.append(column)
                self._remember(column, values, harmless)
            if decides or harmless == GIVEN:
                text = f"{self._source.spelled(column)}: {MEANINGS['harmless']} ({_summary(values)})"
                about.answer(f"column:{column}", text, harmless, self._question(column, values), "harmless")
        elif decides or changed:
            yield self._question(column, values)
        elif len(values.counts) == 1:
            self._found.constant[column] = next(iter(values.counts))

    def _question(self, column: str, values: Values) -> Question:
        shown = self._source.spelled(column)
        days = are_days(values)
        ends = [self._source.spelled(name) for name in self._source.columns if self._ends_after(column, name)]
        ends = [*ends, MORNING] if _are_timed(values) else ["", MORNING, *ends] if days else []
        layout = self._about.layout
        free = ["variation" if layout.column("product") else "product"]
        fields = [field for field in MEANINGS if field in self._parting.fields_of(column)]
        today = self._about.known.today
        likely = _likely(column, values, days=days and any(value >= today for value in values.counts))
        if not likely:
            likely = next(iter(fields), "")
            ends = ends or ([] if fields or len(values.counts) > LISTED else [MORNING])
            free += [field for field in OFFERED if not layout.column(field)]
        answers = (
            f"admits={shown}=VALUE,VALUE",
            f"entered={shown}=VALUE,VALUE",
            *(f"day={shown}={end}".rstrip("=") for end in ends),
            *(f"column={field}={shown}" for field in fields or free),
            f"harmless={shown}",
        )
        question = self._about.question(
            f"column:{column}",
            TITLES if column == TITLE else f"What does the column {shown!r} say?",
            column=column,
            values=_listed(values),
            examples=_examples(values),
            answers=answers,
        )
        return msgspec.structs.replace(question, likely=likely, ends=ends)

    def _ends_after(self, column: str, other: str) -> bool:
        """Whether both columns hold days, and this one for no row a later one than the other."""
        if other == column or not all(are_days(self._source.values(name)) for name in (column, other)):
            return False
        pairs = zip(self._source.cells(column), self._source.cells(other), strict=True)
        return all(begins <= ends for begins, ends in pairs if begins)


def _likely(column: str, values: Values, *, days: bool) -> str:
    """The meaning that words suggest; "" for none. `days`: it holds days that are not over, as those of
    purchases are."""
    if words.names_status(column) or words.has_status(values.counts):
        return "admits"
    if words.names_entry(column):
        return "entered"
    return "day" if days else ""


def _listed(values: Values) -> list[tuple[str, int]]:
    """The values of a question. Of times in some rows it is offered that any counts, since a later file has
    others; of too many values only that and the empty cell."""
    filled = [values.spelled[value] for value in values.counts if value]
    empty = values.counts[""]
    whole = [(ANY, values.counts.total() - empty), *([("", empty)] if empty else [])]
    if len(values.counts) > LISTED:
        return whole
    if not (empty and all(map(is_day, filled))):
        return values.listed()
    return [*whole, *(pair for pair in values.listed() if pair[0])]


def _examples(values: Values) -> dict[str, list[str]]:
    """Texts for which ANY stands."""
    return {ANY: [values.spelled[value] for value in values.counts if value][:EXAMPLES]}


def _summary(values: Values) -> str:
    listed = [f"{value or 'empty'}: {count:,}" for value, count in values.listed()[:SUMMED]]
    more = len(values.counts) - len(listed)
    return ", ".join(chain(listed, [f"{more:,} more"] if more > 0 else []))
