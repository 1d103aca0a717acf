"""Simulates the gates of an event against a running network, and proves the outcome.

plan    which gate scans which ticket when: each once, some again, some at two gates at once
gates   scan over REST with nonces, and go on asking until the network has decided
proof   from the record of all scans alone: was every ticket admitted exactly once?
"""

from tickets.scanning.gates import play
from tickets.scanning.plan import Plan, Scan, make_plan
from tickets.scanning.proof import Outcome, Verdict, prove

__all__ = ["Outcome", "Plan", "Scan", "Verdict", "make_plan", "play", "prove"]
