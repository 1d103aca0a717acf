"""Our own exports of tickets and of the admission list, which importing.own reads as a whole."""

from tickets.importing.presets.preset import Preset
from tickets.importing.words import names

READ = names(
    "event|ticket_id|state|name|company|order|product|seat|valid_from|valid_until|admitted_at|gate|device"
    "|entries|entries_used|blocked|block_reason|dispute_reason|product_admits|ids_are_codes|event_zone|codes|revoked_codes"
)
DERIVED = names(
    "admit|last_operation|changed_at|sequence|entry_node"
    "|kind (of the file)|event (of the file)|sequence (of the file)"
)
"""Columns that follow from the others, or from the log, or say what was exported."""
OWN = Preset(
    name="DTVN, tickets",
    needs=(names("event"), names("ticket_id"), names("state"), names("sequence"), names("entry_node")),
    own=READ,
    ignored=DERIVED,
)
ADMISSION = Preset(
    name="DTVN, admission list",
    needs=(names("event"), names("ticket_id"), names("admit"), names("state"), names("admitted_at")),
    own=READ,
    ignored=DERIVED,
)
