"""Our own export of tickets, which brings every ticket back into the state it had."""

from tickets.importing.presets.preset import Preset, entry, status
from tickets.importing.words import names

OWN = Preset(
    name="DTVN, tickets",
    needs=(names("event"), names("ticket_id"), names("state"), names("sequence"), names("entry_node")),
    code=names("ticket_id"),
    codes="codes",
    fields={
        "event": names("event"),
        "product": names("product"),
        "seat": names("seat"),
        "quantity": (),
        "entered_at": names("entered_at|changed_at"),
    },
    ids=names("ticket_id"),
    statuses=(status("state", admits="ISSUED|VALIDATED|CONSUMED", refuses="DISPUTED|UPHELD"),),
    entries=(entry("state", entered="CONSUMED", outside="ISSUED|VALIDATED|DISPUTED|UPHELD"),),
    ignored=names("last_operation|revoked"),
    admission="product admits",
    block="blocked",
    block_reason="block reason",
)
ADMISSION = Preset(
    name="DTVN, admission list",
    needs=(names("event"), names("ticket_id"), names("admit"), names("state"), names("admitted_at")),
    lacks="An admission list has no codes: import the export of tickets, or name ids that are codes.",
    codes="codes",
    fields={"event": names("event"), "entered_at": names("admitted_at"), "quantity": ()},
    ids=names("ticket_id"),
    statuses=(status("state", admits="ISSUED|VALIDATED|CONSUMED", refuses="DISPUTED|UPHELD"),),
    entries=(entry("state", entered="CONSUMED", outside="ISSUED|VALIDATED|DISPUTED|UPHELD"),),
    ignored=names("admit|code_sha256"),
    admission="product admits",
    block="blocked",
    block_reason="block reason",
)
