"""JSON formats of ticket files: those of pretix, and a plain list of objects.

* pretix "Order data (JSON)": {"event": {"slug", "items", "orders": [{"code", "positions": [...]}]}}
* pretix REST lists of orders or order positions: {"results": [...]}, or the bare list
* any list of flat objects, or one object per line (JSON Lines); this platform's own exports

Each becomes Records with the column names of pretix's spreadsheet export, so that only one module has to know
what a column means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tickets.importing.jsontext import BLANK, Unreadable, parsed
from tickets.importing.record import FileRefused, Record, normalised

STATUS_WORDS = {"n": "pending", "p": "paid", "e": "expired", "c": "canceled"}
"""Order states of pretix's API (doc/api/resources/orders)."""
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
            yield Record(number, _fields(item, order, names))


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
    for key in ("results", "tickets", "orders", "positions", "rows"):
        if isinstance(content, dict) and isinstance(content.get(key), list):
            found: list[Any] = content[key]
            return found
    raise FileRefused(
        "No list of tickets was found in this JSON: a list of objects,"
        ' {"tickets": [...]} or an export of pretix.'
    )


class _Names:
    """Names of products and variations by their pretix ids, and the event's slug."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.slug = str(event.get("slug") or "")
        self.items: dict[str, str] = {}
        self.variations: dict[str, str] = {}
        for item in _objects(event.get("items")):
            self.items[_text(item.get("id"))] = _text(item.get("name"))
            for variation in _objects(item.get("variations")):
                name = _text(variation.get("name") or variation.get("value"))
                self.variations[_text(variation.get("id"))] = name


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


def _fields(item: dict[str, Any], order: dict[str, Any], names: _Names) -> dict[str, str]:
    """A position (or flat object) under the column names of the spreadsheet export."""
    fields = {normalised(key): _text(value) for key, value in item.items() if not isinstance(value, list)}
    fields |= {_list_name(key): "" for key, value in item.items() if isinstance(value, list) and value}
    if "positionid" not in item:
        return fields
    fields.pop("id", None)  # pretix's row number, not a ticket id
    fields.pop("event", None)  # its slug, below
    fields["event slug"] = names.slug or _text(order.get("event") or item.get("event"))
    fields["order code"] = _text(order.get("code") or item.get("order"))
    fields["position id"] = _text(item["positionid"])
    fields["product"] = names.items.get(_text(item.get("item")), "") or fields.pop("item", "")
    variation = names.variations.get(_text(item.get("variation")), "")
    fields["variation"] = variation or fields.pop("variation", "")
    fields["ticket secret"] = fields.pop("secret", "")
    status = "canceled" if item.get("canceled") else _text(order.get("status") or item.get("order status"))
    fields["status"] = STATUS_WORDS.get(status, status)
    fields["testmode"] = _text(order.get("testmode"))
    if isinstance(item.get("blocked"), list):  # a list names those who block it; null: not blocked
        fields["blocked"] = "yes"
        fields.pop(_list_name("blocked"), None)
    for name in ("email", "phone"):
        text = _text(order.get(name))
        fields[name] = fields.get(name, "") if text in NOTHING else text
    seat = item.get("seat")
    if isinstance(seat, dict):
        fields["seat id"] = _text(seat.get("seat_guid"))
        fields["seat name"] = _text(seat.get("name"))
    elif seat:
        fields["seat id"] = _text(seat)
    fields.pop("seat", None)
    return fields


def _list_name(key: str) -> str:
    """The column that stands for a list which is not read."""
    return f"{normalised(key)} (a list)"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _listed(value) if isinstance(item, dict)]


def _text(value: Any) -> str:
    """A JSON value as a cell: "" for null and for a list, the first language of a translated text."""
    while isinstance(value, dict):
        value = next(iter(value.values()), "")
    match value:
        case None | False | list() | Unreadable():
            return ""
        case True:
            return "yes"
        case _:
            return str(value).strip()
