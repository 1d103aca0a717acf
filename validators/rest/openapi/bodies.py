"""Schemas of request bodies, from the Structs that handlers take.

`Operation` is what the bodies of all calls on tickets have in common; a batch and a new node are described
in their calls, all others under the names of their Structs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.api.writes import BatchBody
from dtvn.machine.bodies import Body, TicketBody
from dtvn.machine.kinds import OPERATIONS
from validators.rest.nodes import NodeBody
from validators.rest.openapi import events, shapes
from validators.rest.openapi.routes import Route

OPERATION = "Operation"
ON_TICKETS = frozenset(rest.body for rest in OPERATIONS.values() if issubclass(rest.body, TicketBody))
"""Bodies that extend `Operation`."""
INLINE = frozenset({BatchBody, NodeBody})
"""Bodies described in their call."""


def schema(route: Route, method: str) -> shapes.Schema | None:
    """The schema of a call's body; None if it takes none."""
    shape = route.body(method)
    if shape is None:
        return (shapes.BODIES | events.BODIES).get((method, route.path))
    if shape in ON_TICKETS:
        shared = _described(TicketBody)["properties"]
        fields = {name: each for name, each in _described(shape)["properties"].items() if name not in shared}
        more = {"type": "object", "required": _needed(shape, but=shared), "properties": fields}
        more |= _choice(shape)
        return {"allOf": [shapes.reference(OPERATION), more]}
    described = _inline(shape) if shape in INLINE else shapes.reference(shape.__name__)
    needs = _needed(shape) or shape.further or shape.one_of
    return described if needs else shapes.or_null(described)


def is_required(route: Route, method: str) -> bool:
    """Whether a request without a body is refused."""
    shape = route.body(method)
    if shape is None:
        call = method, route.path
        return call in events.BODIES and call not in events.MAY_BE_EMPTY
    return not (shape.may_be_empty or shape.may_be_unreadable)


def components(routes: Iterable[Route]) -> dict[str, shapes.Schema]:
    """`Operation`, and the schemas of the other bodies by the names of their Structs."""
    found = {shape for route in routes for method in route.methods if (shape := route.body(method))}
    named = sorted(found - ON_TICKETS - INLINE, key=lambda shape: shape.__name__)
    inside = {name: schema for shape in named for name, schema in _components(shape).items()}
    return inside | {OPERATION: _inline(TicketBody)} | {shape.__name__: _described(shape) for shape in named}


def _inline(shape: type[Body]) -> shapes.Schema:
    described = _described(shape)
    if shape is BatchBody:
        described["properties"]["operations"]["items"] = {"oneOf": [_item(kind) for kind in OPERATIONS]}
    return {key: described[key] for key in ("type", "required", "properties")}


def _item(kind: str) -> shapes.Schema:
    """One operation of a batch: the body of its own call, and `op`."""
    described = _inline(OPERATIONS[kind].body)
    return {
        "title": kind,
        "type": "object",
        "required": ["op", *described["required"]],
        "properties": {"op": {"const": kind}} | described["properties"],
    } | _choice(OPERATIONS[kind].body)


def _needed(shape: type[Body], but: Iterable[str] = ()) -> list[str]:
    """Fields without a default."""
    return [each.name for each in msgspec.structs.fields(shape) if each.required and each.name not in but]


def _described(shape: type[Body]) -> dict[str, Any]:
    """The schema of a Struct; null counts as absent, so every field with a default may be null."""
    told, needed = _components(shape)[shape.__name__], _needed(shape)
    fields = {name: each if name in needed else _or_null(each) for name, each in told["properties"].items()}
    named: dict[str, Any] = {}
    if shape.further:
        named = {
            "anyOf": [{"required": [name]} for name in shape.further],
            "additionalProperties": False,
        }
    return told | {"required": needed, "properties": fields | shape.further} | named | _choice(shape)


def _components(shape: type[Body]) -> dict[str, Any]:
    """The plain schemas of a Struct and of those inside of it, by name."""
    found: dict[str, Any] = msgspec.json.schema_components(
        [shape], ref_template="#/components/schemas/{name}"
    )[1]
    return found


def _choice(shape: type[Body]) -> dict[str, Any]:
    """That exactly one of some fields must be given, and `event` with some, where null counts as absent."""
    without = {"properties": {name: {"type": "null"} for name in shape.event_with}}
    choice = {"oneOf": [_given(name) for name in shape.one_of]} if shape.one_of else {}
    return choice | ({"anyOf": [_given("event"), without]} if shape.event_with else {})


def _given(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) > 1:
        return field | {"anyOf": [*kinds, {"type": "null"}]}
    plain = kinds[0] if kinds else field
    if "type" not in plain:
        return shapes.or_null(plain)
    return plain | {"type": [plain["type"], "null"]}
