"""A request as handlers see it, the same from Django and from Starlette."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dtvn.api.queries import read_number
from dtvn.api.rights import NONE, Rights

SEQUENCE_MAX = 2**63 - 1


class Call(msgspec.Struct, frozen=True):
    """One HTTP request, authenticated and of bounded size."""

    path: str
    pairs: tuple[tuple[str, str], ...]
    """Query parameters in order."""
    headers: Mapping[str, str]
    """Header values by name, in any case."""
    body: bytes = b""
    """The request's body; b"" if the handler takes it as a Struct."""
    actor: str = ""
    """The caller's name in the ordered log."""
    rights: Rights = NONE
    gate: str = ""
    """The gate of the caller's scans, whatever they name; "": the one that they name."""
    person: bool = False
    """Whether a person asks on a page, by a session; a program has its key in the request."""

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        return dict(self.pairs)

    @property
    def min_sequence(self) -> int:
        """The sequence that the answer must reflect (R17), 0 if the request names none."""
        named = self.headers.get("X-DTVN-Min-Sequence", "0")
        return read_number("X-DTVN-Min-Sequence", named, 0, SEQUENCE_MAX)

    @property
    def idempotency_key(self) -> str | None:
        """Header Idempotency-Key, decoded as Latin-1."""
        return self.headers.get("Idempotency-Key")
