"""The effects that a step of the core requests from its host, in the order in which the host applies them.

Duties of a host (dtvn.protocol.host is the only one; node and simulator both run it):

1. Write the records of `persist` in one transaction with one fsync. A turn that only executed, and sends to
   clients only, needs no fsync: its records follow from what q members had synced (pump._must_last).
2. Only then hand `send` to the transport: no peer receives a message that a crash could undo (R6, R8).
3. Then hand `reply` to clients and `answers` to followers.
4. Then pass `notes` to the watchers (logs, metrics, live feed). Notes never influence the core.

If 1 fails, 2 to 4 do not happen and the core object is discarded (R8).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Entry, Outcome
from dtvn.protocol.consensus.verified import Peer, VerifiedBundle

ALL = -1
"""Value of `Send.to` for all other members."""


class Now(msgspec.Struct, frozen=True, gc=False):
    """The time in nanoseconds (R2): `monotonic` for timers only, `wall` only for proposing and checking
    timestamps."""

    monotonic: int
    wall: int
    """The time that this node goes by: its machine's clock, but for a step that it holds back (R3)."""
    taken: int = 0
    """Monotonic time when the node's loop took the frame that is handled from its socket (R3); 0: now."""
    boot: int = 0
    """Time since the machine started, its sleep included (CLOCK_BOOTTIME); 0: as `monotonic`."""
    held: int = 0
    """By how much `wall` is ahead of the machine's clock, of which a step is held back."""

    @property
    def arrival(self) -> int:
        """The wall clock by which the time of a proposal that is handled now is judged (R3)."""
        return self.wall - (self.monotonic - self.taken if self.taken else 0)


class Reason(enum.StrEnum):
    """Why a message was refused; notes, metrics, API and tests use the same codes."""

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
    STATE_BEHIND = "state_behind"
    DUPLICATE_REQUEST = "duplicate_request"
    BAD_PROOF = "bad_proof"
    UNKNOWN_SESSION = "unknown_session"
    OUTSIDE_SESSION_WINDOW = "outside_session_window"
    EXPIRED = "expired"
    BUSY = "busy"
    EPOCH_ENDS = "epoch_ends"
    NOT_ASKED = "not_asked"
    FOLLOWER = "follower"
    OTHER_PROCESS = "other_process"
    BAD_CHUNK = "bad_chunk"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_SENDER = "unknown_sender"


# --- Records that must survive a crash (R6, R9). Frames are whole signed envelopes. ---------------


class SlotRecord(msgspec.Struct, frozen=True, gc=False):
    """A protocol frame that must be sent again, byte for byte, after a restart.

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
    """One executed sequence with all data needed to prove and to replay it."""

    entry: Entry
    entry_hash: bytes
    body: bytes
    """Encoded Batch, b"" for a null request."""
    commits: tuple[bytes, ...]
    """q COMMIT frames of one view, or () if a checkpoint covers the entry (R23)."""


class CheckpointRecord(msgspec.Struct, frozen=True, gc=False):
    """A stable checkpoint with its q CHECKPOINT frames (never pruned)."""

    epoch: int
    sequence: int
    state_root: bytes
    log_root: bytes
    timestamp: int
    frames: tuple[bytes, ...]


class StateRecord(msgspec.Struct, frozen=True, gc=False):
    """A named value of the replica that must survive a restart, such as voting flag or active view."""

    name: str
    value: bytes


class EvidenceRecord(msgspec.Struct, frozen=True, gc=False):
    """Signed statements that convict a member (P3 and P22). It binds no vote, so it is written
    with its turn but needs no sync of its own."""

    code: str
    epoch: int
    member: int
    view: int
    sequence: int
    frames: tuple[bytes, ...]


class Prune(msgspec.Struct, frozen=True, gc=False):
    """Slot records of sequences <= `sequence` may be deleted: a stable checkpoint covers them (R24)."""

    sequence: int


Record = SlotRecord | EntryRecord | CheckpointRecord | StateRecord | EvidenceRecord | Prune


class ApplicationChange(msgspec.Struct, frozen=True, gc=False):
    """A change of one row of the materialised state (R9), written separately from the log, at most 100 ms
    behind it."""

    table: str
    """A table of dtvn.machine.rows.ROW_TYPES."""
    key: tuple[Any, ...]
    row: Any
    """The new value of the row; None deletes it."""


class Install(msgspec.Struct, frozen=True, gc=False):
    """Replaces the state and the head of the log by a proved snapshot, atomically. Afterwards the host builds
    a new core from the ledger."""

    checkpoint: CheckpointRecord
    entry: Entry
    """Entry of the checkpoint's sequence; the log continues after it."""
    peaks: tuple[bytes, ...]
    """Merkle frontier over all entries below `entry`."""
    rows: Callable[[], Iterable[ApplicationChange]]
    """The whole state, as the ledger stores it; may be called again."""
    state: Callable[[], Iterable[ApplicationChange]] | None = None
    """The same as `Application.load` takes it with the least work; may be called again. None: as `rows`."""


class Successor(msgspec.Struct, frozen=True, gc=False):
    """The next epoch, and the requests that are carried into it (R35)."""

    membership: Membership
    bundles: tuple[VerifiedBundle, ...]


# --- Messages ------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """An encoded frame for a member index or ALL (other members)."""

    to: int
    frame: bytes


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """An encoded link frame for a client process (principal, client id); dropped if it is not connected."""

    principal: str
    client: bytes
    frame: bytes


# --- Notes ---------------------------------------------------------------------------------------


class Executed(msgspec.Struct, frozen=True, gc=False):
    """Note that a batch was executed, for the feed, the projection and metrics."""

    entry: Entry
    entry_hash: bytes
    bundles: tuple[tuple[Any, int, tuple[Outcome, ...]], ...]
    """(Bundle, first index, outcomes) for each executed request; skipped requests are left out."""
    view: int
    """View in which the batch committed at this replica (local information)."""


class Note(msgspec.Struct, frozen=True, gc=False):
    """Any other event for watchers: `kind` is one snake_case word, `fields` are plain values.

    Kinds are for example entered_view, suspected, refused(reason, sender), evidence, checkpoint_stable,
    follower, caught_up.
    """

    kind: str
    fields: dict[str, Any]


class Effects(msgspec.Struct, gc=True):
    """The effects of one or several steps; `merge` keeps their order."""

    persist: list[Record] = []
    send: list[Send] = []
    reply: list[ReplyTo] = []
    notes: list[Executed | Note] = []
    install: Install | None = None
    """Applied last, after all messages were sent."""
    successor: Successor | None = None
    """Set when the epoch is over: after all messages were sent, a core of the next epoch takes over."""
    halted: str = ""
    """Why this node has stopped (consensus.contradiction), or "". A stopped node persists records and passes
    notes to watchers, but sends nothing."""
    answers: list[tuple[Peer, bytes]] = []
    """Frames for the connections of followers, sent after `reply`; dropped if they are gone."""

    def merge(self, other: Effects) -> None:
        """Append the effects of a later step."""
        self.persist += other.persist
        self.send += other.send
        self.reply += other.reply
        self.answers += other.answers
        self.notes += other.notes
        self.install = other.install or self.install
        self.successor = other.successor or self.successor
        self.halted = other.halted or self.halted

    def __bool__(self) -> bool:
        said = self.persist or self.send or self.reply or self.answers or self.notes
        return bool(said or self.install or self.successor or self.halted)
