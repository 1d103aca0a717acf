"""The questions about a file as a form, and its answers from what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.http import QueryDict

from tickets.importing.answers import ANY, AS_IT_IS, CREATE, PERSONS, Answers
from tickets.importing.columns import MEANINGS
from tickets.importing.days import is_clock, is_day
from tickets.importing.record import FileRefused, normalised
from tickets.importing.slugs import slug_of
from tickets.importing.words import folded

NONE = "none"
"""Of a list from which several may be chosen: none of it."""
SEVERAL = ("admits", "entered", "entrances")
"""Questions with a box for each value, the empty one too."""
OUT, IN, INSIDE = "out", "in", "inside"
SAYS = {OUT: "may not come in", IN: "may come in", INSIDE: "has entered already"}
"""What a value of a column says of its guests -> its words."""
CHOICES = {
    "quantity": {"tickets": "that many tickets", "entries": "one ticket that lets in that many persons"},
    "cells": {"tickets": "several codes, each of a ticket of its own", "one": "one code"},
    "repeats": {
        "ticket": "one guest's ticket, which the file repeats",
        PERSONS: "several guests share it: it opens once for each of its rows",
    },
    "new-event": {
        CREATE: "create it: only the codes on the tickets open its doors",
        AS_IT_IS: "leave it uncreated: the ids of its tickets open its doors, too",
    },
}
"""Question -> answer -> its words."""
TITLES = {
    "code": "What the scanner reads",
    "admits": "Who may come in",
    "entrances": "Products that let guests in",
    "entered": "Who has entered already",
    "timezone": "Time zone",
    "dates": "Days",
    "event": "Event",
    "new-event": "New event",
    "quantity": "Rows for several persons",
    "cells": "Several codes in a cell",
    "repeats": "One code in several rows",
    "sheet": "Sheet",
    "column": "Column",
}


Option = tuple[str, str, str, bool | str]
"""(value, label, remark, chosen or not); of events (name, slug, remark, left out or not); of a column (value,
label, remark, one of SAYS); of dates (value, date, remark, True)."""


class Field(msgspec.Struct):
    """A question as it is drawn."""

    id: str
    title: str
    sentence: str
    open: bool
    control: str
    """ "one" of the options, "many" of them, "code", "zone", "events" or "column"."""
    options: list[Option]
    words: str = ""
    origin: str = ""
    column: str = ""
    meanings: list[tuple[str, str, bool]] = []
    """Of a column: (value, label, chosen or not); the options are its values."""
    with_zone: bool = False
    """Whether the event's time zone is offered too, since no other question asks for it; and the one sent."""
    zone: str = ""


def fields_of(asked: list[dict[str, Any]], event: str) -> list[Field]:
    """The fields of TicketImport.preview["asked"]. `event`: that the person chose, which is offered."""
    fields = [_field(one, event) for one in asked]
    if not _asks_zone(asked):
        for field in fields:
            field.with_zone = field.id == "new-event"
    return fields


def _asks_zone(asked: list[dict[str, Any]]) -> bool:
    return any(one["id"] == "timezone" for one in asked)


def _field(one: Mapping[str, Any], event: str) -> Field:
    name, kind = one["id"], one["id"].partition(":")[0]
    chosen = one.get("chosen", [])
    options: list[Option] = [
        (value, _label(one, value), _remark(one, value, count), value in chosen)
        for value, count in one["values"]
    ]
    control = "one"
    if kind in SEVERAL:
        control = "many"
        options.append((NONE, _none(kind), "", not chosen and not one["open"]))
    elif kind == "column":
        control = "column"
    elif kind == "code":
        control = "code"
    elif kind in CHOICES:
        offered = [answer.partition("=")[2] for answer in one["answers"]]
        options = [(value, CHOICES[kind][value], "", value in chosen) for value in offered]
    elif kind == "timezone":
        control, options = "zone", [("", "", "", False), *((zone, zone, "", True) for zone in chosen)]
    elif kind == "dates":
        control, dates = "dates", [*chosen, *([""] * len(options))]
        options = [
            (value, date, said, True) for (value, _, said, _), date in zip(options, dates, strict=False)
        ]
    elif kind == "event":
        control = "events"
        options = [
            (
                value,
                chosen[0] if chosen else event or slug_of(value),
                _remark(one, value, count),
                chosen == [""],
            )
            for value, count in one["values"]
        ]
    return Field(
        name,
        TITLES[kind],
        one["sentence"],
        one["open"],
        control,
        options,
        ", ".join(CHOICES[kind].get(value, value) for value in chosen)
        if kind in CHOICES
        else one.get("words", ""),
        one.get("origin", ""),
        one["column"],
        _meanings(one, chosen) if kind == "column" else [],
    )


def _meanings(one: Mapping[str, Any], chosen: Sequence[str]) -> list[tuple[str, str, bool]]:
    """What a column may say, the most likely first."""
    ends = [*one["ends"], *(text.partition("=")[2] for text in chosen if text.startswith("day="))]
    days = {f"day={end}".rstrip("="): _until(end) for end in ends}
    known = [(value, label) for value, label in MEANINGS.items() if _answers(one, value)]
    offered = dict([*known[:1], *days.items(), *known[1:]])
    likely = next((value for value in offered if one["likely"] == value.partition("=")[0]), "")
    shown = {likely: offered[likely]} | offered if likely else offered
    return [(value, label, value in chosen) for value, label in shown.items()]


def _answers(one: Mapping[str, Any], meaning: str) -> bool:
    """Whether this one of MEANINGS answers a question about a column."""
    return any(answer.startswith((f"{meaning}=", f"column={meaning}=")) for answer in one["answers"])


def _until(end: str) -> str:
    """The words of a column of days, or of times, until `end`: see Question.ends."""
    if is_clock(end):
        return f"the day, or the time, from which the ticket admits, until {end} of the next morning"
    if end:
        return f"the time from which the ticket admits, until that in the column {end}"
    return "the day on which the ticket admits, from midnight to midnight"


def _label(one: Mapping[str, Any], value: str) -> str:
    """The words of a value."""
    if value == ANY:
        return f"any value, such as {', '.join(one['examples'].get(ANY, ()))}"
    return value or "(empty)"


def _none(kind: str) -> str:
    return "nobody has entered yet" if kind == "entered" else "none of these"


def _remark(one: Mapping[str, Any], value: str, count: int) -> str:
    if one["id"] == "code":
        return ", ".join(one["examples"].get(value, ())) or "no cell is filled"
    return f"{count:,} row{'' if count == 1 else 's'}" if count else ""


def event_sent(sent: QueryDict, event: str) -> str:
    """The event of the file: `event`, which was chosen with it, unless all names in the file were answered to
    be another one."""
    slugs = {slug.strip() for slug in sent.getlist("event.slug") if slug.strip()}
    return slugs.pop() if event and len(slugs) == 1 else event


def as_sent(fields: list[Field], sent: QueryDict) -> list[Field]:
    """The fields with what a person sent, to be corrected."""
    slugs, kept = sent.getlist("event.slug"), sent.getlist("event.kept")
    of_event = dict(zip(sent.getlist("event.name"), zip(slugs, kept, strict=False), strict=False))
    shown = []
    for field in fields:
        chosen = sent.getlist(field.id)
        options: list[Option] = [
            (value, label, remark, value in chosen) for value, label, remark, _ in field.options
        ]
        if field.control == "events":
            options = [
                (value, of_event.get(value, (slug, ""))[0], remark, of_event.get(value, ("", ""))[1] == "out")
                for value, slug, remark, _ in field.options
            ]
        elif field.control == "dates":
            options = [
                (value, date, remark, True)
                for (value, _, remark, _), date in zip(field.options, chosen, strict=False)
            ]
        elif field.control == "zone":
            options = [("", "", "", False), *((zone, zone, "", True) for zone in chosen if zone)]
        elif field.control == "column":
            says = [*sent.getlist(f"{field.id}:values"), *([OUT] * len(field.options))]
            options = [
                (value, label, remark, said)
                for (value, label, remark, _), said in zip(field.options, says, strict=False)
            ]
        meanings = [(value, label, value in chosen) for value, label, _ in field.meanings]
        zone = sent.get("timezone", "")
        shown.append(msgspec.structs.replace(field, options=options, meanings=meanings, zone=zone))
    return shown


def answers_sent(sent: QueryDict, before: Answers, asked: list[dict[str, Any]]) -> Answers:
    """The answers of a person: those given `before`, and what the form changes. What is sent as it was shown
    stays the answer of whom it came from. Raises FileRefused."""
    given: dict[str, Any] = {"admits": dict(before.admits), "events": dict(before.events)}
    given["entered"] = None if before.entered is None else dict(before.entered)
    given |= {"harmless": list(before.harmless), "days": dict(before.days), "columns": dict(before.columns)}
    for one in asked:
        name, kind = one["id"], one["id"].partition(":")[0]
        if kind == "event":
            continue
        if kind == "column":
            _take_column(given, one, sent)
            continue
        values = [value for value in sent.getlist(name) if value or kind in SEVERAL]
        chosen = [] if NONE in values else values
        if kind == "code" and (text := sent.get("code.text", "").strip()):
            values = chosen = [text]
        if NONE in values and len(values) > 1:
            raise FileRefused(f"{TITLES[kind]}: either some of the values, or none of these.")
        if not values or (not one["open"] and sorted(chosen) == sorted(one["chosen"])):
            continue
        match kind:
            case "dates":
                dates = {folded(value): date for (value, _), date in zip(one["values"], values, strict=False)}
                if len(dates) < len(one["values"]) or not all(map(is_day, dates.values())):
                    raise FileRefused(f"{one['column']}: choose the date of each of its values.")
                given["dates"] = {**before.dates, normalised(one["column"]): dates}
            case "admits" | "entered":
                column = normalised(one["column"])
                given[kind] = (given[kind] or {}) | {column: [folded(value) for value in chosen]}
            case "entrances":
                given[kind] = [folded(value) for value in chosen]
            case _:
                given[kind.replace("-", "_")] = chosen[0]
    if (zone := sent.get("timezone")) and not _asks_zone(asked):
        given["timezone"] = zone
    for event, slug, left in zip(
        sent.getlist("event.name"), sent.getlist("event.slug"), sent.getlist("event.kept"), strict=False
    ):
        if slug.strip() or left == "out":
            given["events"][folded(event)] = "" if left == "out" else slug.strip()
    within = before.within if "code" not in sent and "code.text" not in sent else "within" in sent
    return with_flags(msgspec.structs.replace(before, within=within, **given), sent)


def _take_column(given: dict[str, Any], one: Mapping[str, Any], sent: QueryDict) -> None:
    """Put what a person says of one column into `given`, in place of what it was answered before."""
    meaning, _, ends = sent.get(one["id"], "").partition("=")
    says = sent.getlist(f"{one['id']}:values")
    if set(says) - {OUT}:
        if meaning not in ("", "admits"):
            raise FileRefused(
                f"{one['column']}: either its values say who may come in, or it says another thing."
            )
        meaning = "admits"
    if not meaning or (not one["open"] and [sent.get(one["id"], "")] == one["chosen"]):
        return
    column = normalised(one["column"])
    given["harmless"] = [name for name in given["harmless"] if name != column]
    for kind in ("admits", "days"):
        given[kind].pop(column, None)
    (given["entered"] or {}).pop(column, None)
    match meaning:
        case "admits":
            _take_values(given, column, one, says)
        case "day":
            given["days"][column] = normalised(ends)
        case "harmless":
            given["harmless"].append(column)
        case field if field in MEANINGS and _answers(one, field):
            given["columns"][field] = one["column"]
        case _:
            raise FileRefused(f"{one['column']}: {meaning[:40]!r} is none of its meanings.")


def _take_values(given: dict[str, Any], column: str, one: Mapping[str, Any], says: Sequence[str]) -> None:
    """Put what each value of a column says of its guests into `given`."""
    if len(says) != len(one["values"]) or not SAYS.keys() >= {*says}:
        raise FileRefused(f"{one['column']}: say of each value whether its guests may come in.")
    values = [folded(value) for value, _ in one["values"]]
    of = {each: [value for value, said in zip(values, says, strict=True) if said == each] for each in SAYS}
    inside = of[INSIDE]
    if of[OUT] == values:
        raise FileRefused(f"{one['column']}: none of its values lets a guest in. Choose those that do.")
    if of[OUT] or not inside or len([*filter(None, of[IN])]) > 1:  # else it says who has entered, and no more
        given["admits"][column] = of[IN] + inside
    if inside:
        given["entered"] = (given["entered"] or {}) | {column: inside}


def with_flags(answers: Answers, sent: QueryDict) -> Answers:
    """The answers with the boxes that stand below the questions."""
    return msgspec.structs.replace(
        answers, hidden="hidden" in sent, stewards_see_why="stewards_see_why" in sent
    )
