"""JSON formats of ticket files: those of pretix and Eventbrite, and a plain list of objects.

* pretix "Order data (JSON)": {"event": {"slug", "items", "orders": [{"code", "positions": [...]}]}}
* pretix REST lists of orders or order positions: {"results": [...]}, or the bare list
* attendees of Eventbrite's API: {"attendees": [...]}, or the bare list
* any list of objects, also as the only one in an object, or one object per line (JSON Lines); this platform's
  own exports

Each becomes Records; those of pretix get the column names of its spreadsheet export, so that one preset knows
what a column means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from tickets.importing.jsoncells import LIST, Cells, Flat, Unclear, list_of
from tickets.importing.jsontext import BLANK, Unreadable, cell, parsed
from tickets.importing.presets import preset_of
from tickets.importing.record import FileRefused, Record, normalised
from tickets.importing.words import OF_FILE

STATUS_WORDS = {"n": "pending", "p": "paid", "e": "expired", "c": "canceled"}
"""Order states of pretix's API (doc/api/resources/orders)."""
CODES = frozenset({"codes", "revoked codes"})
"""Of our own export: codes of a ticket, as a list."""
BY_FILE = f"{{}}{OF_FILE}"
NOTHING = frozenset({"", "None"})
"""pretix's JSON export writes "None" for an order without a phone number."""
LISTS = ("results", "tickets", "orders", "positions", "attendees", "rows")
"""Names of the list of tickets, in order of preference."""
OF_EVENT = frozenset({"categories", "items", "questions", "quotas", "subevents"})
"""Lists of pretix's export beside the orders, which say what the orders hold."""
OF_ORDER = ("code", "event", "status", "require approval", "valid if pending", "testmode", "email", "phone")
"""What is read of an order of pretix."""
READ_LISTS = frozenset({f"checkins{LIST}", f"positionid{LIST}", f"blocked{LIST}"})
"""The same of lists of a position."""
COPY_BYTES, COPIES_MAX = 6, 2_000_000
"""Cells that tickets have from what stands around them: a small file may say much of very many, so it is one
for so many bytes, as a file has of its own at most, and these beside."""


class _Listing(NamedTuple):
    """The list of tickets, or of orders, in a file."""

    items: list[Any]
    around: Flat = Flat({}, {})
    """What the file says of all of them."""
    event: Mapping[str, Any] = {}
    """Of an export of pretix."""


def records_of_json(text: str, matters: Callable[[str], bool]) -> Iterator[Record]:
    """Records of a JSON text; raises FileRefused if it holds no list of tickets. `matters`: whether a name is
    one that an object must not have in two spellings."""
    content = parsed(text)
    if isinstance(content, dict | Unreadable) and (problem := _problem(content, matters)):
        raise FileRefused(f"The JSON of this file {problem}.")
    listing = _listing(content)
    names = _Names(listing.event)
    copies, most = 0, len(text) // COPY_BYTES + COPIES_MAX
    for number, (item, order, around) in enumerate(_tickets(listing, matters), 1):
        if item is BLANK:
            continue
        copies += len(around.fields)
        if copies > most:
            raise FileRefused(
                f"What stands around the tickets of this JSON makes over {most:,} cells: split it."
            )
        if problem := _problem(item, matters):
            yield Record(number, {}, problem)
            continue
        try:
            fields, damaged = _fields(item, order, around, names)
        except Unclear as unclear:
            yield Record(number, {}, str(unclear))
        else:
            yield Record(number, fields, damaged=damaged)


def events_of_json(text: str) -> list[dict[str, Any]]:
    """What our own export says of its events; [] of other files."""
    if '"events"' not in text:
        return []
    with suppress(ValueError):
        content = json.loads(text)
        if isinstance(content, dict) and "rows" in content:
            return _objects(content.get("events"))
    return []


def _problem(item: Any, matters: Callable[[str], bool]) -> str:
    """Why the meaning of this item is ambiguous, "" if it is clear."""
    if isinstance(item, Unreadable):
        return item.reason
    if not isinstance(item, dict):
        return "is not an object"
    spelled: dict[str, str] = {}
    for key, value in item.items():
        if isinstance(value, Unreadable):
            return f"{value.reason} in {key[:40]!r}"
        name = normalised(key)
        if (first := spelled.setdefault(name, key)) != key and matters(name):
            return f"says {first[:40]!r} and {key[:40]!r}, which are the same column"
    return ""


def _listing(content: Any) -> _Listing:
    if isinstance(content, list):
        if len(content) == 1 and isinstance(content[0], dict) and "results" in content[0]:
            return _listing(content[0])
        return _Listing(content)
    event = content.get("event") if isinstance(content, dict) else None
    if isinstance(event, dict) and not event.keys().isdisjoint(("orders", "items")):
        of_event = _around(event, "orders", OF_EVENT).named("event {}")
        around = of_event.within(_around(content, "event").named(BY_FILE))
        return _Listing(_listed(event.get("orders")), around, event)
    key = _key_of_list(content)
    known = {"events"} if _is_own(content[key]) else ()
    return _Listing(content[key], _around(content, key, known).named(BY_FILE))


def _key_of_list(content: Any) -> str:
    """The name of the list of tickets in an object; raises FileRefused if it is not clear which one it is."""
    lists = {} if not isinstance(content, dict) else {k: v for k, v in content.items() if isinstance(v, list)}
    preferred = sorted((key for key in LISTS if key in lists), key=lambda key: not lists[key])
    named = preferred[:1] or [key for key, value in lists.items() if _objects(value)]
    if len(named) == 1:
        return named[0]
    which = f"; which of {', '.join(map(repr, named))} is it? Keep that one" if named else ""
    raise FileRefused(
        "No list of tickets was found in this JSON: a list of objects, an object with one such list, or an "
        f"export of pretix{which}."
    )


def _is_own(items: list[Any]) -> bool:
    """Whether these are rows of our own export, which lists its events beside them."""
    first = next(iter(_objects(items)), {})
    return bool(preset_of([*map(normalised, first)]).own)


def _around(container: Mapping[str, Any], key: str, known: Collection[str] = ()) -> Flat:
    """What an object says of all tickets, which are at its `key`. Raises FileRefused for another list in it
    that is not `known`: it may name those who do not come in."""
    cells = Cells()
    try:
        cells.take({one: value for one, value in container.items() if one != key and one not in known})
    except Unclear as unclear:
        raise FileRefused(f"The JSON of this file {unclear}.") from unclear
    around = cells.flat()
    if other := next(filter(None, map(list_of, around.fields)), ""):
        raise FileRefused(
            f"Beside {key!r} this JSON holds the list {other.removesuffix(LIST)!r}, which may say who comes "
            f"in: write what it says into the objects of {key!r}, or take it out if it does not matter."
        )
    return around


class _Names:
    """Names of products, variations and dates by their pretix ids, and the event's slug."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.slug = str(event.get("slug") or "")
        self.items: dict[str, str] = {}
        self.admission: dict[str, str] = {}
        self.variations: dict[str, str] = {}
        self.subevents: dict[str, dict[str, str]] = {}
        """The dates of a series, under the columns of the spreadsheet."""
        for item in _objects(event.get("items")):
            number = _text(item.get("id"))
            self.items[number] = _text(item.get("name"))
            if isinstance(admits := item.get("admission"), bool):
                self.admission[number] = "yes" if admits else "no"
            for variation in _objects(item.get("variations")):
                name = _text(variation.get("name") or variation.get("value"))
                self.variations[_text(variation.get("id"))] = name
        for subevent in _objects(event.get("subevents")):
            self.subevents[_text(subevent.get("id"))] = {
                "date": _text(subevent.get("name")),
                "start date": _text(subevent.get("date_from")),
                "end date": _text(subevent.get("date_to")),
            }


def _tickets(
    listing: _Listing, matters: Callable[[str], bool]
) -> Iterator[tuple[Any, Mapping[str, Any], Flat]]:
    """Each ticket, its order, and what stands around it."""
    in_orders = any(isinstance(item, dict) and "positions" in item for item in listing.items)
    for item in listing.items:
        if not in_orders or not isinstance(item, dict):
            yield item, {}, listing.around
            continue
        positions = item.get("positions")
        if not positions:
            continue
        try:
            around = _of_order(item, matters).within(listing.around)
        except Unclear as unclear:
            positions, around = [Unreadable(str(unclear))], listing.around
        for position in positions:
            yield position, item, around


def _of_order(order: Mapping[str, Any], matters: Callable[[str], bool]) -> Flat:
    """What an order says of its positions; raises Unclear."""
    if problem := _problem(order, matters):
        raise Unclear(problem)
    if not isinstance(order["positions"], list):
        raise Unclear("has positions that are not a list")
    cells = Cells()
    cells.take({key: value for key, value in order.items() if key != "positions"})
    return cells.flat().named("order {}")


def _fields(item: Mapping[str, Any], order: Mapping[str, Any], around: Flat, names: _Names) -> Flat:
    """The cells of an object; those of a position of pretix under the names of its spreadsheet. Raises
    Unclear."""
    cells, barcodes = Cells(), _barcodes(item)
    for key, value in item.items():
        if isinstance(value, list) and normalised(key) in CODES:
            item = {**item, key: json.dumps(value, default=_unreadable)}
    rest = [{key: one[key] for key in one if key not in ("barcode", "status")} for one in barcodes]
    cells.take({**item, "barcodes": [one for one in rest if one]} if barcodes else item)
    if barcodes:
        cells.add("barcode", "\n".join(_text(one.get("barcode")) for one in barcodes))
        cells.add("barcode status", ", ".join({_text(one.get("status")): None for one in barcodes}))
    flat = cells.flat().within(around)
    if "positionid" in item:
        _as_position(flat.fields, item, order, names)
    return flat


def _as_position(
    fields: dict[str, str], item: Mapping[str, Any], order: Mapping[str, Any], names: _Names
) -> None:
    """Give the cells of a position the names and words of pretix's spreadsheet."""
    # The row number, the slug, a part of the address, and what is read below under another name.
    for name in ("id", "event", "state", "canceled", "order", *(f"order {name}" for name in OF_ORDER)):
        fields.pop(name, None)
    order = order or _as_object(item.get("order"))
    fields["event slug"] = names.slug or _text(order.get("event") or item.get("event"))
    fields["order code"] = _text(order.get("code") or item.get("order"))
    fields["position id"] = fields.pop("positionid", "")
    number, variation = fields.pop("item", ""), fields.pop("variation", "")
    fields["product"] = names.items.get(number) or number
    fields["product admits"] = names.admission.get(number, "")
    fields["variation"] = names.variations.get(variation) or variation
    if subevent := names.subevents.get(fields.get("subevent", "")):
        del fields["subevent"]
        fields |= subevent
    fields["ticket secret"] = fields.pop("secret", "")
    fields["status"] = "canceled" if item.get("canceled") is True else _status(order or item)
    fields["testmode"] = _text(order.get("testmode"))
    fields["checkins"] = _entry(item)
    for name in [name for name in fields if list_of(name) in READ_LISTS]:
        del fields[name]
    if isinstance(item.get("blocked"), list):  # a list names those who block it; null: not blocked
        fields["blocked"] = "yes"
    for name in ("email", "phone"):
        text = _text(order.get(name))
        fields[name] = fields.get(name, "") if text in NOTHING else text
    seat = item.get("seat")
    if isinstance(seat, dict):
        fields["seat id"] = fields.pop("seat seat guid", "")
    elif seat:
        fields["seat id"] = _text(seat)
    fields.pop("seat", None)


def _status(order: Mapping[str, Any]) -> str:
    """The status of an order in the words of the spreadsheet."""
    status = _text(order.get("status") or order.get("order__status") or order.get("order status"))
    if status == "n" and order.get("require_approval") is True:
        return "approval pending"
    if status == "n" and (order.get("valid_if_pending") or order.get("order__valid_if_pending")) is True:
        return "pending (confirmed)"
    return STATUS_WORDS.get(status, status)


def _entry(position: Mapping[str, Any]) -> str:
    """The time of the newest entry of a position; "" without one. An exit takes none back."""
    times = [
        _text(one.get("datetime")) or "entered"
        for one in _objects(position.get("checkins"))
        if one.get("type", "entry") == "entry"
    ]
    return max(times, default="")


def _barcodes(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The barcodes of an attendee of Eventbrite."""
    return [one for one in _objects(item.get("barcodes")) if "barcode" in one]


def _unreadable(value: Unreadable) -> str:
    raise Unclear(value.reason)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _listed(value) if isinstance(item, dict)]


def _untranslated(value: Any) -> Any:
    while isinstance(value, dict):
        value = next(iter(value.values()), "")
    return value


def _text(value: Any) -> str:
    """A JSON value as text: the first language of a translated one, "" for false."""
    value = _untranslated(value)
    return "" if value is False else cell(value)[0]
