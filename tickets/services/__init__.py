"""Ticket services of the platform: operations through its own gateway, reads, certificates, the epoch chain.

No service writes a table: the learner's rows follow the log (R28).
"""

from dtvn.api.errors import InvalidRequest, OutcomeUnknown, Refused, TicketError, Unavailable
from dtvn.api.ordering import BATCH_OPERATIONS_MAX, Decision, Request
from tickets.services.decide import batch, decide, decide_one

__all__ = [
    "BATCH_OPERATIONS_MAX",
    "Decision",
    "InvalidRequest",
    "OutcomeUnknown",
    "Refused",
    "Request",
    "TicketError",
    "Unavailable",
    "batch",
    "decide",
    "decide_one",
]
