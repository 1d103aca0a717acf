"""Answers to what a file does not say itself, and the questions that are open; plain data.

An answer comes from the person, from a stored answer for the same source, from the preset or from the file
and the event, in this order. A person's answer about a column is complete: values that it does not name do
not admit. A stored one knows only the values of its day; a new value is asked about.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable

import msgspec

from tickets.importing.days import has_time, is_day
from tickets.importing.record import FileRefused, normalised
from tickets.importing.words import FIELDS, folded

ANY = "*"
"""Stands for every filled cell."""
PERSONS, CREATE, AS_IT_IS = "persons", "create", "as-it-is"
CHOICES = {
    "quantity": ("entries", "tickets"),
    "cells": ("tickets", "one"),
    "repeats": ("ticket", PERSONS),
    "new-event": (CREATE, AS_IT_IS),
}
"""Question of one choice -> its answers."""


class Answers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answers of a person, or stored ones; columns normalised, values folded. A default is no answer."""

    code: str = ""
    """The column that the scanner reads."""
    admits: dict[str, list[str]] = {}
    """Column -> values that admit."""
    refuses: dict[str, list[str]] = {}
    entrances: list[str] | None = None
    """Products that are entrances."""
    others: list[str] = []
    """Products of stored answers that are not in the file."""
    timezone: str = ""
    entered: dict[str, list[str]] | None = None
    """Column -> values of guests who have entered; {}: nobody has."""
    outside: dict[str, list[str]] = {}
    """Column -> values of guests who have not, of stored answers."""
    quantity: str = ""
    """One of CHOICES, as are those below."""
    cells: str = ""
    """What several codes in a cell are."""
    repeats: str = ""
    """What several rows with one code are."""
    sheet: str = ""
    events: dict[str, str] = {}
    """Event as the file names it, folded -> slug, "" to leave its rows out."""
    new_event: str = ""
    """What becomes of events that were not created; never stored, since another file names
    other events."""
    columns: dict[str, str] = {}
    """Field of words.FIELDS -> column, "" for none."""
    harmless: list[str] = []
    """Columns that decide nothing, whatever stands in them."""
    days: dict[str, str] = {}
    """Column with the day on which a row's ticket admits -> the end of that: "" for midnight, a time of the
    morning after, or a column."""
    dates: dict[str, dict[str, str]] = {}
    """Such a column whose values are no dates, as Friday -> value -> its date."""
    seen: dict[str, list[str]] = {}
    """Harmless column -> its filled values so far, of stored answers: it is asked about again once all values
    are others. Without an entry whatever stands in it is harmless."""
    constant: dict[str, str] = {}
    """Column -> its one value, of stored answers: another one is asked about."""
    decides: list[str] = []
    """Further columns that say who comes in, or when, of stored answers: of events, products and windows."""
    barred: list[str] = []
    """Names of tickets left out by their status, of stored answers: a file of another source lets none of
    them in unasked (importing.comparing)."""
    within: bool = False
    """Whether the code stands inside a longer text that the scanner reads."""
    hidden: bool = False
    """Whether hidden rows are read."""
    stewards_see_why: bool = False
    """Whether rows left out are issued blocked, with their reason."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What stops the import until it is answered."""

    id: str
    """Such as "code" or "admits:ticket status": unique in a file, and the same for the same source."""
    sentence: str
    column: str = ""
    """As the file spells it."""
    values: list[tuple[str, int]] = []
    """(value, number of rows); for the code (column, number of different cells)."""
    examples: dict[str, list[str]] = {}
    """Of the code: column -> its first cells."""
    likely: str = ""
    """Of a column: the one of importing.columns.MEANINGS that its name or its values suggest; "" for none."""
    ends: list[str] = []
    """Of a column of days: until when a ticket may admit: "" for the end of the day, a time of the next
    morning, or a column as the file spells it."""
    chosen: list[str] = []
    """Values that an earlier answer chose, as the file spells them: an answer now is the whole."""
    answers: tuple[str, ...]
    """Lines that would answer it: the command's options without their dashes, such as "code=COLUMN"."""


class Told(msgspec.Struct, frozen=True):
    """An answer that holds, for the dry run."""

    id: str
    words: str
    origin: str
    """Whose answer it is: the preset's name, or GIVEN, STORED, FILE or EVENT of importing.settled."""
    question: Question | None = None
    """What it answers, so that a person can answer it otherwise; None for what is no choice."""
    chosen: list[str] = []
    """The values of the question that it chooses, as the file spells them."""


def source_key(columns: Iterable[str], preset: str) -> str:
    """Names the source of a file when it is met first: files of the same shop with the same columns, in any
    order."""
    text = "\n".join([preset, *sorted(set(columns))])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def listed(text: str) -> list[str]:
    """Values from "a,b", as a line of CSV; "" is one empty value."""
    row = next(csv.reader([text], skipinitialspace=True), []) or [""]
    return [folded(value) for value in row]


def pairs(texts: Iterable[str], option: str, form: str = "COLUMN=VALUE,VALUE") -> list[tuple[str, str]]:
    """(name, value) of NAME=VALUE, at the first "="; raises FileRefused with the `form`."""
    found = [text.partition("=") for text in texts]
    for name, equals, value in found:
        if not equals or not name.strip():
            raise FileRefused(f"The answer {option} {name + equals + value!r} is not {form}.")
    return [(name, value) for name, _, value in found]


def by_column(texts: Iterable[str], option: str) -> dict[str, list[str]]:
    """Column -> values, from COLUMN=VALUE,VALUE; raises FileRefused."""
    found: dict[str, list[str]] = {}
    for column, values in pairs(texts, option):
        found.setdefault(normalised(column), []).extend(listed(values))
    return found


def dates_by_column(texts: Iterable[str], option: str) -> dict[str, dict[str, str]]:
    """Column -> value -> date, from COLUMN=VALUE=DATE; raises FileRefused."""
    found: dict[str, dict[str, str]] = {}
    for column, text in pairs(texts, option, "COLUMN=VALUE=DATE"):
        value, _, date = text.rpartition("=")
        if not is_day(date) or has_time(date):
            raise FileRefused(f"The answer {option} {text!r} ends in no date such as 2026-08-31.")
        found.setdefault(normalised(column), {})[folded(value)] = date
    return found


def by_event(texts: Collection[str], option: str) -> dict[str, str]:
    """Event as the file names it -> slug, from NAME=SLUG, at the last "="; raises FileRefused."""
    if wrong := [text for text in texts if "=" not in text]:
        raise FileRefused(f"The answer {option} {wrong[0]!r} is not NAME=SLUG.")
    found = [text.rpartition("=") for text in texts]
    return {folded(name): slug.strip() for name, _, slug in found}


def chosen_columns(texts: Iterable[str], option: str) -> dict[str, str]:
    """Field -> column name, from FIELD=NAME; raises FileRefused for an unknown field, or one given twice."""
    chosen: dict[str, str] = {}
    form = f"FIELD=NAME with FIELD one of {', '.join(FIELDS)}"
    for field, name in pairs(texts, option, form):
        if field not in FIELDS:
            raise FileRefused(f"The answer {option} {f'{field}={name}'!r} is not {form}.")
        if field in chosen:
            raise FileRefused(f"The answer {option} names {field} twice: {chosen[field]!r} and {name!r}.")
        chosen[field] = name.strip()
    return chosen


def answers_from(
    *,
    code: str = "",
    admits: Iterable[str] = (),
    refuses: Iterable[str] = (),
    entrances: str | None = None,
    no_entrance: bool = False,
    timezone: str = "",
    entered: Iterable[str] = (),
    nobody_entered: bool = False,
    quantity: str = "",
    cells: str = "",
    repeats: str = "",
    sheet: str = "",
    event_name: Collection[str] = (),
    new_event: str = "",
    column: Iterable[str] = (),
    harmless: Iterable[str] = (),
    day: Iterable[str] = (),
    date: Iterable[str] = (),
    within: bool = False,
    hidden: bool = False,
    stewards_see_why: bool = False,
) -> Answers:
    """Answers from the texts of the command's options, or of the page's fields; raises FileRefused."""
    if no_entrance and entrances is not None:
        raise FileRefused("The answers entrances and no-entrance contradict each other.")
    entries = by_column(entered, "entered")
    if nobody_entered and entries:
        raise FileRefused("The answers entered and nobody-entered contradict each other.")
    days = [text.partition("=") for text in day]
    dates = dates_by_column(date, "date")
    texts = {"quantity": quantity, "cells": cells, "repeats": repeats, "new-event": new_event}
    for option, text in texts.items():
        if text and text not in CHOICES[option]:
            raise FileRefused(f"The answer {option} is {' or '.join(CHOICES[option])}, not {text!r}.")
    return Answers(
        code=code,
        admits=by_column(admits, "admits"),
        refuses=by_column(refuses, "refuses"),
        entrances=[] if no_entrance else None if entrances is None else listed(entrances),
        timezone=timezone,
        entered=entries if entries or nobody_entered else None,
        quantity=quantity,
        cells=cells,
        repeats=repeats,
        sheet=sheet,
        events=by_event(event_name, "event-name"),
        new_event=new_event,
        columns=chosen_columns(column, "column"),
        harmless=[normalised(name) for name in harmless],
        days=dict.fromkeys(dates, "") | {normalised(begins): normalised(ends) for begins, _, ends in days},
        dates=dates,
        within=within,
        hidden=hidden,
        stewards_see_why=stewards_see_why,
    )
