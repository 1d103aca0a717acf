"""All messages of the protocol, one frozen class each, after Castro & Liskov 1999 section 4.

Three families, and a kind number for each class (`KINDS`):

* **Requests** are signed by a principal (gateway): `Bundle`.
* **Statements** are signed by a replica, may be stored, relayed and used as evidence. The signature
  covers tag, cluster id, kind and body; the body begins with epoch and sender (R1). Statements carry
  other signed statements as *frames* (`bytes` of an encoded envelope), verified at the door.
* **Link messages** are unsigned, valid only on the authenticated link they came over, never relayed.

`sender` of a statement is the replica's index in the epoch's member list; sequences start at 1;
timestamps are Unix microseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.continuation import Continuation
from dtvn.protocol.consensus.fields import BATCH, SPAN, Count, Group, Hash, Start, Text, Votes, Wire, Word
from dtvn.protocol.consensus.judge_messages import Judge, Judged
from dtvn.protocol.consensus.raft_messages import (
    AppendEntries,
    AppendEntriesResult,
    RequestVote,
    RequestVoteResult,
    TimeoutNow,
)

__all__ = [
    "Announce",
    "Answer",
    "AppendEntries",
    "AppendEntriesResult",
    "Follow",
    "Hello",
    "KINDS",
    "KIND_OF",
    "LINK",
    "NO_PREDECESSOR",
    "NULL_BATCH_DIGEST",
    "READ_INDEX",
    "STATEMENTS",
    "Batch",
    "Bundle",
    "Busy",
    "Checkpoint",
    "Commit",
    "Continuation",
    "Entry",
    "Entries",
    "FetchBatch",
    "FetchEntries",
    "FetchViewChange",
    "Gossip",
    "Head",
    "Judge",
    "Judged",
    "NewView",
    "Operation",
    "Outcome",
    "Ping",
    "Pong",
    "PrePrepare",
    "Prepare",
    "PreparedProof",
    "Query",
    "Receipt",
    "Repeat",
    "Reply",
    "RequestVote",
    "RequestVoteResult",
    "Status",
    "SupplyBatch",
    "SupplyFrames",
    "Suspect",
    "TimeoutNow",
    "ViewChange",
    "batch_digest",
    "bundle_digest",
    "entry_hash",
]

NO_PREDECESSOR = bytes(32)
"""Value of `previous` in the entry of sequence 1."""
NULL_BATCH_DIGEST = canonical.tagged_digest("dtvn/v1/batch/null")
"""Digest of the null request, which fills a gap after a view change (P5)."""


# --- Requests ------------------------------------------------------------------------------------


class Operation(Wire, frozen=True):
    """One operation on one ticket (or on a session). Every field is inside the bundle's signature."""

    kind: str
    """open_session, barrier, issue, seed, validate, consume, admit, dispute, resolve."""
    event: str
    ticket: str
    """Ticket id; "" if the kind names no ticket."""
    actor: str
    """The user, device or key behind the operation, as named by the principal (R15)."""
    entry: str
    """Member id of the node that the client addressed; becomes ValidatorID of a validation."""
    valid_until: Count
    """Batch time after which the outcome is `expired` (R14)."""
    nonce: bytes = b""
    """0 to 64 bytes; b"" means none (R13)."""
    payload: bytes = b""
    """Canonical bytes of the kind's specific fields (see dtvn.machine.commands); b"" means none."""


GOSSIP_BYTES_MAX = 60 * 1024
"""Most bytes of a message of the overlay; with its framing it is a small frame (`wire.limits`)."""

UNOPENED = (0, 0)
"""Session of a bundle that opens one (R12)."""


class Bundle(Wire, frozen=True):
    """Operations of one client, signed once (R12). A session is opened by a bundle with session (0, 0)
    that holds exactly one `open_session` operation, with a nonce."""

    epoch: Count
    """The newest epoch that the client knows."""
    principal: str
    client: Annotated[bytes, msgspec.Meta(max_length=32)]
    """8 random bytes that name the client process to which replies go; not part of any identity."""
    session: tuple[Count, Count]
    """(sequence, index) of the operation that opened the session."""
    number: Count
    """Number of the bundle in its session, from 0."""
    done_below: Count
    """The client no longer needs answers for numbers below this."""
    operations: Annotated[tuple[Operation, ...], BATCH]


# --- Statements of replicas ----------------------------------------------------------------------


class PrePrepare(Wire, frozen=True):
    """Primary to all: proposes the batch with this digest for `sequence` in `view`. The batch is the
    envelope's attachment when first proposed; when reproposed in a new view it is sent separately,
    by digest."""

    epoch: Count
    sender: Count
    view: Count
    sequence: Count
    digest: Hash


class Prepare(Wire, frozen=True):
    """Backup to all: the sender holds the batch and the PRE-PREPARE durably (R6)."""

    epoch: Count
    sender: Count
    view: Count
    sequence: Count
    digest: Hash


class Commit(Wire, frozen=True):
    """Replica to all: the sender holds a prepared certificate durably (R6)."""

    epoch: Count
    sender: Count
    view: Count
    sequence: Count
    digest: Hash


class Checkpoint(Wire, frozen=True):
    """Replica to all: the sender's state after `sequence` (R24). Equal ones of q members make it stable."""

    epoch: Count
    sender: Count
    sequence: Count
    state_root: Hash
    log_root: Hash
    """Root of the Merkle tree over entry hashes 1..sequence (R26)."""
    timestamp: Count
    """Last effective timestamp."""


class Suspect(Wire, frozen=True):
    """The sender would move to `view`; not binding (R29)."""

    epoch: Count
    sender: Count
    view: Count
    reason: Word


class PreparedProof(Wire, frozen=True):
    """A prepared certificate: the PRE-PREPARE and q - 1 PREPAREs of distinct backups, without the batch."""

    pre_prepare: bytes
    prepares: Votes


class ViewChange(Wire, frozen=True):
    """Binding: the sender left every view below `view` (R29, R33). `checkpoint`: q CHECKPOINT frames of its
    stable checkpoint (empty: sequence 0); `prepared`: one proof per sequence above it, ascending."""

    epoch: Count
    sender: Count
    view: Count
    checkpoint: Votes
    prepared: Annotated[tuple[PreparedProof, ...], SPAN]


class NewView(Wire, frozen=True):
    """Primary of `view` to all: the VIEW-CHANGEs that it used, as (sender, digest of the frame's signed body)
    ascending by sender, and its signed PRE-PREPARE frames for every sequence that they leave open,
    ascending. Every replica recomputes the list (R33)."""

    epoch: Count
    sender: Count
    view: Count
    view_changes: Annotated[tuple[tuple[Count, Hash], ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    proposals: Annotated[tuple[bytes, ...], SPAN]


class Status(Wire, frozen=True):
    """The sender's progress; peers answer with the messages it lacks. From the primary it is also the
    heartbeat (R30). The fields from `clock` on are later ones, of the version that shows clocks (R3, R47)."""

    first_form: ClassVar[int] = 9

    epoch: Count
    sender: Count
    view: Count
    """The view that the sender is in, or, while `changing`, the one that it wants to enter."""
    changing: bool
    executed: Count
    stable: Count
    proposed: Count
    """Highest sequence for which the sender holds a PRE-PREPARE in `view`."""
    missing: Annotated[tuple[Count, ...], msgspec.Meta(max_length=64)]
    """Sequences above `executed` for which the sender lacks a PRE-PREPARE or votes; at most 32."""
    voting: bool
    """False: the sender follows without a vote (R11)."""
    clock: Count = 0
    """The time that the sender goes by, Unix microseconds; 0: not shown."""
    behind: bool = False
    """True: the newest fresh proposal of `view` was too far behind that time: its primary holds time back."""
    own_clock: Count = 0
    """Its machine's clock, a step of which it holds back; 0: as `clock`."""


class Receipt(Wire, frozen=True):
    """The sender executed `sequence` with this entry hash (R26). f + 1 equal ones answer a client."""

    epoch: Count
    sender: Count
    sequence: Count
    entry_hash: Hash


class Head(Wire, frozen=True):
    """The sender's durable log ends with this entry now (R45): signed every five seconds, also when idle. A
    follower's age is the time since f + 1 members said so of a log that it holds."""

    epoch: Count
    sender: Count
    sequence: Count
    """Last executed sequence; 0: none."""
    entry_hash: Hash
    """Of that entry; 32 zero bytes for sequence 0."""
    timestamp: Count
    """The sender's wall clock, Unix microseconds."""


class Repeat(Wire, frozen=True):
    """Answer to a retry of an executed bundle (R16): its place in the log and the outcome code of each
    operation. f + 1 equal ones answer the client. `request`: the bundle's digest."""

    epoch: Count
    sender: Count
    session: tuple[Count, Count]
    number: Count
    request: Hash
    sequence: Count
    first_index: Count
    codes: tuple[Word, ...]


# --- Log -----------------------------------------------------------------------------------------


class Batch(Wire, frozen=True):
    """The requests that a sequence executes: signed bundle frames (R1, R3). `proposed`: Unix microseconds."""

    origin_view: Count
    proposed: Count
    requests: tuple[bytes, ...]


class Entry(Wire, frozen=True):
    """One executed sequence; chained by hash (R1). A null request has batch b"" and no results."""

    epoch: Count
    sequence: Count
    batch_digest: Hash
    results_root: Hash
    timestamp: Count
    """Effective timestamp."""
    previous: Hash
    """Entry hash of sequence - 1; 32 zero bytes for sequence 1."""


class Outcome(Wire, frozen=True):
    """The result of one operation. `state` is the canonical state of its ticket afterwards (b"": none)."""

    code: Word
    """"ok" or a reason of dtvn.machine.reasons."""
    state: bytes
    first: Annotated[tuple[Count, ...], msgspec.Meta(max_length=2)] | None = None
    """(sequence, index) of the first operation that this one repeats, (): it repeats none (R48). None: the
    log has no such field here, by its version (R47). Later field."""

    first_form: ClassVar[int] = 2


# --- Link messages -------------------------------------------------------------------------------


class FetchBatch(Wire, frozen=True):
    """Request for the batch body with this digest (R21)."""

    digest: Hash


class SupplyBatch(Wire, frozen=True):
    """A batch body; the receiver checks the digest and the request signatures."""

    body: bytes


class FetchEntries(Wire, frozen=True):
    """Request for log entries from `first` to `last`, up to a size bound (R23)."""

    first_form: ClassVar[int] = 3

    epoch: Count
    first: Count
    last: Count
    alone: bool = False
    """The entries are wanted without COMMITs and certificate, for an archive that verifies them backwards by
    the hash chain. Later field."""


class Entries(Wire, frozen=True):
    """A contiguous range of (entry, batch body, COMMIT frames). The frames are q COMMITs of one view, or ()
    if `checkpoint` (q CHECKPOINT frames for the last sequence of the range) covers the entry."""

    entries: Annotated[tuple[tuple[Entry, bytes, Votes], ...], SPAN]
    checkpoint: Votes


class FetchViewChange(Wire, frozen=True):
    """Request for the VIEW-CHANGE frame with this digest (R33)."""

    digest: Hash


class SupplyFrames(Wire, frozen=True):
    """Signed frames that the receiver lacks (retransmission); each is verified separately."""

    frames: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=256)]


class FetchSnapshot(Wire, frozen=True):
    """Request for an offer of the state at a stable checkpoint above this sequence (R23)."""

    epoch: Count
    above: Count


class Snapshot(Wire, frozen=True):
    """Offer of a state that can be fetched for a while, with its proof: q CHECKPOINTs sign the state root and
    the log root; the state root follows from `manifest`, the log root from `peaks` and `entry`."""

    checkpoint: Votes
    entry: Entry
    """The entry of the checkpoint's sequence."""
    peaks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=62)]
    """Frontier of the log before `entry` (log_tree)."""
    manifest: Annotated[bytes, msgspec.Meta(max_length=64 * 1024)]
    """Hashes of all groups of the state tree."""


class FetchGroups(Wire, frozen=True):
    """Request for these groups of the offered state."""

    sequence: Count
    groups: Annotated[tuple[Group, ...], msgspec.Meta(max_length=1024)]


class Groups(Wire, frozen=True):
    """The first of the requested groups, as many as fit, in order: (number, leaves with the data they
    cover). Empty if the state is no longer served."""

    sequence: Count
    groups: Annotated[tuple[tuple[Count, tuple[tuple[bytes, ...], ...]], ...], msgspec.Meta(max_length=32)]


class Ping(Wire, frozen=True):
    """Liveness check (R31). `mine`: asks for the frames that the receiver holds under the sender's key, of
    the sender's `view` and above (R11). `wished`: the view from which on the sender may vote again, if it
    waits for nothing else; else 0."""

    first_form: ClassVar[int] = 5

    number: Count
    mine: bool
    view: Count
    wished: Count = 0
    epoch: Count = 0
    voting: bool = True
    """Raft: whether the sender has a vote. If it does not ask for `mine`, it has compared what the receiver
    showed it with its ledger (R44). Later field."""


class Pong(Wire, frozen=True):
    """Answer to a Ping: the sender's own progress, and frames under the asker's key, newest first. For an
    asker that lost its vote (R11) also q CHECKPOINT frames of the sender's stable `checkpoint`, and the
    `view` that the sender is bound to."""

    first_form: ClassVar[int] = 6

    number: Count
    executed: Count
    frames: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=256)]
    checkpoint: Votes = ()
    view: Count = 0
    epoch: Count = 0
    remembers: bool = True
    """False: the sender lost its ledger, and no liar is tolerated, so that it alone may have known frames of
    the asker (R11). Later field."""
    clock: Count = 0
    """The time that the sender goes by, Unix microseconds, so that who starts knows it before it votes (R3);
    0: not shown. Later field."""


class Reply(Wire, frozen=True):
    """Answer to a client: its bundle was executed in `entry`, from `first_index` on. The client recomputes
    the bundle's subtree from its operations and `outcomes`, climbs `path` to the results root, hashes
    the entry and compares it with `receipt` (a Receipt frame). `request`: the bundle's digest."""

    session: tuple[Count, Count]
    number: Count
    request: Hash
    entry: Entry
    first_index: Count
    outcomes: tuple[Outcome, ...]
    path: tuple[tuple[bool, Hash], ...]
    """Siblings from the bundle's subtree upwards: (whether the sibling is on the left, hash)."""
    receipt: bytes

    first_form: ClassVar[int] = 8
    nested: ClassVar[tuple[int, ...]] = (5,)


class Busy(Wire, frozen=True):
    """Hint to a client: its bundle was not ordered, and why (`busy`, `unknown_session`). With `expired`,
    `timestamp` is the sender's last effective time, in Unix microseconds (R14)."""

    first_form: ClassVar[int] = 5
    session: tuple[Count, Count]
    number: Count
    request: Hash
    code: Word
    retry_after_ms: Count
    timestamp: Count = 0


class Follow(Wire, frozen=True):
    """A learner or lagging replica to one member or relay: request for entries from `first` on, and for each
    new one as it is executed, for the next three seconds (renewed by repeating it)."""

    first_form: ClassVar[int] = 2

    epoch: Count
    first: Count
    lazy: bool = False
    """Only announcements and heads are wanted, no entries (Plumtree's lazy link). Later field."""


class Announce(Wire, frozen=True):
    """To a follower: the sender has executed up to `executed` (Plumtree's IHAVE), and knows these heads."""

    epoch: Count
    executed: Count
    heads: Votes
    """Head frames, of distinct members."""


class Gossip(Wire, frozen=True):
    """A message of the overlay (dtvn.overlay.messages), opaque to consensus (R45)."""

    body: Annotated[bytes, msgspec.Meta(max_length=GOSSIP_BYTES_MAX)]


class Hello(Wire, frozen=True):
    """First frame of a new connection. `client`: 8 random bytes of a client process, b"" for a member or
    learner. From now on replies for (authenticated principal, client) go to this connection.

    The later fields are those of a member of a Raft cluster, where each key runs in one process (R44)."""

    first_form: ClassVar[int] = 1

    client: Annotated[bytes, msgspec.Meta(max_length=32)]
    incarnation: Count = 0
    """How often the sender's ledger was opened; 0: it follows without a vote."""
    start: Start = b""
    """Random bytes of the sender's process."""
    newest: Count = 0
    """Index of the sender's newest own statement when it started."""
    known: Count = 0
    """Not 0: the link is refused, for the sender heard the receiver's key with this incarnation ..."""
    known_start: Start = b""
    """... and these bytes of its process."""


READ_INDEX = "read_index"
"""What a Query asks the leader of a Raft cluster for: the index that a linearizable read must have applied
(R18), as {"sequence": index}; another member answers with a code."""


class Query(Wire, frozen=True):
    """Query to a node, outside consensus, answered at its own sequence (protocol/messages.md lists them)."""

    number: Count
    what: Word
    arguments: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)]


class Answer(Wire, frozen=True):
    """Answer to a Query: JSON text, or an error code and no text."""

    number: Count
    code: Word
    text: str


KINDS: dict[int, type[Any]] = {
    1: Bundle,
    16: PrePrepare,
    17: Prepare,
    18: Commit,
    19: Checkpoint,
    20: Suspect,
    21: ViewChange,
    22: NewView,
    23: Status,
    24: Receipt,
    25: Repeat,
    26: Continuation,
    27: Head,
    64: FetchBatch,
    65: SupplyBatch,
    66: FetchEntries,
    67: Entries,
    68: FetchViewChange,
    69: SupplyFrames,
    70: Reply,
    71: Busy,
    72: Follow,
    73: Hello,
    74: Query,
    75: Answer,
    76: Ping,
    77: Pong,
    80: FetchSnapshot,
    81: Snapshot,
    82: FetchGroups,
    83: Groups,
    84: Judge,
    85: Judged,
    90: RequestVote,
    91: RequestVoteResult,
    92: AppendEntries,
    93: AppendEntriesResult,
    94: Announce,
    95: Gossip,
    96: TimeoutNow,
}
KIND_OF: dict[type[Any], int] = {message: kind for kind, message in KINDS.items()}
STATEMENTS = frozenset(message for kind, message in KINDS.items() if 16 <= kind < 64)
LINK = frozenset(message for kind, message in KINDS.items() if kind >= 64)


def bundle_digest(body: bytes) -> bytes:
    """Identity of a request: the hash of its signed body, without the signature (P12)."""
    return canonical.tagged_digest("dtvn/v1/bundle", body)


def batch_digest(origin_view: int, proposed: int, requests: tuple[bytes, ...]) -> bytes:
    """R1: H(tag, origin view, proposed timestamp, request digests in order), independent of current view,
    primary and sequence."""
    header = origin_view.to_bytes(8, "big") + proposed.to_bytes(8, "big")
    return canonical.tagged_digest("dtvn/v1/batch", header, *requests)


def entry_hash(entry: Entry) -> bytes:
    """R1: H(tag, epoch, s, batch digest, results root, effective timestamp, previous), without a view."""
    return canonical.tagged_digest("dtvn/v1/entry", canonical.encode(entry))
