"""Causes for which a replica suspects its view: the reason in a SUSPECT, in notes and in log lines (R29)."""

from __future__ import annotations

AMPLIFIED = "joined"
"""Cause of a replica that suspects only because enough other members do. Its SUSPECT counts for leaving, not
for joining."""
SILENT = "silent_primary"
"""No message of the primary arrived for T."""
NO_PROGRESS = "no_progress"
"""A request or a proposal waited for T, and no sequence was executed (R30)."""
NO_NEW_VIEW = "no_new_view"
"""A quorum is bound to the view being entered, and its NEW-VIEW did not arrive within T."""
BAD_NEW_VIEW = "bad_new_view"
"""The NEW-VIEW of the view being entered does not follow from its VIEW-CHANGEs."""
RETURNING = "returning_member"
"""A member waits for a higher view to vote again (R11)."""
SLOW = "slow_primary"
"""The primary proposes too few requests, or proposes them too late (R32)."""
HOLDS_TIME = "primary_holds_time"
"""q members say that the primary dates its proposals too far behind their clocks (R3)."""
UNFAIR = "unfair_primary"
"""The primary let too many later requests overtake the oldest one (R30)."""
