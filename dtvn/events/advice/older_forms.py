"""Forms of protocol 0.x in events that 1.0 takes: which field, and what takes its place."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dtvn.events.advice.refused_values import converted_nulls
from dtvn.events.rules import Violation, warning
from dtvn.events.rules import shapes as s
from dtvn.events.rules.decoding import unknown_fields

INTERRUPT = (
    'Send outcome {"type": "interrupt", "interrupts": [{"id", "reason", "toolCallId"}, ...]}, with one for '
    "each call that waits."
)


def older_nulls(data: bytes, event: s.Event, index: int) -> Iterator[Violation]:
    """A warning for each null of the accepted event at `index` that clients convert."""
    for name in converted_nulls(data, event):
        where = f"{s.NAMES[type(event)]}.{name}"
        said = f"{where} is null: the official client 1.0 converts it, some older ones end the run."
        cure = f"Leave {name} out: a null in its place is of AG-UI protocol 0.x."
        yield replace(warning(index, "PROTOCOL_0X", name, said), suggestion=cure)


def older_interrupt(data: bytes, index: int) -> Violation | None:
    """The warning if RUN_FINISHED, the event at `index`, has its interrupts where 0.x had them."""
    if data.find(b"interrupt") < 0 or "interrupt" not in unknown_fields(data, s.RunFinished):
        return None
    said = "interrupt is of protocol 0.x: clients drop it, and take the run for a success."
    return replace(warning(index, "PROTOCOL_0X", "interrupt", said), suggestion=INTERRUPT)
