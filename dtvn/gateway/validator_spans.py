"""Spans of a validator's calls, for a tracer of OpenTelemetry's form (contract 2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from dtvn.gateway.steps import Steps
from dtvn.gateway.validator_answers import ValidationResult
from dtvn.gateway.validator_nodes import Nodes

EVENT, SEQUENCE = "distributed_validation", "distributed_sequence_validation"
"""Names of the spans around `validate_event` and `validate_sequence`."""
Attributes = Mapping[str, str | bool | int | float]


class Span(Protocol):
    """A call that is traced."""

    def set_attributes(self, attributes: Attributes, /) -> object:
        """Add what is known of it."""

    def end(self) -> object:
        """It is over."""


class Tracer(Protocol):
    """Begins spans: `opentelemetry.trace.get_tracer(NAME)`, or any object with this method."""

    def start_span(self, name: str, *, attributes: Attributes) -> Span:
        """A span that begins now."""


class _Typed(msgspec.Struct):
    type: str


def traced(
    tracer: Tracer,
    nodes: Nodes,
    node_id: str,
    judging: Steps[ValidationResult],
    texts: Sequence[bytes],
    *,
    whole: bool,
) -> Steps[ValidationResult]:
    """The call `judging` about these events within a span; `whole`: they are a whole run. Its attributes are
    those of the contract, the ones of the result only if the call is not cancelled."""
    given: dict[str, str | bool | int | float] = {"node.id": node_id}
    if whole:
        given["sequence.length"] = len(texts)
    else:
        given["event.type"] = _type_of(texts[0])
    span = tracer.start_span(SEQUENCE if whole else EVENT, attributes=given)
    try:
        result = yield from judging
        span.set_attributes(
            {
                "node.partitioned": nodes.is_partitioned(),
                "validation.nodes": len(nodes.get_active_nodes()),
                "validation.valid": result.is_valid,
                "validation.errors": len(result.errors),
                "validation.warnings": len(result.warnings),
                "validation.duration_ms": 1_000 * result.duration,
                "validation.timeout": result.timed_out,
            }
        )
    finally:
        span.end()
    return result


def _type_of(text: bytes) -> str:
    try:
        return msgspec.json.decode(text, type=_Typed).type
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
