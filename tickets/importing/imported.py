"""What the rows of a file become: tickets, rows left out, wrong rows."""

from __future__ import annotations

import msgspec

EVENT_LENGTH_MAX = 64
LABEL_LENGTH_MAX = 128
"""Longest product and seat in the log, in characters."""


class LeftOut(msgspec.Struct, frozen=True):
    """A well-formed row that becomes no ticket, such as a cancelled one."""

    row: int
    reason: str


class WrongRow(msgspec.Struct, frozen=True):
    """A row that cannot be imported, and why."""

    row: int
    reason: str


class Holder(msgspec.Struct, frozen=True, array_like=True):
    """Personal data of one ticket: never in the log, erasable."""

    name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    address: str = ""

    def __bool__(self) -> bool:
        return any((self.name, self.email, self.phone, self.company, self.address))


class ImportedEvent(msgspec.Struct):
    """An event as a file describes it."""

    slug: str
    name: str = ""
    zone: str = ""
    doors: int = 0
    """Unix microseconds, 0: not said."""
    ids_are_codes: bool = False
    products: dict[str, bool] = {}
    """Product -> whether it is an entrance."""
    whole: bool = True
    """Whether the file says all of it, as our own exports do."""


class ImportedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket in a row. Times are Unix microseconds, 0: no bound."""

    row: int
    ticket_id: str
    """A name for people and programs: not what is printed, unless the person chose so."""
    event: str
    product: str = ""
    seat: str = ""
    not_before: int = 0
    not_after: int = 0
    holder: Holder = Holder()
    order: str = ""
    """The seller's order number: kept with the holder, outside the log and its commitment."""
    codes: tuple[str, ...] = ()
    """What a scanner reads, normalised; () where ids are codes."""
    entries: int = 1
    """How many persons it admits."""
    entered: bool = False
    """Whether its guests have entered already, elsewhere."""
    made: int = 0
    """How many entries of theirs there were; 0: one for each person."""
    entered_at: int = 0
    """The source's time of that entry; 0: unknown."""
    gate: str = ""
    """Gate and device of that entry."""
    device: str = ""
    revoked: tuple[str, ...] = ()
    """Codes that were replaced, in that order: they answer `revoked`."""
    blocked: bool = False
    block_reason: str = ""
    admits: bool = True
    """False: the status of its row does not admit; it is blocked, with that status as the reason."""

    @property
    def entries_made(self) -> int:
        """How many entries are recorded for its guests, if they have entered."""
        return self.made or self.entries

    @property
    def needs_operate(self) -> bool:
        """Whether more than its issue is asked for, by steps that may change a ticket which is there
        already: they need the scope `operate`."""
        return bool(self.entered or self.revoked)
