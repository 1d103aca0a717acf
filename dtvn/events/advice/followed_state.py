"""The shared state and the activities of a stream, followed as a client holds them: a patch that does not
apply leaves them as they were, and the user sees something old."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.advice.json_patch import NOT_JSON, Document, Failure, Patched, TooLarge
from dtvn.events.advice.said import Said
from dtvn.events.rules import quoted
from dtvn.events.rules import shapes as s

STATE_BYTES = 1024 * 1024
"""The largest state that is followed, as JSON; also of all activities together."""
ACTIVITIES = 256
"""How many activities are followed at once."""
LOST = 64
"""How many places that a failed patch would have made are remembered."""
_NOT_FOLLOWED = (TooLarge, *NOT_JSON)


class FollowedState:
    """The state that clients hold: that of the input or of the last snapshot, changed by each delta."""

    def __init__(self) -> None:
        self._document: Document | None = Document(b"{}", STATE_BYTES)
        self._known = False
        """Whether it began with an input or a snapshot; else it is the empty state of a new client."""
        self._lost: list[str] = []
        self._told = False

    def start(self, state: bytes | None) -> Said:
        """A run starts; `state`: JSON text of its input's state, None if it is not known, or still that of
        the run before."""
        self._told = False
        return () if state is None else self._hold(state, "input.state")

    def snapshot(self, event: s.StateSnapshot) -> Said:
        return self._hold(bytes(event.snapshot), "snapshot")

    def delta(self, event: s.StateDelta) -> Said:
        if self._document is None:
            return ()
        try:
            failure = self._document.apply(event.delta)
        except _NOT_FOLLOWED:
            return self._give_up("delta")
        return () if failure is None else self._failed(event, failure)

    def _failed(self, event: s.StateDelta, failure: Failure) -> Said:
        field = f"delta[{failure.number}]"
        if not self._known:
            self._document = None
            said = f"The delta comes before any snapshot, and not for the empty state: {failure.reason}."
            yield "STATE_DELTA_BEFORE_SNAPSHOT", field, said
        elif not any(failure.at == at or failure.at.startswith(at + "/") for at in self._lost):
            yield "STATE_DELTA_NOT_APPLIED", field, f"Clients drop the whole delta: {failure.reason}."
        self._lose(event.delta, failure)

    def _lose(self, patch: Sequence[Patched], failure: Failure) -> None:
        """Remember what the failed patch would have made: what fails there later has this cause."""
        self._lost += [failure.at, *(operation.path for operation in patch[:LOST] if operation.path)]
        del self._lost[:-LOST]

    def _hold(self, text: bytes, field: str) -> Said:
        self._known, self._lost = True, []
        try:
            self._document = Document(text, STATE_BYTES)
        except _NOT_FOLLOWED:
            return self._give_up(field)
        return ()

    def _give_up(self, field: str) -> Said:
        self._document = None
        if not self._told:
            self._told = True
            said = f"The state is not followed until the next snapshot: it is above {STATE_BYTES} bytes."
            yield "STATE_NOT_FOLLOWED", field, said


class Activities:
    """The content of each activity, changed by its deltas."""

    def __init__(self) -> None:
        self._held: dict[str, Document | None] = {}
        """None: not followed."""
        self._forgotten = False

    def clear(self) -> None:
        """Clients know none any more, or others."""
        self._held.clear()

    def hold(self, name: str, content: object) -> None:
        """Follow an activity with this content, a JSON object."""
        self._held.pop(name, None)
        held = sum(document.size for document in self._held.values() if document is not None)
        try:
            self._held[name] = Document(msgspec.json.encode(content), max(STATE_BYTES - held, 0))
        except _NOT_FOLLOWED:
            self._held[name] = None
        if len(self._held) > ACTIVITIES:
            self._forgotten = True
            del self._held[next(iter(self._held))]

    def snapshot(self, event: s.ActivitySnapshot) -> None:
        if event.replace is not False or event.message_id not in self._held:
            self.hold(event.message_id, event.content)

    def delta(self, event: s.ActivityDelta) -> Said:
        name = event.message_id
        if name not in self._held:
            if not self._forgotten:
                said = f"No activity {quoted(name)} is known in this stream: clients drop its patches."
                yield "ACTIVITY_DELTA_UNKNOWN", "messageId", said
            return
        document = self._held[name]
        if document is None:
            return
        try:
            failure = document.apply(event.patch)
        except _NOT_FOLLOWED:
            self._held[name] = None
            return
        if failure is not None:
            said = f"Clients drop the whole patch of activity {quoted(name)}: {failure.reason}."
            yield "ACTIVITY_DELTA_NOT_APPLIED", f"patch[{failure.number}]", said
