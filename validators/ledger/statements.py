"""The SQL of a ledger, common to both databases; `?` is the placeholder (see store)."""

from __future__ import annotations

INSERT_BODY = "INSERT INTO ledger_batchbody (id, sequence, content, checksum) VALUES (?, ?, ?, ?)"
INSERT_ENTRY = (
    "INSERT INTO ledger_consensusentry (sequence, epoch, timestamp, entry, entry_hash, body, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_COMMITS = "INSERT INTO ledger_commitcertificate (sequence, frames, checksum) VALUES (?, ?, ?)"
INSERT_SLOT = (
    "INSERT INTO ledger_protocolrecord (id, sequence, epoch, view, phase, frames, body, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CHECKPOINT = (
    "INSERT INTO ledger_checkpoint"
    " (sequence, epoch, state_root, log_root, timestamp, frames, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
UPSERT_STATE = (
    "INSERT INTO ledger_statevalue (name, value, checksum) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, checksum = excluded.checksum"
)
# The record of a sequence is deleted when a stable checkpoint covers it (R24). A record that binds the
# replica to a view has no sequence and is deleted when a higher view was entered, never before (R29).
DROP_SLOTS = (
    "DELETE FROM ledger_protocolrecord WHERE sequence <= ?"
    " AND phase IN ('pre_prepare', 'prepare', 'commit', 'prepared', 'checkpoint', 'append')"
)
DROP_VIEWS = (
    "DELETE FROM ledger_protocolrecord WHERE phase IN ('view_change', 'new_view', 'view')"
    " AND (epoch < ? OR (epoch = ? AND view < ?))"
)
ARCHIVE_VIEWS = (
    "INSERT INTO ledger_viewarchive (id, epoch, view, frames) SELECT id, epoch, view, frames"
    " FROM ledger_protocolrecord WHERE phase = 'new_view' AND (epoch < ? OR (epoch = ? AND view < ?))"
    " ON CONFLICT (id) DO NOTHING"
)
"""Copies what DROP_VIEWS deletes and an auditor may need; runs before it, with the same parameters."""
TRIM_VIEWS = (
    "DELETE FROM ledger_viewarchive WHERE id NOT IN"
    " (SELECT id FROM ledger_viewarchive ORDER BY id DESC LIMIT ?)"
)
INSERT_EVIDENCE = (
    "INSERT INTO ledger_evidence (code, epoch, member, view, sequence, frames, timestamp, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (member, epoch, code, view, sequence) DO NOTHING"
)
TRIM_EVIDENCE = (
    "DELETE FROM ledger_evidence WHERE epoch = ? AND member = ? AND id NOT IN"
    " (SELECT id FROM ledger_evidence WHERE epoch = ? AND member = ? ORDER BY id LIMIT ?)"
    " AND (id NOT IN (SELECT id FROM ledger_evidence WHERE epoch = ? AND member = ? ORDER BY id LIMIT ?)"
    " OR id NOT IN (SELECT id FROM ledger_evidence ORDER BY id LIMIT ?))"
)
"""Evidence is bounded per epoch and member, since a member index belongs to another member in another epoch:
a removed member must not use up the quota of its successor. The first few pieces against each always stay,
and more up to the bound per member and the total bound."""
DROP_BODIES = "DELETE FROM ledger_batchbody WHERE id = ?"

TICKET_COLUMNS = (
    "event, ticket_id, state, validator, timestamp, sequence, gate, device, product, seat, blocked,"
    " row, checksum"
)
UPSERT_TICKET = (
    f"INSERT INTO ledger_ticket ({TICKET_COLUMNS})"  # noqa: S608 - constants only
    f" VALUES ({', '.join('?' * 13)}) ON CONFLICT (event, ticket_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in TICKET_COLUMNS.split(", ")[2:])
)
UPSERT_TICKET_BYTES = (
    "INSERT INTO ledger_ticket (id, event, ticket_id, state, row, checksum) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET state = excluded.state, row = excluded.row,"
    " checksum = excluded.checksum"
)
"""Upsert on a node: the ticket is found by number, which is the primary key; without counters."""
UPSERT_CODE = (
    "INSERT INTO ledger_ticketcode (event, digest, ticket_id, revoked) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (event, digest) DO UPDATE SET revoked = excluded.revoked"
    " WHERE ledger_ticketcode.revoked <> excluded.revoked"
)
"""A code stays that of its ticket, so most changes of a ticket leave its codes unwritten."""
UPSERT_STATE_ROW = (
    "INSERT INTO ledger_staterow (key, row, checksum) VALUES (?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET row = excluded.row, checksum = excluded.checksum"
)
DROP_STATE_ROW = "DELETE FROM ledger_staterow WHERE key = ?"
ADD_TO_COUNTER = (
    "INSERT INTO ledger_counter (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = ledger_counter.value + excluded.value"
)

INDEX_STATES = "CREATE INDEX IF NOT EXISTS tickets_by_state ON ledger_ticket (state, event, ticket_id)"
"""Created only if tickets are searched: it doubles the cost of a changed ticket."""
INDEX_BLOCKED = "CREATE INDEX IF NOT EXISTS tickets_blocked ON ledger_ticket (event, ticket_id) WHERE blocked"
"""For lists and counts of blocked tickets, which are few."""
INDEX_KINDS = "CREATE INDEX IF NOT EXISTS operations_by_kind ON ledger_operationrecord (operation, id)"
"""Index for lists of one kind, whose rows may come after a million others; the table is empty if operations
are not searched."""
UNINDEX_STATES = "DROP INDEX IF EXISTS tickets_by_state"
