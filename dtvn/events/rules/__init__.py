"""Rules for streams of AG-UI events (protocol 1.0): shape, chunks, order and advice, in bounded memory.

`Stream` judges one stream, event by event; `Linter` adds advice, which never refuses; `Alike` finds events
that need neither. `RunState` is what votes name: `state.digest()` before and after, `decode_state` for a
validator that lacks it, `rules_digest` for the rules themselves.
"""

from dtvn.events.rules.alike import Alike
from dtvn.events.rules.framing import EventReader, FramingError
from dtvn.events.rules.limits import RULES_VERSION, Limits, rules_digest
from dtvn.events.rules.lint import Linter
from dtvn.events.rules.messages import RunInput
from dtvn.events.rules.shapes import TYPES
from dtvn.events.rules.state import Phase, RunState, StateError, decode_state, state_digest
from dtvn.events.rules.stream import ACCEPTED, Stream, Verdict, refused
from dtvn.events.rules.tolerance import Reading, read_input
from dtvn.events.rules.violation import (
    SUGGESTIONS,
    Severity,
    Violation,
    cause_of,
    listed,
    quoted,
    warning,
)

__all__ = [
    "Stream",
    "Reading",
    "Verdict",
    "ACCEPTED",
    "refused",
    "Violation",
    "Severity",
    "SUGGESTIONS",
    "cause_of",
    "warning",
    "quoted",
    "listed",
    "Linter",
    "Alike",
    "Limits",
    "RULES_VERSION",
    "Phase",
    "RunState",
    "StateError",
    "decode_state",
    "state_digest",
    "rules_digest",
    "TYPES",
    "RunInput",
    "read_input",
    "EventReader",
    "FramingError",
]
