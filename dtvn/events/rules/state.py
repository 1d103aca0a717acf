"""What the rules remember of one run, in bounded memory, and its canonical bytes, which votes name by their
digest."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from dtvn.events.rules.limits import Limits
from dtvn.protocol.canonical import CanonicalError, decode, encode, tagged_digest

STATE_VERSION = 1
Owner = str | None
"""The subagent that something belongs to; None is the parent agent."""


class StateError(ValueError):
    """Bytes that are not the state of a run."""


class Phase(IntEnum):
    """Where a stream stands: nothing yet, within a run, after RUN_FINISHED, after RUN_ERROR."""

    NEW = 0
    ACTIVE = 1
    FINISHED = 2
    ERRORED = 3


class Kind(IntEnum):
    """What a chunked stream builds."""

    TEXT = 0
    TOOL = 1
    REASONING = 2


class Lane(Struct, frozen=True, array_like=True):
    """The stream that one owner's chunks build now, with the fields of its first chunk."""

    owner: Owner
    kind: Kind
    id: str
    role: str | None = None
    name: str | None = None
    parent: str | None = None


Owned = tuple[tuple[str, Owner], ...]


class StateForm(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The canonical form: sets are sorted, what expires by age keeps its order."""

    version: int
    phase: Phase
    expired: bool
    messages: tuple[str, ...]
    calls: tuple[str, ...]
    reasoning: tuple[str, ...]
    spans: tuple[str, ...]
    steps: tuple[tuple[bool, str, str], ...]
    subagents: tuple[str, ...]
    closed: tuple[str, ...]
    owners: tuple[Owned, Owned, Owned, Owned]
    lanes: tuple[Lane, ...]


class RunState:
    """What is open in a run, who owns what, and which chunked streams go on.

    `owners_*` remember for the whole run who owns an id (first writer), oldest first; `expired` says that
    some were forgotten. `closed` are subagents that ended. All are empty outside a run: nothing of it may be
    continued.
    """

    __slots__ = (
        "calls",
        "closed",
        "expired",
        "lanes",
        "limits",
        "messages",
        "owners_activity",
        "owners_call",
        "owners_message",
        "owners_reasoning",
        "phase",
        "reasoning",
        "spans",
        "steps",
        "subagents",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.phase = Phase.NEW
        self.clear()

    def clear(self) -> None:
        """Forget the run."""
        self.expired = False
        self.messages: set[str] = set()
        self.calls: set[str] = set()
        self.reasoning: set[str] = set()
        self.spans: set[str] = set()
        self.steps: set[tuple[Owner, str]] = set()
        self.subagents: set[str] = set()
        self.closed: dict[str, None] = {}
        self.owners_message: dict[str, Owner] = {}
        self.owners_call: dict[str, Owner] = {}
        self.owners_reasoning: dict[str, Owner] = {}
        self.owners_activity: dict[str, Owner] = {}
        self.lanes: dict[Owner, Lane] = {}

    def open_items(self) -> int:
        """How many messages, calls, spans, steps and subagents are open."""
        return (
            len(self.messages)
            + len(self.calls)
            + len(self.reasoning)
            + len(self.spans)
            + len(self.steps)
            + len(self.subagents)
        )

    def own(self, owners: dict[str, Owner], identifier: str, owner: Owner) -> None:
        """Record who owns an id; if that makes too many, forget the oldest that are not open."""
        owners[identifier] = owner
        if len(owners) > self.limits.owners:
            self._expire(owners)

    def close_subagent(self, identifier: str) -> None:
        """A subagent ended: its id may not be used again, as long as it is remembered."""
        self.subagents.discard(identifier)
        self.closed[identifier] = None
        if len(self.closed) > self.limits.owners:
            self._expire(self.closed)

    def _expire(self, remembered: dict[str, Owner] | dict[str, None]) -> None:
        self.expired = True
        still_open: set[str] = set()
        if remembered is self.owners_message:
            still_open = self.messages
        elif remembered is self.owners_call:
            still_open = self.calls
        elif remembered is self.owners_reasoning:
            still_open = self.reasoning | self.spans
        surplus = len(remembered) - self.limits.owners * 3 // 4
        for identifier in [name for name in remembered if name not in still_open][:surplus]:
            del remembered[identifier]

    def encoded(self) -> bytes:
        """The canonical bytes."""
        steps = sorted((owner is not None, owner or "", name) for owner, name in self.steps)
        maps = (self.owners_message, self.owners_call, self.owners_reasoning, self.owners_activity)
        first, second, third, fourth = (tuple(owners.items()) for owners in maps)
        return encode(
            StateForm(
                STATE_VERSION,
                self.phase,
                self.expired,
                tuple(sorted(self.messages)),
                tuple(sorted(self.calls)),
                tuple(sorted(self.reasoning)),
                tuple(sorted(self.spans)),
                tuple(steps),
                tuple(sorted(self.subagents)),
                tuple(self.closed),
                (first, second, third, fourth),
                tuple(self.lanes.values()),
            )
        )

    def digest(self) -> bytes:
        """32 bytes, named in votes; equal for equal states."""
        return state_digest(self.encoded())


def state_digest(encoded: bytes) -> bytes:
    """The digest of a state's canonical bytes, 32 bytes."""
    return tagged_digest("dtvn.events.state", encoded)


def decode_state(data: bytes, limits: Limits) -> RunState:
    """The state whose canonical bytes these are; raise StateError for any others, and for one beyond the
    limits."""
    try:
        form = decode(StateForm, data)
    except CanonicalError as error:
        raise StateError(str(error)) from None
    if form.version != STATE_VERSION:
        raise StateError(f"version {form.version} of a run's state; this release knows {STATE_VERSION}")
    state = RunState(limits)
    state.phase, state.expired = form.phase, form.expired
    state.messages, state.calls = set(form.messages), set(form.calls)
    state.reasoning, state.spans = set(form.reasoning), set(form.spans)
    state.steps = {(owner if tagged else None, name) for tagged, owner, name in form.steps}
    state.subagents, state.closed = set(form.subagents), dict.fromkeys(form.closed)
    message, call, reasoning, activity = form.owners
    state.owners_message, state.owners_call = dict(message), dict(call)
    state.owners_reasoning, state.owners_activity = dict(reasoning), dict(activity)
    state.lanes = {lane.owner: lane for lane in form.lanes}
    _check(state, data)
    return state


def _check(state: RunState, data: bytes) -> None:
    """Raise StateError unless a run could be in this state and `data` is its one form."""
    if state.encoded() != data:
        raise StateError("not the canonical form of a run's state: order or repetition")
    maps = (
        state.owners_message,
        state.owners_call,
        state.owners_reasoning,
        state.owners_activity,
        state.closed,
    )
    if state.open_items() > state.limits.open_items or any(len(each) > state.limits.owners for each in maps):
        raise StateError("a run's state beyond the limits")
    owned = (
        state.messages <= state.owners_message.keys()
        and state.calls <= state.owners_call.keys()
        and (state.reasoning | state.spans) <= state.owners_reasoning.keys()
        and not state.subagents & state.closed.keys()
        and len(state.lanes) <= state.limits.open_items
    )
    if not owned:
        raise StateError("a run's state in which something open has no owner")
    if state.phase is not Phase.ACTIVE and (state.open_items() or state.lanes or state.expired or any(maps)):
        raise StateError("a run's state with something open outside a run")
