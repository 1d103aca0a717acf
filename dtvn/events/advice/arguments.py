"""The arguments of tool calls as a client puts them together: one JSON value each, that fits its tool."""

from __future__ import annotations

import json

import msgspec

from dtvn.events.advice.parameters import Parameters
from dtvn.events.advice.said import Said
from dtvn.events.rules import quoted
from dtvn.events.rules import shapes as s

ARGUMENT_CHARACTERS = 1024 * 1024
"""How much is held of the arguments of all open calls together."""
CUT = 256
"""Of how many calls it is remembered that their arguments are cut off."""
CUT_OFF = "cut off: not one whole JSON value"
_FIELD = "delta"


class Arguments:
    """Collects the arguments of each open call; judges them at its end."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._open: dict[str, tuple[str, list[str]]] = {}
        """Name of the tool and deltas, by the call's id."""
        self._held = 0
        self._told = False
        self._cut: dict[str, None] = {}
        """Calls whose arguments are cut off: told at the end of the run, unless an error or more of them
        explains it."""

    def start(self) -> None:
        """A run starts."""
        self._open.clear()
        self._cut.clear()
        self._held, self._told = 0, False

    def begin(self, event: s.ToolCallStart) -> None:
        self._open[event.tool_call_id] = event.tool_call_name, []

    def has_held(self, event: s.ToolCallArgs) -> bool:
        """Whether these arguments are held, or nothing is checked of their call; if not, there is no room."""
        call = self._open.get(event.tool_call_id)
        if call is None:
            return True
        if self._held + len(event.delta) > ARGUMENT_CHARACTERS:
            return False
        self._held += len(event.delta)
        call[1].append(event.delta)
        return True

    def add(self, event: s.ToolCallArgs) -> Said:
        if self.has_held(event):
            return
        self.forget(event.tool_call_id)
        if not self._told:
            self._told = True
            said = f"Arguments of open calls above {ARGUMENT_CHARACTERS} characters are not checked."
            yield "ARGUMENTS_NOT_CHECKED", _FIELD, said

    def forget(self, call: str) -> None:
        """Check nothing of this call."""
        self._cut.pop(call, None)
        _, deltas = self._open.pop(call, ("", []))
        self._held -= sum(map(len, deltas))

    def end(self, event: s.ToolCallEnd) -> Said:
        call = event.tool_call_id
        self._cut.pop(call, None)
        tool, deltas = self._open.pop(call, ("", []))
        text = "".join(deltas)
        self._held -= len(text)
        # None at all are no arguments: clients hand over an empty object.
        if not text or text.isspace():
            return ()
        wrong = not_one_value(text)
        if wrong == CUT_OFF and len(self._cut) < CUT:
            self._cut[call] = None
        elif wrong is not None:
            return (("ARGUMENTS_NOT_JSON", _FIELD, f"The arguments of call {quoted(call)} are {wrong}."),)
        elif text.lstrip().startswith('"') and json.loads(text).lstrip().startswith(("{", "[")):
            said = f"The arguments of call {quoted(call)} are encoded twice: a text that holds JSON."
            return (("ARGUMENTS_NOT_JSON", _FIELD, said),)
        elif tool in self._parameters:
            return self._parameters.check(tool, text, f"The arguments of call {quoted(call)}")
        return ()

    def finish(self) -> Said:
        """The run ends without an error."""
        return [
            ("ARGUMENTS_NOT_JSON", _FIELD, f"The arguments of call {quoted(call)} are {CUT_OFF}.")
            for call in self._cut
        ]


def not_one_value(text: str) -> str | None:
    """What a text is that is not one JSON value; None if it is one."""
    for decode in (msgspec.json.decode, _strict):
        try:
            decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        return None
    start = text.lstrip()
    try:
        _, end = _values.raw_decode(start)
    except json.JSONDecodeError as error:
        return _no_value(start, error)
    except RecursionError:
        return "nested too deep"
    rest = start[end:].lstrip()
    if not rest:
        return "no JSON: NaN and Infinity are no numbers"
    return (
        "several JSON values, of several calls perhaps"
        if rest[0] in '{["'
        else f"a JSON value and then {quoted(rest[:20])}"
    )


def _no_value(text: str, error: json.JSONDecodeError) -> str:
    if text.startswith(("{'", "['")):
        return "no JSON: the form of Python, with single quotes"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return CUT_OFF
    return f"no JSON: {error.msg.lower()} at character {error.pos}"


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_values = json.JSONDecoder()
_strict = json.JSONDecoder(parse_constant=_refused).decode
"""The value of a JSON text. Lone surrogates are escaped texts as any other, as in clients; msgspec, which is
faster, refuses them."""
