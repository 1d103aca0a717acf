"""Schemas of request bodies, from the Structs that handlers take.

Generated clients must not change their types with the Structs: `Operation`, the bodies that are named after
their call, and the free-form objects stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.api.bodies import OPERATIONS, Body, TicketBody
from dtvn.api.writes import BatchBody
from validators.rest.nodes import NodeBody
from validators.rest.openapi import shapes
from validators.rest.openapi.routes import Route

OPERATION = "Operation"
ON_TICKETS = frozenset(shape for shape in OPERATIONS.values() if issubclass(shape, TicketBody))
"""Bodies that extend `Operation`."""
INLINE = frozenset({BatchBody, NodeBody})
"""Bodies described in their call; all others are free-form objects."""
REFERENCE = "#/components/schemas/{name}"


def schema(route: Route, method: str) -> shapes.Schema:
    """The schema of a call's body; `x-fields` of a free-form object refers to the schema of its fields."""
    shape = route.body(method)
    if shape is None:
        return shapes.BODIES.get((method, route.path), shapes.OBJECT)
    if shape in ON_TICKETS:
        shared = _described(TicketBody)["properties"]
        fields = {name: each for name, each in _described(shape)["properties"].items() if name not in shared}
        return {"allOf": [shapes.of(OPERATION), {"type": "object", "properties": fields}]}
    if shape in INLINE:
        return {key: _described(shape)[key] for key in ("type", "required", "properties")}
    return shapes.OBJECT | {"x-fields": REFERENCE.format(name=shape.__name__)}


def components(routes: Iterable[Route]) -> dict[str, shapes.Schema]:
    """`Operation`, and the schemas of free-form bodies by the names of their Structs."""
    writes = ("POST", "PUT", "PATCH")
    found = {
        shape
        for route in routes
        for method in route.methods
        if method in writes and (shape := route.body(method))
    }
    free = sorted(found - ON_TICKETS - INLINE, key=lambda shape: shape.__name__)
    operation = {key: _described(TicketBody)[key] for key in ("type", "required", "properties")}
    return {OPERATION: operation} | {shape.__name__: _described(shape) for shape in free}


def _described(shape: type[Body]) -> dict[str, Any]:
    """The schema of a Struct. Types are the plain ones: without null if it means absent, and maps without the
    type of their values."""
    _, found = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    told = found[shape.__name__]
    fields = {name: _plain(each) for name, each in told["properties"].items()}
    return told | {"properties": fields | shape.further}


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in field and field.get("default", ...) is None:
        field = next(each for each in field["anyOf"] if each != {"type": "null"})
    return {key: value for key, value in field.items() if key != "additionalProperties"}
