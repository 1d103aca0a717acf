"""Simulates the gates of an event against a running network, and proves the outcome.

foretelling  what each code would be answered now, asked without admitting anybody
plan         which gate scans which code when: each once, some again, some at two gates at once
gates        scan over REST with nonces, and go on asking until the network has decided
proof        from the record of all scans alone: was every ticket admitted exactly once?
rehearsal    tickets of its own
steps        a day from a file: entries, exits, annulments and forced entries on lists, summed up
"""

from tickets.scanning.foretelling import Foretold, foretell
from tickets.scanning.gates import Asked, play
from tickets.scanning.plan import Plan, Scan, make_plan
from tickets.scanning.proof import Outcome, Verdict, prove

__all__ = [
    "Asked",
    "Foretold",
    "Outcome",
    "Plan",
    "Scan",
    "Verdict",
    "foretell",
    "make_plan",
    "play",
    "prove",
]
