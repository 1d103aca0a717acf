"""The 500 demonstration tickets, byte for byte as the contract defines them."""

from __future__ import annotations

from dtvn.machine.terms import Terms
from dtvn.protocol import canonical

SEED_COUNT = 500
_SECTIONS = ("VIP", "Floor", "Balcony", "General")
_PRICES = ("150.00", "85.00", "65.00", "40.00")


def seed_data(number: int) -> bytes:
    """`Data` of ticket `number`, 1 to SEED_COUNT: compact JSON with its keys in this order."""
    at = number - 1
    return (
        '{"event":"Summer Music Festival 2026","venue":"Grand Arena",'
        f'"section":"{_SECTIONS[at % 4]}","seat":"{_seat(at)}","price":"{_PRICES[at % 4]}",'
        f'"buyer":"buyer_{number:03d}@email.com"}}'
    ).encode("ascii")


def _seat(at: int) -> str:
    return f"{chr(ord('A') + at // 10 % 26)}{at % 10 + 1}"


def _issued(number: int) -> bytes:
    at = number - 1
    return canonical.encode_trimmed(
        Terms(
            product=_SECTIONS[at % 4],
            seat=_seat(at),
            data=seed_data(number),
            metadata=(("source", "seed"),),
        )
    )


SEED_TICKETS: tuple[tuple[str, bytes], ...] = tuple(
    (f"TICKET-{number:03d}", _issued(number)) for number in range(1, SEED_COUNT + 1)
)
"""(ticket id, canonical bytes of its Terms)."""
