"""Every route that the URL conf serves to API clients, with its view."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_type_hints

import msgspec
from django.urls import URLPattern, URLResolver, get_resolver

from dtvn.machine.bodies import Body

PLAIN = {
    **{name: f"/{name}" for name in ("health", "live", "ready", "metrics")},
    **{name: f"/{name}" for name in ("api/v1/openapi.json", "api/v1/")},
}
"""Routes whose views are functions: probes, and what needs no key."""
PARAMETER = re.compile(r"<(?P<kind>\w+):(?P<name>\w+)>")
TYPES = {"str": "string", "int": "integer"}


class Route(msgspec.Struct, frozen=True):
    """One route: `path` in OpenAPI's notation, `view` a class, or a function for the plain ones."""

    path: str
    parameters: dict[str, str]
    """JSON type by name."""
    view: Any

    @property
    def methods(self) -> list[str]:
        """In upper case; HEAD is implied by GET and left out."""
        if not isinstance(self.view, type):
            return ["GET"]
        return [
            name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(self.view, name)
        ]

    def body(self, method: str) -> type[Body] | None:
        """The Struct that the handler takes as its body."""
        handler = getattr(self.view, method.lower()) if isinstance(self.view, type) else None
        return None if handler is None else get_type_hints(handler).get("body")


def routes() -> list[Route]:
    """The routes in the order of the URL conf."""
    found = []
    for pattern, callback in _walk(get_resolver().url_patterns, ""):
        view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
        if view is not None and pattern.startswith("api/"):
            parameters = {each["name"]: TYPES[each["kind"]] for each in PARAMETER.finditer(pattern)}
            found.append(Route("/" + PARAMETER.sub(r"{\g<name>}", pattern), parameters, view))
        elif pattern in PLAIN:
            found.append(Route(PLAIN[pattern], {}, callback))
    return found


def _walk(patterns: Iterable[Any], before: str) -> Iterator[tuple[str, Any]]:
    for each in patterns:
        text = before + str(each.pattern)
        if isinstance(each, URLPattern):
            yield text, each.callback
        elif isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, text)
