"""A request as handlers see it, the same from Django and from Starlette."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dtvn.api.errors import ApiError
from dtvn.api.queries import read_number
from dtvn.machine import reasons

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
    scopes: frozenset[str] = frozenset()
    """Capabilities of the caller besides reading: a subset of genesis.CAPABILITIES."""
    only_event: str = ""
    """The one event whose tickets the caller may read and change, which requests then need not name; "" for
    all."""
    lists: frozenset[str] = frozenset()
    """Slugs of the lists on which the caller may let in; none: all."""
    products: frozenset[str] = frozenset()
    """Products whose tickets the caller may let in; none: all."""
    person: bool = False
    """Whether a person asks on a page, by a session; a program has its key in the request."""

    def require_list(self, slug: str) -> None:
        """Raise ApiError (403) if the caller may not scan for this list."""
        if self.lists and slug not in self.lists:
            named = ", ".join(sorted(self.lists))
            text = f"This login scans only for {named}, not for the list {slug!r}."
            raise ApiError(403, reasons.NOT_PERMITTED, text)

    def require_product(self, product: str) -> None:
        """Raise ApiError (403) if the caller may not let in tickets of this product."""
        if self.products and product not in self.products:
            named = ", ".join(sorted(self.products))
            text = f"This login takes only tickets of {named}, not of {product or 'no product'}."
            raise ApiError(403, reasons.NOT_PERMITTED, text)

    def require_event(self, event: str) -> None:
        """Raise ApiError (403) if the caller may not read or change tickets of `event`."""
        if self.only_event and event != self.only_event:
            raise ApiError(403, reasons.NOT_PERMITTED, f"This key is only for the event {self.only_event!r}.")

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
