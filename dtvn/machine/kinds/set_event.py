"""set_event: an event is created, or what is said of it is changed (D2)."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import Annotated, ClassVar

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.events import PRODUCTS_MAX
from dtvn.machine.fields import (
    LABEL_LENGTH_MAX,
    ZONE_LENGTH_MAX,
    Command,
    CommandError,
    Label,
    Moment,
    is_text,
    whole,
)
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.lists import LIST_NAME, LISTS_MAX, EventList
from dtvn.machine.ticket import Ticket
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS

ZONE = "^([A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*)?$"
"""Form of a name in the IANA time zone database; the core knows no such names."""
NAMES_BYTES_MAX = 64 * 1024
"""Most bytes of all names of products in one operation, so that a certificate has room for it."""

Product = tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_LENGTH_MAX)], bool]
"""(name, whether a ticket of it admits)."""


class SetEvent(Command, frozen=True):
    """Create an event or change what is said of it; its tickets and the salt of its codes stay. None: as it
    stands in the log, so that nothing is undone that came in between."""

    first_form: ClassVar[int] = 5

    name: Label | None = None
    """Display name; of a new event ""."""
    zone: Annotated[str, msgspec.Meta(pattern=whole(ZONE), max_length=ZONE_LENGTH_MAX)] | None = None
    doors: Moment | None = None
    """When the doors open, Unix microseconds; 0: not said."""
    ids_are_codes: bool | None = None
    """Whether a scanned text may be the id of a ticket; in a new event only if it holds tickets, for which
    that was so."""
    products: Annotated[tuple[Product, ...], msgspec.Meta(max_length=PRODUCTS_MAX)] | None = None
    """Ascending by name, each once; of a new event none. A ticket of another product does not admit."""
    others_stay: bool = False
    """Whether products that are not named stay as they stand in the log; else they are taken off the list."""
    lists: Annotated[tuple[EventList, ...], msgspec.Meta(max_length=LISTS_MAX)] | None = None
    """All that are written down, ascending by slug, each once. Entries that were made on others stay."""


SAID = ("name", "zone", "doors", "ids_are_codes", "products", "lists")
"""Fields of a SetEvent that are fields of its EventRow."""


def check(command: SetEvent) -> None:
    """The products."""
    names = [name for name, _admits in command.products or ()]
    if any(left >= right for left, right in itertools.pairwise(names)):
        raise CommandError("products: names must ascend, each once")
    if not all(map(is_text, names)):
        raise CommandError("products: holds a control character")
    listed = [text for each in command.lists or () for text in (each.name, *(each.products or ()))]
    if sum(len(name.encode("utf-8")) for name in (*names, *listed)) > NAMES_BYTES_MAX:
        raise CommandError(f"products: their names have more than {NAMES_BYTES_MAX} bytes in all")
    slugs = [each.slug for each in command.lists or ()]
    if any(left >= right for left, right in itertools.pairwise(slugs)):
        raise CommandError("lists: slugs must ascend, each once")
    for each in command.lists or ():
        check_list(each)
    if command.others_stay and command.products is None:
        raise CommandError("others_stay: of products that are not given")


def check_list(listed: EventList) -> None:
    """Raises CommandError for a list that breaks a rule which the types of its fields do not state."""
    if re.fullmatch(LIST_NAME, listed.slug) is None:  # the type of a slug lets a last line feed through
        raise CommandError(
            "lists: a slug is 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first"
        )
    products, where = listed.products or (), f"lists: {listed.slug}:"
    if not all(map(is_text, (listed.name, *products))):
        raise CommandError(f"{where} holds a control character")
    if any(left >= right for left, right in itertools.pairwise(products)):
        raise CommandError(f"{where} products must ascend, each once")
    if listed.not_after and listed.not_after < listed.not_before:
        raise CommandError(f"{where} not_after lies before not_before")
    if (listed.rule == "times") != (listed.times > 0):
        raise CommandError(f"{where} times is for the rule times, and needed there")
    if listed.offsets and listed.rule != "daily":
        raise CommandError(f"{where} offsets are for the rule daily")
    moments = [moment for moment, _offset in listed.offsets]
    if any(left >= right for left, right in itertools.pairwise(moments)):
        raise CommandError(f"{where} offsets must ascend by time")


def compose(command: SetEvent) -> dict[str, object]:
    """Products and lists in normal form C, sorted."""
    made: dict[str, object] = {}
    if command.products is not None:
        products = ((unicodedata.normalize("NFC", name), admits) for name, admits in command.products)
        made["products"] = tuple(sorted(products))
    if command.lists is not None:
        made["lists"] = tuple(sorted(map(_composed, command.lists), key=lambda each: each.slug))
    return made


def _composed(listed: EventList) -> EventList:
    products = listed.products
    if products is not None:
        products = tuple(sorted(unicodedata.normalize("NFC", name) for name in products))
    return msgspec.structs.replace(listed, name=unicodedata.normalize("NFC", listed.name), products=products)


def rule(at: Context, operation: Operation, command: SetEvent, ticket: Ticket | None) -> Result:
    """Create the event or change what is said of it."""
    event = operation.event
    present = at.events.row(event)
    if present is None or not present.declared:
        fresh = at.events.fresh(event, at.moment)
        present = msgspec.structs.replace(fresh, ids_are_codes=at.registry.holds(event), declared=True)
    sequence, index, timestamp = at.moment
    changed = {name: said for name in SAID if (said := getattr(command, name)) is not None}
    if command.others_stay:
        changed["products"] = tuple(sorted((dict(present.products) | dict(command.products or ())).items()))
        if len(changed["products"]) > PRODUCTS_MAX:
            return reasons.FULL, b""
    said = msgspec.structs.replace(present, sequence=sequence, index=index, timestamp=timestamp, **changed)
    row = at.events.set(event, said)
    return (reasons.FULL, b"") if row is None else (reasons.OK, canonical.encode_trimmed(row))


KIND = Kind(
    name="set_event",
    command=SetEvent,
    rule=rule,
    since=LISTS,
    capability="issue",
    names="event",
    subject="event",
    check=check,
    compose=compose,
    verb="event saved",
    event_type="event_set",
)
