"""What a caller may do, and at which events: the union of what its teams grant.

The one place that answers "may this caller do this at that event". Refusals name what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from dtvn.api.errors import ApiError
from dtvn.machine import reasons

READ = ""
"""The right to read, which every grant includes."""
NAMED_MAX = 5
"""Most events that a refusal names."""


class Grant(msgspec.Struct, frozen=True):
    """What one team may do."""

    rights: frozenset[str]
    """Besides reading: capabilities of genesis, and rights of the platform's own."""
    events: frozenset[str] | None = None
    """Names of the only events that it is for; None: all."""
    lists: frozenset[str] = frozenset()
    """Slugs of the only lists on which it lets in; none: all."""
    products: frozenset[str] = frozenset()
    """The only products whose tickets it lets in; none: all."""

    def covers(self, event: str | None, right: str = READ) -> bool:
        """Whether it grants `right` at `event`; None: at all events."""
        if right != READ and right not in self.rights:
            return False
        return self.events is None or event in self.events


class Rights(msgspec.Struct, frozen=True):
    """The grants of one caller."""

    grants: tuple[Grant, ...] = ()

    def may(self, right: str, event: str | None) -> bool:
        """Whether the caller has `right` (READ: may read) at `event`; None: at all events."""
        return any(each.covers(event, right) for each in self.grants)

    def may_any(self, rights: Collection[str], event: str | None) -> bool:
        """Whether the caller has any of these rights at `event`; None: at all events."""
        return any(self.may(right, event) for right in rights)

    def has(self, *rights: str) -> bool:
        """Whether the caller has any of these rights (READ: may read) at some event."""
        return any(right == READ or right in each.rights for each in self.grants for right in rights)

    def events(self, right: str = READ) -> frozenset[str] | None:
        """The events at which the caller has `right`; None: all."""
        named: frozenset[str] = frozenset()
        for each in self.grants:
            if right == READ or right in each.rights:
                if each.events is None:
                    return None
                named |= each.events
        return named

    def seen(self, events: Iterable[str], right: str = READ) -> list[str]:
        """Those of `events` at which the caller has `right`, in their order."""
        allowed = self.events(right)
        return [event for event in events if allowed is None or event in allowed]

    @property
    def only_event(self) -> str:
        """The one event that the caller is for, which requests then need not name; "" for several or all."""
        allowed = self.events()
        return next(iter(allowed)) if allowed is not None and len(allowed) == 1 else ""

    def at(self, event: str) -> frozenset[str]:
        """All rights that the caller has at `event`."""
        return frozenset[str]().union(*(each.rights for each in self.grants if each.covers(event)))

    def lists(self, right: str, event: str) -> frozenset[str]:
        """Slugs of the only lists on which the caller may use a right that it has at `event`; none: all."""
        return _together(each.lists for each in self._granting(right, event))

    def products(self, right: str, event: str, slug: str = "") -> frozenset[str]:
        """The only products for whose tickets the caller may do so, on the list `slug` ("": on any); none:
        all."""
        return _together(each.products for each in self._granting(right, event, slug))

    def takes(self, right: str, event: str, slug: str, product: str | None = None) -> bool:
        """Whether the caller may use `right` on the list `slug`, for a ticket of `product` (None: of any that
        one of its teams takes)."""
        granting = self._granting(right, event, slug)
        return any(product is None or not each.products or product in each.products for each in granting)

    def _granting(self, right: str, event: str, slug: str = "") -> list[Grant]:
        """The grants of `right` at `event`, on the list `slug`; "": on any."""
        at = (each for each in self.grants if each.covers(event, right))
        return [each for each in at if not slug or not each.lists or slug in each.lists]

    def includes(self, grant: Grant, event: str) -> bool:
        """Whether the caller may do all that `grant` allows at `event`, so that it may be given away."""

        def within(limit: frozenset[str], wanted: frozenset[str]) -> bool:
            return not limit or (bool(wanted) and wanted <= limit)

        return all(
            any(
                each.covers(event, right)
                and within(each.lists, grant.lists)
                and within(each.products, grant.products)
                for each in self.grants
            )
            for right in grant.rights
        )

    def require(self, right: str, event: str | None) -> None:
        """Raise ApiError (403) unless the caller has `right` at `event`; None: at all events."""
        if not self.may(right, event):
            raise ApiError(403, reasons.NOT_PERMITTED, self._missing(right, event))

    def _missing(self, right: str, event: str | None) -> str:
        if right != READ and not self.has(right):
            return f"This needs the scope {right!r}."
        if event is None or not self.may(READ, event):
            return f"This login is only for {self.words()}."
        return f"At the event {event!r} this needs the scope {right!r}."

    def words(self) -> str:
        """The events that the caller is for."""
        allowed = self.events()
        if allowed is None:
            return "all events"
        if not allowed:
            return "no event"
        names = [repr(event) for event in sorted(allowed)[:NAMED_MAX]]
        more = len(allowed) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        return f"the event {listed}" if len(allowed) == 1 else f"the events {listed}"

    def require_list(self, right: str, event: str, slug: str) -> None:
        """Raise ApiError (403) if the caller may not scan for this list."""
        if not self.takes(right, event, slug):
            named = ", ".join(sorted(self.lists(right, event)))
            text = f"This login scans only for {named}, not for the list {slug!r}."
            raise ApiError(403, reasons.NOT_PERMITTED, text)

    def require_product(self, right: str, event: str, slug: str, product: str) -> None:
        """Raise ApiError (403) if the caller may not let in tickets of this product on this list."""
        if not self.takes(right, event, slug, product):
            named = ", ".join(sorted(self.products(right, event)))
            text = f"This login takes only tickets of {named}, not of {product or 'no product'}."
            raise ApiError(403, reasons.NOT_PERMITTED, text)


def _together(limits: Iterable[frozenset[str]]) -> frozenset[str]:
    """What grants with these limits allow together; none: no limit."""
    every = list(limits)
    return frozenset[str]().union(*every) if all(every) else frozenset()


NONE = Rights()
