"""Events of tickets: created and changed, listed and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import nonce_of
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest
from dtvn.api.queries import next_link, read_limit
from dtvn.api.rights import READ
from dtvn.machine import CAPABILITY, reasons
from dtvn.machine.bodies import (
    PRINTABLE,
    SECONDS_MAX,
    Flag,
    Label,
    ListName,
    NonceBody,
    Seconds,
    window_end,
)
from dtvn.machine.events import PRODUCTS_MAX
from dtvn.machine.fields import LABEL_LENGTH_MAX, MICROSECONDS, ZONE_LENGTH_MAX, is_name
from dtvn.machine.lists import CAPACITY_MAX, ENTRIES_MAX, LIST_PRODUCTS_MAX, LISTS_MAX, EventList, Rule
from dtvn.machine.rows import EventRow
from dtvn.protocol import canonical
from tickets.services import events
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.rest.http import OWN_WRITES_WAIT, own_writes

SLUG_LENGTH_MAX = 64
SLUG_FORM = "1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first"


Products = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_LENGTH_MAX, pattern=PRINTABLE)]],
    msgspec.Meta(max_length=LIST_PRODUCTS_MAX),
]
"""Names of products."""
When = Annotated[
    Seconds | Annotated[str, msgspec.Meta(max_length=40, extra_json_schema={"format": "date-time"})],
    msgspec.Meta(description="Unix seconds, 0 for none, or an RFC 3339 time with its offset"),
]


class ProductBody(msgspec.Struct, frozen=True):
    """A product of an event."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_LENGTH_MAX, pattern=PRINTABLE)]
    admits: bool


class ListBody(msgspec.Struct, frozen=True, kw_only=True):
    """A list of an event: what is entered, and how often a ticket may."""

    list: ListName
    name: Label = ""
    products: Products | None = None
    """None: all that admit."""
    not_before: When | None = None
    not_after: When | None = None
    """Through its whole second."""
    rule: Rule = "once"
    times: Annotated[int, msgspec.Meta(ge=0, le=ENTRIES_MAX)] = 0
    """How often, for the rule `times`."""
    returns: bool = False
    """Whether an exit gives the entry back."""
    exit_first: bool = False
    """Whether nobody enters again before an exit."""
    capacity: Annotated[int, msgspec.Meta(ge=0, le=CAPACITY_MAX)] = 0
    """Most persons inside; 0: no limit."""

    def ordered(self) -> EventList:
        """The list as the log has it, without the days of its zone. Raises InvalidRequest."""
        if not is_name(self.list):  # a pattern lets a line feed at the end pass, and no scan could name it
            raise InvalidRequest(f"lists: list must be {SLUG_FORM}")
        where = f"lists: {self.list}: "
        return EventList(
            self.list,
            self.name,
            None if self.products is None else tuple(self.products),
            _microseconds(f"{where}not_before", self.not_before or 0),
            _last_microsecond(f"{where}not_after", self.not_after or 0),
            self.rule,
            self.times,
            self.returns,
            self.exit_first,
            self.capacity,
        )


class EventBody(NonceBody, frozen=True, kw_only=True):
    """Body of PUT /events/{slug}; what is left out stays as it is."""

    name: Label | None = None
    zone: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=ZONE_LENGTH_MAX, description="a time zone's name such as Europe/Berlin, or empty"
            ),
        ]
        | None
    ) = None
    doors: When | None = None
    ids_are_codes: Flag | None = None
    products: (
        Annotated[
            list[ProductBody],
            msgspec.Meta(
                max_length=PRODUCTS_MAX,
                description=f'a list of at most {PRODUCTS_MAX} objects {{"name": a string of 1 to '
                f'{LABEL_LENGTH_MAX} characters, "admits": true or false}}',
            ),
        ]
        | None
    ) = None
    lists: (
        Annotated[
            list[ListBody],
            msgspec.Meta(
                max_length=LISTS_MAX,
                description=f'a list of at most {LISTS_MAX} objects {{"list": a slug, '
                '"rule": "once", "daily", "times" or "free", ...}',
            ),
        ]
        | None
    ) = None
    """All that are written down; `main` is there besides."""


def put_event(call: Call, slug: str, body: EventBody) -> Answer:
    """Create an event or change it; what the body leaves out stays as it is."""
    _require_slug(call, slug, CAPABILITY["set_event"])
    own_writes(call)
    products, removed = None, []
    if body.products is not None:
        products = tuple((product.name, product.admits) for product in body.products)
        removed = events.not_listed(slug, [name for name, _admits in products])
    decision = events.set_event(
        slug,
        actor=call.actor,
        name=body.name,
        zone=body.zone,
        doors=None if body.doors is None else _microseconds("doors", body.doors),
        ids_are_codes=body.ids_are_codes,
        products=products,
        lists=None if body.lists is None else [each.ordered() for each in body.lists],
        nonce=nonce_of(body, call.idempotency_key),
    ).check()
    row = canonical.decode(EventRow, decision.result.state) if decision.result.state else None
    if row is None:  # a repetition
        feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
    found = events.summary_of(slug, row)
    data = msgspec.UNSET if found is None else events.shown(found)
    said = f"Event saved; tickets of products taken off the list do not admit: {', '.join(removed)}"
    return success(said if removed else "Event saved", data, sequence=decision.result.sequence)


def show_event(call: Call, slug: str) -> Answer:
    """Show one event; 404 if it was not created and it holds no tickets."""
    _require_slug(call, slug)
    sequence = own_writes(call)
    found = events.summary_of(slug)
    if found is None:
        reason = reasons.REASONS[reasons.UNKNOWN_EVENT]
        raise ApiError(reason.status, reason.code, reason.sentence)
    return success(data=events.shown(found), sequence=sequence)


def list_events(call: Call) -> Answer:
    """List the events of tickets by ascending slug; `limit`, `after`."""
    limit, after = read_limit(call.query), call.query.get("after")
    if after is not None and not is_name(after):
        raise InvalidRequest("after must be an event's slug")
    sequence = own_writes(call)
    every = read.summarise_events(LEARNER_ALIAS)
    found = [summary for summary in every if call.rights.may(READ, summary.event)]
    page = [summary for summary in found if summary.event > (after or "")][: limit + 1]
    headers = {"X-Total-Count": str(len(found))}
    if len(page) > limit:
        page.pop()
        headers["Link"] = next_link(call.path, call.pairs, page[-1].event)
    return success(data=[events.shown(summary) for summary in page], sequence=sequence, headers=headers)


def _require_slug(call: Call, slug: str, right: str = READ) -> None:
    if not is_name(slug) or len(slug) > SLUG_LENGTH_MAX:
        raise InvalidRequest(f"slug must be {SLUG_FORM}")
    call.rights.require(right, slug)


def _last_microsecond(name: str, given: int | str) -> int:
    """An end as the log has it: through its whole second; 0 is 0."""
    return window_end(_microseconds(name, given) // MICROSECONDS)


def _microseconds(name: str, given: int | str) -> int:
    """A time as the log has it; raises InvalidRequest with the name of its field."""
    if isinstance(given, int):
        return given * MICROSECONDS
    try:
        at = datetime.fromisoformat(given)
        seconds = int(at.astimezone(UTC).timestamp()) if at.tzinfo else -1
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 < seconds <= SECONDS_MAX:
        raise InvalidRequest(f"{name} must be Unix seconds, or an RFC 3339 time with its offset")
    return seconds * MICROSECONDS
