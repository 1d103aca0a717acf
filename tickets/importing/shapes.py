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
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from dtvn.wording import counted
from tickets.importing.jsontext import BLANK, Unreadable, cell, parsed
from tickets.importing.record import FileRefused, Record, normalised

STATUS_WORDS = {"n": "pending", "p": "paid", "e": "expired", "c": "canceled"}
"""Order states of pretix's API (doc/api/resources/orders)."""
LANGUAGE = re.compile(r"[a-z]{2}(-[a-zA-Z]{2,8})?")
CODES = frozenset({"codes", "revoked codes"})
"""Of our own export: codes of a ticket, as a list."""
NOTHING = frozenset({"", "None"})
"""pretix's JSON export writes "None" for an order without a phone number."""


def records_of_json(text: str, matters: Callable[[str], bool]) -> Iterator[Record]:
    """Records of a JSON text; raises FileRefused if it holds no list of tickets. `matters`: whether a name is
    one that an object must not have in two spellings."""
    content = parsed(text)
    if isinstance(content, dict | Unreadable) and (problem := _problem(content, matters)):
        raise FileRefused(f"The JSON of this file {problem}.")
    if isinstance(content, dict) and isinstance(event := content.get("event"), dict):
        names = _Names(event)
        positions = _positions_of_orders(_listed(event.get("orders")), names)
    else:
        items = _items(content)
        names = _Names({})
        if any(isinstance(item, dict) and "positions" in item for item in items):
            positions = _positions_of_orders(items, names)
        else:
            positions = ((item, {}) for item in items)
    for number, (item, order) in enumerate(positions, 1):
        if item is BLANK:
            continue
        if problem := _problem(item, matters):
            yield Record(number, {}, problem)
        else:
            fields, damaged = _fields(item, order, names)
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


def _items(content: Any) -> list[Any]:
    if isinstance(content, list):
        if len(content) == 1 and isinstance(content[0], dict) and "results" in content[0]:
            return _items(content[0])
        return content
    for key in ("results", "tickets", "orders", "positions", "attendees", "rows"):
        if isinstance(content, dict) and isinstance(content.get(key), list):
            found: list[Any] = content[key]
            return found
    lists = {} if not isinstance(content, dict) else {key: _objects(value) for key, value in content.items()}
    named = [key for key, objects in lists.items() if objects]
    if len(named) == 1:
        only: list[Any] = content[named[0]]
        return only
    which = f"; which of {', '.join(map(repr, named))} is it? Keep that one" if named else ""
    raise FileRefused(
        "No list of tickets was found in this JSON: a list of objects, an object with one such list, or an "
        f"export of pretix{which}."
    )


class _Names:
    """Names of products, variations and dates by their pretix ids, and the event's slug."""

    def __init__(self, event: dict[str, Any]) -> None:
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


def _positions_of_orders(orders: Iterable[Any], names: _Names) -> Iterator[tuple[Any, dict[str, Any]]]:
    for order in orders:
        if not isinstance(order, dict):
            yield order, {}
            continue
        positions = order.get("positions") or []
        if not isinstance(positions, list):
            yield Unreadable("has positions that are not a list"), order
            continue
        for position in positions:
            yield position, order


def _fields(
    item: dict[str, Any], order: dict[str, Any], names: _Names
) -> tuple[dict[str, str], dict[str, str]]:
    """(cells, damaged) of an object; those of a position of pretix under the names of its spreadsheet."""
    fields, damaged = _flat(item)
    if _barcodes(item):
        fields["barcode"] = "\n".join(_text(one.get("barcode")) for one in _barcodes(item))
        fields["barcode status"] = ", ".join({_text(one.get("status")): None for one in _barcodes(item)})
        fields.pop(_list_name("barcodes"), None)
    if "positionid" in item:
        _as_position(fields, item, order, names)
    return fields, damaged


def _flat(item: Mapping[str, Any], before: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """(cells, damaged) of an object; those of an object inside it are at "name of the object, name"."""
    fields: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for key, value in item.items():
        name = f"{before}{normalised(key)}"
        if isinstance(value, dict) and not _is_translated(value):
            cells, broken = _flat(value, f"{name} ")
            fields |= cells
            damaged |= broken
        elif isinstance(value, list):
            if name in CODES:
                fields[name] = json.dumps(value)
            elif value:
                fields[_list_name(name)] = _items_of(value)
        else:
            fields[name], why = cell(_untranslated(value))
            if why:
                damaged[name] = why
    return fields, damaged


def _as_position(
    fields: dict[str, str], item: Mapping[str, Any], order: Mapping[str, Any], names: _Names
) -> None:
    """Give the cells of a position the names and words of pretix's spreadsheet."""
    # The row number, the slug, a part of the address, and what is read below under another name.
    for name in ("id", "event", "state", "canceled", "order", "order status", "order valid if pending"):
        fields.pop(name, None)
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
    for name in ("checkins", "positionid"):
        fields.pop(_list_name(name), None)
    if isinstance(item.get("blocked"), list):  # a list names those who block it; null: not blocked
        fields["blocked"] = "yes"
        fields.pop(_list_name("blocked"), None)
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


def _list_name(key: str) -> str:
    """The column that stands for a list."""
    return f"{normalised(key)} (a list)"


def _items_of(value: list[Any]) -> str:
    """A list as a cell: its texts, or how many objects there are. It may decide, so it is not empty."""
    if any(isinstance(item, dict | list) for item in value):
        return counted(len(value), "item")
    return ", ".join(filter(None, map(_text, value))) or counted(len(value), "item")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _listed(value) if isinstance(item, dict)]


def _is_translated(value: Mapping[str, Any]) -> bool:
    """Whether an object is a text in several languages, which pretix writes as {"en": ...}."""
    return bool(value) and all(LANGUAGE.fullmatch(key) for key in value)


def _untranslated(value: Any) -> Any:
    while isinstance(value, dict):
        value = next(iter(value.values()), "")
    return value


def _text(value: Any) -> str:
    """A JSON value as text: the first language of a translated one, "" for false."""
    value = _untranslated(value)
    return "" if value is False else cell(value)[0]
