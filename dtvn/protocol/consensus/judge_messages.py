"""Link messages by which members judge agent events, beside consensus. What is in their bodies, and its
version, is the business of dtvn.events.asking."""

from __future__ import annotations

from dtvn.protocol.consensus.fields import Wire


class Judge(Wire, frozen=True):
    """Gateway to one member: questions about agent events."""

    body: bytes


class Judged(Wire, frozen=True):
    """Answer to Judge: votes under one signature, and abstentions. The votes prove themselves; the link only
    says whose they should be."""

    body: bytes
