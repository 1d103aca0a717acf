"""Tables of one replica: its log, its votes, its checkpoints and the rows that follow the log.

The same models serve each node's ledger and the learner's database, each under a database alias of its
own. Rows are written by `Ledger` with bulk SQL, never through these classes (the ORM's row-by-row path is
five to ten times slower); pages and the admin read them.

Written in the turn's own transaction, durable before any message is sent (R6, R9): BatchBody,
ConsensusEntry, CommitCertificate, ProtocolRecord, Checkpoint, StateValue, LedgerMeta.turn.
Written later, at most 100 ms behind, all together (R9): the rest, and LedgerMeta.applied_sequence.

OperationRecord, EntryStates and TicketCode are filled only if operations and tickets are searched (the
learner). Otherwise a list of operations is read from the batches and EntryOutcomes, which costs a row per
entry instead of one per operation.

Timestamps are Unix microseconds. `checksum` is a CRC-32 over the row's other columns: hashes and signatures
authenticate the content, the checksum finds every flipped byte, also one that no hash covers.
"""

from __future__ import annotations

from django.db import models
from django.utils.functional import cached_property

from dtvn.machine.reasons import ABOUT_DISPUTES
from dtvn.machine.rows import TicketRow
from validators.ledger.fields import KeyField, RowNumberField, SequenceField
from validators.ledger.state_rows import unpack_ticket

SCHEMA_VERSION = 4
"""Number of the newest migration; a ledger with a higher one is refused."""
FIRST_SCHEMA = 3
"""What a ledger says until the cluster's version is raised (R47): release 0.1.0 opens such ones, for tables
and columns were only added since."""


class LedgerMeta(models.Model):
    """The single row with the ledger's cluster and identity, its writer's incarnation, and the sequence of
    its rows."""

    id = SequenceField(primary_key=True)
    """Always 1."""
    cluster = models.BinaryField()
    """Cluster id, 32 bytes."""
    identity = models.BinaryField()
    """16 random bytes of this ledger, by which a new ledger in the place of an old one is recognised."""
    schema = models.IntegerField()
    incarnation = models.BigIntegerField()
    """Incremented at each start; a writer with an older incarnation is fenced (R10)."""
    turn = models.BigIntegerField()
    """Number of turns made durable; the witness file beside the ledger must never be ahead of it."""
    applied_sequence = models.BigIntegerField()
    applied_timestamp = models.BigIntegerField()
    """Last effective timestamp at `applied_sequence`."""
    voting = models.BooleanField()
    """False if this replica follows without a vote (R11)."""
    voting_reason = models.TextField()
    """A sentence for the operator; "" while voting."""
    created_at = models.BigIntegerField()
    checksum = models.BigIntegerField()
    """CRC-32 over all columns except `turn`, which changes with every turn."""


class BatchBody(models.Model):
    """A batch, written once with its PRE-PREPARE and shared by the entry that executed it."""

    id = SequenceField(primary_key=True)
    sequence = models.BigIntegerField(db_index=True)
    content = models.BinaryField()
    checksum = models.BigIntegerField()


class ConsensusEntry(models.Model):
    """One executed sequence of the log; never changed, never deleted."""

    sequence = SequenceField(primary_key=True)
    epoch = models.BigIntegerField()
    timestamp = models.BigIntegerField()
    """Effective timestamp."""
    entry = models.BinaryField()
    """Canonical bytes of messages.Entry."""
    entry_hash = models.BinaryField()
    body = models.BigIntegerField(null=True)
    """BatchBody.id; null for a null request."""
    checksum = models.BigIntegerField()

    class Meta:
        verbose_name = "log entry"
        verbose_name_plural = "log entries"


class CommitCertificate(models.Model):
    """The q COMMIT frames that decided a sequence; never deleted. If liars cut a member off with another
    entry, its COMMITs and the others' for that sequence convict them, however late they are compared."""

    sequence = SequenceField(primary_key=True)
    frames = models.BinaryField()
    checksum = models.BigIntegerField()


class ProtocolRecord(models.Model):
    """A frame that must be repeated byte for byte after a restart (R6, R7)."""

    id = SequenceField(primary_key=True)
    sequence = models.BigIntegerField()
    epoch = models.BigIntegerField()
    view = models.BigIntegerField()
    phase = models.CharField(max_length=16)
    frames = models.BinaryField()
    body = models.BigIntegerField(null=True)
    """BatchBody.id for a PRE-PREPARE, else null."""
    checksum = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sequence", "epoch", "view", "phase"], name="one_record_per_slot")
        ]


class Checkpoint(models.Model):
    """A stable checkpoint with its q CHECKPOINT frames; never deleted (R24)."""

    sequence = SequenceField(primary_key=True)
    epoch = models.BigIntegerField()
    state_root = models.BinaryField()
    log_root = models.BinaryField()
    timestamp = models.BigIntegerField()
    frames = models.BinaryField()
    checksum = models.BigIntegerField()


class StateValue(models.Model):
    """A named value of the replica, for example the active view."""

    name = KeyField(primary_key=True, max_length=64)
    value = models.BinaryField()
    checksum = models.BigIntegerField()


# --- Rows that follow the log ---------------------------------------------------------------------


class Ticket(models.Model):
    """One ticket as of `LedgerMeta.applied_sequence`: searched fields in columns, all fields in `row`.

    This costs half as much as a column for every field, for each change and for each ticket loaded at start.
    On a node, where tickets are not searched, only id, event, ticket id, state and `row` are filled.
    """

    id = RowNumberField(primary_key=True)
    event = KeyField(max_length=64)
    ticket_id = KeyField(max_length=128)
    state = models.CharField(max_length=16)
    """Where tickets are searched, UPHELD apart from DISPUTED (read.STATES); on a node one for both."""
    validator = models.TextField(db_default="")
    """Entry node of the validating operation; "" until validated."""
    timestamp = models.BigIntegerField(db_default=0)
    """Effective timestamp of the last change."""
    sequence = models.BigIntegerField(db_default=0)
    """Sequence of the last change."""
    gate = models.CharField(max_length=128, db_default="")
    """Gate at which the ticket was admitted; "" unless CONSUMED."""
    device = models.CharField(max_length=128, db_default="")
    product = models.CharField(max_length=256, db_default="")
    seat = models.CharField(max_length=256, db_default="")
    blocked = models.BooleanField(db_default=False)
    """Always False on a node."""
    row = models.BinaryField()
    """All fields of a machine.rows.TicketRow, as canonical bytes; on a node, the state and issue of a
    TicketBytes, encoded by state_rows.ticket_bytes."""
    checksum = models.BigIntegerField()

    class Meta:
        ordering = ["event", "ticket_id"]
        constraints = [models.UniqueConstraint(fields=["event", "ticket_id"], name="one_row_per_ticket")]

    def __str__(self) -> str:
        return self.ticket_id

    @cached_property
    def whole(self) -> TicketRow:
        """All fields: data, metadata, vector clock, actor, nonce, note and the rest."""
        return unpack_ticket(bytes(self.row))


class TicketCode(models.Model):
    """A code of a searched ticket, for lookups by what was scanned. The ticket's row says the same, and the
    two are compared at each start. A replaced code keeps its row, which is its ticket's for ever."""

    id = RowNumberField(primary_key=True)
    event = KeyField(max_length=64)
    digest = models.BinaryField()
    """machine.codes.code_digest, 32 bytes."""
    ticket_id = KeyField(max_length=128)
    revoked = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "digest"], name="one_ticket_per_code")]


class StateRow(models.Model):
    """A row of the replicated state that pages do not search: sessions, bundles, nonces, the clock."""

    key = models.BinaryField(primary_key=True)
    """Number of its table (one byte), then the canonical bytes of its key."""
    row = models.BinaryField()
    checksum = models.BigIntegerField()


class EntryOutcomes(models.Model):
    """The outcome of each operation of an entry; with the entry's batch it gives the list of operations."""

    sequence = SequenceField(primary_key=True)
    operations = models.IntegerField()
    """Number of executed operations in the entry."""
    listed = models.IntegerField()
    """Number of them that the plain consensus log shows."""
    outcomes = models.BinaryField()
    """Canonical ((first index, packed codes), ...), one per executed bundle (machine.reasons.pack)."""
    checksum = models.BigIntegerField()


class EntryStates(models.Model):
    """The ticket state after each operation. With the batch and the outcome codes it gives every leaf of the
    entry's results root, so that any outcome can be proved at any time (R26). Filled with OperationRecord."""

    sequence = SequenceField(primary_key=True)
    content = models.BinaryField()
    """Canonical ((first index, (state, ...)), ...), one per executed bundle."""
    checksum = models.BigIntegerField()


class OperationRecord(models.Model):
    """One ordered operation and its outcome, searchable; filled only on the learner."""

    id = SequenceField(primary_key=True)
    """sequence * 16,384 + batch_index: the order of the log."""
    sequence = models.BigIntegerField()
    batch_index = models.IntegerField()
    view = models.BigIntegerField()
    """View of the batch's first proposal (R1)."""
    timestamp = models.BigIntegerField()
    """Effective timestamp."""
    event = KeyField(max_length=64)
    ticket_id = KeyField(max_length=128)
    """machine.ticket_of: also of an admission by code; "" if no ticket had the code."""
    operation = models.CharField(max_length=32)
    code = models.CharField(max_length=32)
    """"ok" or the code of the refusal."""
    principal = models.CharField(max_length=128)
    actor = models.CharField(max_length=128)
    entry = models.CharField(max_length=128)
    """Member id of the entry node."""
    digest = models.BinaryField()
    """Hash of the operation."""
    request = models.BinaryField()
    """Digest of the bundle that holds the operation."""

    class Meta:
        verbose_name = "operation"
        verbose_name_plural = "operations"
        ordering = ["id"]
        indexes = [models.Index(fields=["ticket_id", "event"], name="operations_by_ticket")]

    def __str__(self) -> str:
        return f"{self.operation} {self.ticket_id} at {self.sequence}.{self.batch_index}"

    @property
    def shown_code(self) -> str:
        """`code` for people: "upheld" in place of "disputed" if the dispute had been upheld by then. Programs
        get the contract's code, which is one for both."""
        if self.code not in ABOUT_DISPUTES:
            return self.code
        upheld = Ticket.objects.filter(event=self.event, ticket_id=self.ticket_id, state="UPHELD").first()
        row = None if upheld is None else upheld.whole
        if row is None or (row.sequence, row.index) > (self.sequence, self.batch_index):
            return self.code
        return self.code.replace("disputed", "upheld")


class Counter(models.Model):
    """A count kept up to date with the rows, so that no page has to count a million of them."""

    name = KeyField(primary_key=True, max_length=255)
    """`ticket/<state>/<event>` or `operation/<kind>/<ok or refused>`."""
    value = models.BigIntegerField()


class Evidence(models.Model):
    """Signed frames that convict a member (P22); bounded by `convictions`."""

    id = RowNumberField(primary_key=True)
    code = models.CharField(max_length=64)
    epoch = models.BigIntegerField()
    member = models.IntegerField()
    """Index of the accused in the epoch's member list."""
    view = models.BigIntegerField()
    sequence = models.BigIntegerField()
    frames = models.BinaryField()
    """Canonical (frame, ...): all that another party needs to check the evidence."""
    timestamp = models.BigIntegerField()
    """Time of writing by this host's clock, Unix microseconds."""
    checksum = models.BigIntegerField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["member", "epoch", "code", "view", "sequence"], name="one_evidence_per_crime"
            )
        ]


class ViewArchive(models.Model):
    """The newest NEW-VIEWs of earlier views, each with its VIEW-CHANGEs: after a fork they show which member
    hid what it had committed (P22). The protocol itself never reads them."""

    id = SequenceField(primary_key=True)
    """Id of the ProtocolRecord from which it was moved."""
    epoch = models.BigIntegerField()
    view = models.BigIntegerField()
    frames = models.BinaryField()
