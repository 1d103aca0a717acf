"""One cause, one finding: what only repeats an earlier finding, or follows from it, is counted and not
told."""

from __future__ import annotations

from dtvn.events.advice.history import SORTS, History, Named, stage_of
from dtvn.events.rules import Violation, cause_of

KNOWN = 4096
"""How many findings are remembered; what repeats later ones is told."""


class Causes:
    """The findings about one stream so far."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str | None, str]] = set()

    def is_new(self, violation: Violation) -> bool:
        """Whether this is the first finding of its cause."""
        cause = cause_of(violation)
        if cause in self._known:
            return False
        if len(self._known) < KNOWN:
            self._known.add(cause)
        return True


def follows(violation: Violation, given: Named, history: History) -> bool:
    """Whether the refusal of an event with ids `given` follows from an earlier one: a message that was never
    open because its start was refused, a run that could not end because of an end that was refused."""
    code = violation.code
    if code == "FIRST_EVENT":
        return history.start_refused
    if code == "RUN_ALREADY_ACTIVE":
        return history.finish_refused
    for sort, (_, field, prefix) in SORTS.items():
        if code == f"RUN_HAS_OPEN_{prefix}S":
            return sort in history.ends_refused
        if code in (f"{prefix}_NOT_OPEN", "STEP_NOT_STARTED") and stage_of(given.type)[0] == sort:
            return (sort, given.identifier(field) or "") in history.refused
    return False
