"""The tools of a run's input, and whether arguments fit the JSON Schema of their `parameters`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from dtvn.events.advice.said import Said
from dtvn.events.rules import messages as m
from dtvn.events.rules import quoted
from dtvn.wording import one_line

TOOLS = 256
"""How many tools of one input are looked at."""
REFERENCES_MAX = 10_000
"""How many references are followed in one check: schemas can grow without end by them."""
MESSAGE_CHARACTERS = 200
Check = Callable[[Any], Iterator[tuple[str, str]]]
"""Yields (JSON path, sentence) for each way in which a value does not fit."""


class Unusable(Exception):
    """A schema that cannot be used; the sentence says why."""


class Parameters:
    """The tools that a client offers, by name."""

    def __init__(self) -> None:
        self.known = False
        """Whether the tools of the run are known."""
        self._schemas: dict[str, bytes | None] = {}
        self._trusted = False
        self._checks: dict[str, Check | None] = {}

    def offer(self, tools: list[m.Tool], *, trusted: bool) -> None:
        """These are the tools. `trusted`: their schemas are of the user, not of the stream that is judged."""
        self.known, self._trusted = True, trusted
        self._checks.clear()
        self._schemas = {
            tool.name: None if tool.parameters is None else bytes(tool.parameters) for tool in tools[:TOOLS]
        }

    def __contains__(self, name: object) -> bool:
        return name in self._schemas

    def check(self, tool: str, text: str, about: str) -> Said:
        """What is wrong with the arguments `text`, one JSON value, of a call of this tool."""
        schema = self._schemas.get(tool)
        if schema is None or schema == b"null":
            return
        if tool not in self._checks:
            try:
                self._checks[tool] = _check(json.loads(schema), trusted=self._trusted)
            except Unusable as error:
                self._checks[tool] = None
                said = f"Arguments of {quoted(tool)} are not compared with its parameters: {error}."
                yield "ARGUMENTS_NOT_CHECKED", None, said
        check = self._checks[tool]
        if check is None:
            return
        try:
            found = [*islice(check(json.loads(text)), 1)]
        except (Unusable, RecursionError):
            return
        for place, said in found:
            yield "ARGUMENTS_DO_NOT_FIT", "delta", f"{about} do not fit tool {quoted(tool)}: {place}: {said}."


def _check(schema: Any, *, trusted: bool) -> Check:
    """The check by a JSON Schema. Raises Unusable."""
    try:
        import jsonschema
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        raise Unusable("this needs jsonschema: pip install 'dtvn[events]'") from None
    if not trusted and _has_patterns(schema):
        raise Unusable("they have patterns, which the judged stream could make endless: give --input")
    default = jsonschema.Draft202012Validator
    kind = jsonschema.validators.validator_for(schema, default=default)
    try:
        kind.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError):
        raise Unusable("they are no JSON Schema") from None
    followed = [0]

    def reference(validator: Any, target: Any, value: Any, within: Any) -> Iterator[Any]:
        followed[0] += 1
        if followed[0] > REFERENCES_MAX:
            raise Unusable("too many references")
        yield from kind.VALIDATORS["$ref"](validator, target, value, within)

    bounded = jsonschema.validators.extend(kind, {"$ref": reference})(schema, registry=Registry())

    def check(value: Any) -> Iterator[tuple[str, str]]:
        followed[0] = 0
        try:
            for error in bounded.iter_errors(value):
                yield error.json_path, one_line(error.message, MESSAGE_CHARACTERS)
        except Unresolvable:
            raise Unusable("a reference leads nowhere") from None

    return check


def _has_patterns(schema: Any) -> bool:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            # A property of this name has a schema, no text.
            if isinstance(value.get("pattern"), str) or "patternProperties" in value:
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False
