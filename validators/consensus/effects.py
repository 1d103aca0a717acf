"""What a step of the core asks its host to do, in the order in which the host must do it.

Duties of a host (host.py is the one host; node and simulator both run it):

1. Write the records of `persist` in one transaction with one fsync, but for a turn that only executed and
   speaks to clients only: what it wrote follows from what q members had synced (host._must_last).
2. Only then hand `send` to the transport: nobody hears of what could be forgotten (R6, R8).
3. Then hand `reply` to clients.
4. Then show `notes` to whoever watches (logs, metrics, live feed). Notes never feed back.

If 1 fails, 2 to 4 do not happen and the core object is thrown away (R8).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from validators.consensus.membership import Membership
from validators.consensus.messages import Entry, Outcome
from validators.consensus.verified import VerifiedBundle

__all__ = [
    "ALL",
    "ApplicationChange",
    "CheckpointRecord",
    "Effects",
    "EntryRecord",
    "EvidenceRecord",
    "Executed",
    "Install",
    "Note",
    "Now",
    "Prune",
    "Reason",
    "Record",
    "ReplyTo",
    "Send",
    "SlotRecord",
    "StateRecord",
    "Successor",
]

ALL = -1
"""`Send.to`: every other member."""


class Now(msgspec.Struct, frozen=True, gc=False):
    """Two integers in nanoseconds (R2): `monotonic` for timers only, `wall` only to propose and check."""

    monotonic: int
    wall: int


class Reason(enum.StrEnum):
    """Why a message was refused: one vocabulary for notes, metrics, API and tests."""

    NOT_MEMBER = "not_member"
    WRONG_EPOCH = "wrong_epoch"
    WRONG_KIND = "wrong_kind"
    OLD_VIEW = "old_view"
    FUTURE_VIEW = "future_view"
    OUTSIDE_WINDOW = "outside_window"
    DECIDED = "already_decided"
    SECOND_MESSAGE = "second_message_for_slot"
    EQUIVOCATION = "equivocation"
    NOT_PRIMARY = "not_primary"
    FROM_PRIMARY = "prepare_from_primary"
    VIEW_INACTIVE = "view_change_under_way"
    BAD_BATCH = "bad_batch"
    BAD_TIMESTAMP = "bad_timestamp"
    DUPLICATE_REQUEST = "duplicate_request"
    BAD_PROOF = "bad_proof"
    UNKNOWN_SESSION = "unknown_session"
    OUTSIDE_SESSION_WINDOW = "outside_session_window"
    EXPIRED = "expired"
    BUSY = "busy"
    EPOCH_ENDS = "epoch_ends"
    NOT_ASKED = "not_asked"
    FOLLOWER = "follower"
    BAD_CHUNK = "bad_chunk"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_SENDER = "unknown_sender"


# --- Records: what must survive (R6, R9). Frames are whole signed envelopes. ----------------------


class SlotRecord(msgspec.Struct, frozen=True, gc=False):
    """A protocol frame that must be said again, byte for byte, after a restart.

    `phase` is one of pre_prepare, prepare, commit (mine), prepared (certificate: frames of
    PRE-PREPARE and PREPAREs), checkpoint (mine), view_change, new_view, view (entered: active).
    The key is (epoch, view, sequence, phase); a second write of the same key must be the same bytes.
    """

    epoch: int
    view: int
    sequence: int
    phase: str
    frames: tuple[bytes, ...]
    body: bytes = b""
    """Batch body, with the PRE-PREPARE (R6)."""


class EntryRecord(msgspec.Struct, frozen=True, gc=False):
    """One executed sequence with all that is needed to prove and to replay it."""

    entry: Entry
    entry_hash: bytes
    body: bytes
    """Encoded Batch, b"" for a null request."""
    commits: tuple[bytes, ...]
    """q COMMIT frames of one view, or () when a checkpoint covers the entry (R23)."""


class CheckpointRecord(msgspec.Struct, frozen=True, gc=False):
    """A stable checkpoint: its q CHECKPOINT frames (never forgotten)."""

    epoch: int
    sequence: int
    state_root: bytes
    log_root: bytes
    timestamp: int
    frames: tuple[bytes, ...]


class StateRecord(msgspec.Struct, frozen=True, gc=False):
    """A named value of the replica that must survive: for example voting flag, active view."""

    name: str
    value: bytes


class EvidenceRecord(msgspec.Struct, frozen=True, gc=False):
    """Signed statements that convict a member (PITFALLS rows 3 and 22). Binds nobody: written with the turn,
    synced with what else must last."""

    code: str
    epoch: int
    member: int
    view: int
    sequence: int
    frames: tuple[bytes, ...]


class Prune(msgspec.Struct, frozen=True, gc=False):
    """Slot records of sequences <= `sequence` may go: a stable checkpoint covers them (R24)."""

    sequence: int


Record = SlotRecord | EntryRecord | CheckpointRecord | StateRecord | EvidenceRecord | Prune


class ApplicationChange(msgspec.Struct, frozen=True, gc=False):
    """A row of the materialised state (R9), written apart from the log, at most 100 ms behind."""

    table: str
    """One of tickets.machine.rows.TABLES."""
    key: tuple[Any, ...]
    row: Any
    """The table's value, or None: delete."""


class Install(msgspec.Struct, frozen=True, gc=False):
    """Replace state and head of the log by a proved snapshot, all of it or nothing. The host starts the core
    anew from the ledger afterwards."""

    checkpoint: CheckpointRecord
    entry: Entry
    """Of the checkpoint's sequence; the log goes on behind it."""
    peaks: tuple[bytes, ...]
    """Merkle frontier over all entries below it."""
    rows: Callable[[], Iterable[ApplicationChange]]
    """The whole state; may be called again."""


class Successor(msgspec.Struct, frozen=True, gc=False):
    """The epoch that follows, and the requests that go on into it (R35)."""

    membership: Membership
    bundles: tuple[VerifiedBundle, ...]


# --- Speech --------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """An encoded frame to a member index or ALL (others); `peer` names a non-member instead."""

    to: int
    frame: bytes
    peer: str = ""


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """An encoded link frame to a client process (principal, client id); dropped when not connected."""

    principal: str
    client: bytes
    frame: bytes


# --- Notes ---------------------------------------------------------------------------------------


class Executed(msgspec.Struct, frozen=True, gc=False):
    """A batch was executed: for the feed, the projection and metrics."""

    entry: Entry
    entry_hash: bytes
    bundles: tuple[tuple[Any, int, tuple[Outcome, ...]], ...]
    """(Bundle, first index, outcomes) for each request that was executed, skipped ones left out."""
    view: int
    """View in which it committed here (local information)."""


class Note(msgspec.Struct, frozen=True, gc=False):
    """Anything else worth telling: kind is one snake_case word, fields are plain values.

    entered_view, suspected, refused(reason, sender), evidence, checkpoint_stable, follower, caught_up ...
    """

    kind: str
    fields: dict[str, Any]


class Effects(msgspec.Struct, gc=True):
    """The effects of one or several steps; `merge` keeps order."""

    persist: list[Record] = []
    send: list[Send] = []
    reply: list[ReplyTo] = []
    notes: list[Executed | Note] = []
    install: Install | None = None
    """Done last, after everything was said."""
    successor: Successor | None = None
    """The epoch is over: after everything was said the host gives way to a core of the next one."""
    halted: str = ""
    """Why this node goes no further (consensus.contradiction), "" while it does: persist and tell watchers,
    but say nothing to anybody."""

    def merge(self, other: Effects) -> None:
        """Append the effects of a later step."""
        self.persist += other.persist
        self.send += other.send
        self.reply += other.reply
        self.notes += other.notes
        self.install = other.install or self.install
        self.successor = other.successor or self.successor
        self.halted = other.halted or self.halted

    def __bool__(self) -> bool:
        said = self.persist or self.send or self.reply or self.notes
        return bool(said or self.install or self.successor or self.halted)
