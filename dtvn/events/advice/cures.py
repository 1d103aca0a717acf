"""What to do about a refused event: the rules know what is open; this knows also what came before."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from dtvn.events.advice.history import SORTS, History, Named, stage_of
from dtvn.events.rules import RunState, Violation, listed, quoted
from dtvn.events.rules.violation import INTERRUPT

_CHUNKS = {"MESSAGE": "TEXT_MESSAGE_CHUNK", "TOOL_CALL": "TOOL_CALL_CHUNK"}
_CHUNKS["REASONING_MESSAGE"] = "REASONING_MESSAGE_CHUNK"
_MORE = {
    "TEXT_MESSAGE": "TEXT_MESSAGE_CONTENT",
    "TOOL_CALL": "TOOL_CALL_ARGS",
    "REASONING_MESSAGE": "REASONING_MESSAGE_CONTENT",
}


def cured(violation: Violation, given: Named, state: RunState, history: History) -> Violation:
    """The violation of a refused event with ids `given`, with its cause and its cure if they are known."""
    sort, stage = stage_of(given.type)
    if given.type == "RUN_FINISHED" and violation.code == "FIELD_INVALID" and violation.field == "outcome":
        return replace(violation, suggestion=INTERRUPT)
    if not sort:
        return violation
    what, field, prefix = SORTS[sort]
    identifier = given.identifier(field)
    if violation.code == f"{prefix}_ALREADY_OPEN" and stage == "_CHUNK":
        return replace(
            violation,
            message=f"{violation.message} A chunk opens and ends its {what} itself.",
            suggestion=f"Send {_MORE[sort]} after the start, or chunks alone, without start and end.",
        )
    not_open = violation.code in (f"{prefix}_NOT_OPEN", "STEP_NOT_STARTED")
    if not not_open or identifier is None:
        return violation
    if any(lane.id == identifier for lane in state.lanes.values()):
        return replace(
            violation,
            message=f"{violation.message} Chunks of it are open: a chunk opens and ends its {what} itself.",
            suggestion=f"Send {_CHUNKS[prefix]} alone, or a start, {_MORE[sort]} and an end.",
        )
    ended = history.ended.get((sort, identifier))
    if ended is not None:
        return _after_its_end(violation, sort, stage, ended)
    return _of_unknown_id(violation, sort, _open_of(state, sort))


def _after_its_end(violation: Violation, sort: str, stage: str, ended: int) -> Violation:
    what = SORTS[sort][0]
    end = "STEP_FINISHED" if sort == "STEP" else f"{sort}_END"
    if stage in ("_END", "_FINISHED"):
        cure = f"Send {end} once for each {what}."
    elif sort == "TOOL_CALL":
        cure = f"Send {end} after the last TOOL_CALL_ARGS of the call."
    else:
        cure = f"Send {end} after the last text, or begin another {what}, with another id."
    return replace(violation, message=f"{violation.message} It ended at event {ended}.", suggestion=cure)


def _of_unknown_id(violation: Violation, sort: str, names: Iterable[str]) -> Violation:
    known = sorted(names)
    what, field, _ = SORTS[sort]
    if not known:
        return violation
    if len(known) == 1:
        cure = f"Give the {field} of the {what} that is open: {quoted(known[0])}; or start this one first."
    else:
        cure = f"Give the {field} of a {what} that is open, or start this one first."
    return replace(violation, message=f"{violation.message} Open: {listed(known)}.", suggestion=cure)


def _open_of(state: RunState, sort: str) -> Iterable[str]:
    if sort == "STEP":
        return {name for _, name in state.steps}
    return {
        "TEXT_MESSAGE": state.messages,
        "TOOL_CALL": state.calls,
        "REASONING_MESSAGE": state.reasoning,
        "REASONING": state.spans,
    }[sort]
