"""Words for people that several packages share."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 ticket`, `1,200 tickets`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
