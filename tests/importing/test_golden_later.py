"""What is said of a later file beside the network: every kind of difference, in words and as what is ordered.

A network of tickets, each in another state, meets a file that says something else of each of them. Told are
the rows that are new, the same or unclear, each difference with all its fields, its words with and without
the person, the operations that settle it, and what of a confirmation still holds after the network went on.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Block, ChangeTicket, ImportEntry, Replace, reasons
from tests.golden import Compare
from tests.importing.networks import PlainNetwork, digest
from tests.importing.telling import each, section, told
from tests.importing.test_comparing import COLUMNS, DAY, cancelled, file, ticket
from tickets.importing.differences import (
    KINDS,
    Difference,
    Differences,
    FieldChange,
    StoredTicket,
    chosen,
    is_done,
    key_of_new,
    not_ordered,
    requests_of,
    sentence,
)
from tickets.importing.imported import Holder
from tickets.importing.shown import Confirmed
from tickets.importing.standing import changed_since, standing, unconfirmed
from tickets.models import ShownDifference

GOLDEN = Path(__file__).parent / "golden"
BERLIN = ZoneInfo("Europe/Berlin")
ADA = Holder("Ada", "ada@example.org", "+1", "Engines", "Main 1, Rome")
READ = COLUMNS | {"quantity": ["admits"], "phone": ["phone"], "company": ["firm"], "street": ["street"]}


def stored(number: int, **fields: Any) -> StoredTicket:
    """A ticket of the network that an earlier file of this source brought."""
    known: dict[str, Any] = {
        "event": "fest",
        "ticket_id": f"T-{number}",
        "product": "Day",
        "seat": f"A{number}",
        "codes": (digest(f"C-{number}"),),
        "holder": ADA,
        "order": f"R-{number}",
        "of_source": True,
    }
    return StoredTicket(**(known | fields))


def row(number: int, **fields: Any) -> Any:
    """The row of such a ticket, as it is stored."""
    known = {"seat": f"A{number}", "holder": ADA, "order": f"R-{number}"}
    return ticket(number, **(known | fields))


STORED = (
    stored(1),
    stored(2, not_before=DAY, not_after=9 * DAY),
    stored(3, state="CONSUMED"),
    stored(4, blocked=True, block_reason="lost"),
    stored(5, state="DISPUTED"),
    stored(6, erased=True, holder=Holder(), order=""),
    stored(7, revoked=(digest("X-7"),)),
    stored(8, entries=3, entries_made=1, state="VALIDATED"),
    stored(9, entries=2),
    stored(10),
    stored(11),
    stored(12, codes=(digest("C-12"), digest("D-12"))),
    stored(13, revoked=tuple(digest(f"old {number}") for number in range(31))),
    stored(14, of_source=False),
    stored(15, blocked=True, block_reason=""),
    stored(16),
    stored(17, codes=(), ticket_id="C-17"),
    stored(18, event="gala", codes=(digest("C-18"),)),
)
LATER = (
    row(1, seat="B1", product="Night", holder=Holder("Ada King", "", "+2", "", "Way 2"), order=""),
    row(2, not_before=10 * DAY, not_after=8 * DAY, seat=""),
    row(3, seat="B3", holder=Holder("Bo"), codes=("N-3",), entered=True),
    row(4, seat="B4"),
    row(5, entered=True, entered_at=3 * DAY, blocked=True, block_reason="stolen"),
    row(6, holder=Holder("Eve"), order="R-6"),
    row(7, codes=("X-7",)),
    row(8, entries=3, entered=True),
    row(9, entries=2, entered=True, entered_at=2 * DAY, gate="n", device="d1"),
    cancelled(10, seat="A10", holder=ADA),
    cancelled(11, codes=("C-11",)),
    row(12, codes=("C-12", "E-12")),
    row(13, codes=("N-13",)),
    row(14, codes=("N-14",)),
    row(15, not_after=2 * DAY, entries=4),
    row(19, ticket_id="C-1", codes=("C-1", "C-2")),
    row(20, codes=("C-12",)),
    row(21, holder=Holder("Ida")),
    row(22, event="gala", ticket_id="T-18", codes=("C-18",), seat="A18", order="R-18"),
    row(17, ticket_id="T-99", codes=("C-17",)),
)


def told_differences(found: Differences) -> str:
    """All that a comparison found."""
    lines = [section("same", found.same), section("counts", found.counts())]
    matched = {" ".join(place): name for place, name in found.matched.items()}
    lines += [section("matched", matched), each("new", found.new), each("unclear", found.unclear)]
    for name in ("found", "unchanged", "gone"):
        lines.append(f"{name}:")
        for one in getattr(found, name):
            lines.append(told(one, indent=2))
            lines += [f"    {sentence(one, BERLIN, personal=personal)}" for personal in (True, False)]
    for one, request in requests_of(found.orderable()):
        lines.append(f"ordered for row {one.row}: {told_request(request)}")
    return "\n".join(lines)


def told_request(request: Request) -> str:
    """An operation as it is sent."""
    texts = f" texts {request.texts}" if request.texts else ""
    return (
        f"{type(request.command).__name__} {told(request.command)} of {request.event}/{request.ticket}{texts}"
    )


def test_the_story_of_every_difference(golden: Compare) -> None:
    lines = []
    for by_id in (False, True):
        network = PlainNetwork(*STORED, ids_are_codes=by_id)
        lines += ["", f"# Compared, ids are {'' if by_id else 'no '}codes", ""]
        lines.append(told_differences(network.compare(file(*LATER, read=READ))))
    lines += ["", "# Of a file that has codes alone", ""]
    lines.append(told_differences(PlainNetwork(*STORED).compare(file(*LATER, read={"code": ["code"]}))))
    golden(GOLDEN / "later-differences.txt", "\n".join(lines).strip() + "\n")


def test_the_story_of_what_holds_of_a_confirmation(golden: Compare) -> None:
    plan = file(*(row(number, seat=f"B{number}", entered=number == 4) for number in range(1, 8)), read=READ)
    network = PlainNetwork(*(stored(number) for number in range(1, 6)))
    shown = network.compare(plan)
    keys = {f"{one.kind} {one.ticket_id}": one.key for one in shown.orderable()}
    keys |= {f"new {one.ticket_id}": key_of_new(one) for one in shown.new}
    confirmed = Confirmed(
        {keys[name] for name in ("change T-1", "change T-2", "entry T-4", "change T-5", "new T-6")},
        {keys[name] for name in ("change T-3", "change T-4", "new T-7")},
        Counter(change=2),
    )
    changed: dict[str, dict[str, Any]] = {
        "T-1": {"seat": "Z1"},
        "T-2": {"seat": "B2"},
        "T-5": {"state": "CONSUMED"},
        "T-3": {"blocked": True},
    }
    for name, fields in changed.items():
        network.tickets["fest", name] = msgspec.structs.replace(network.tickets["fest", name], **fields)
    now = network.compare(plan)
    held = standing(plan, now, confirmed)
    rows = [
        ShownDifference(
            kind="change", key=keys[f"change {name}"], row=number, event="fest", ticket=name, words=""
        )
        for number, name in ((2, "T-1"), (3, "T-2"), (6, "T-5"))
    ]
    wrong, settled = changed_since(
        held, now, lambda _keys: rows, lambda one: sentence(one, BERLIN, personal=False)
    )
    names = {key: name for name, key in keys.items()}
    lines = [
        section("keys", keys),
        section("fresh", [one.ticket_id for one in held.fresh.values()]),
        each("wanted", held.wanted),
        section("missing", sorted(names[key] for key in held.missing)),
        each("left", held.left),
        section("left new", [one.ticket_id for one in held.left_new]),
        each("unseen", held.unseen),
        section("counts left", dict(held.counts_left())),
        each("not ordered", not_ordered(held.counts_left())),
        each("unconfirmed", unconfirmed(held, lambda one: sentence(one, BERLIN))),
        each("changed since", wrong),
        section("settled", {names[key]: kind for key, kind in settled.items()}),
        each("chosen by kind", chosen(now, ["entry"])),
    ]
    golden(GOLDEN / "later-standing.txt", "\n".join(lines) + "\n")


def test_the_story_of_keys_and_of_what_is_done(golden: Compare) -> None:
    """A key names exactly what is shown: each field of a difference, but not for whom it is."""
    base = Difference(kind="change", row=2, event="fest", ticket_id="T-1")
    others: list[dict[str, Any]] = [
        {},
        {"about": ("Ada",)},
        {"row": 3},
        {"why": "x"},
        {"codes": ("C",)},
        {"kind": "block"},
        {"event": "gala"},
        {"ticket_id": "T-2"},
        {"fields": (FieldChange("seat", "A", "B"),)},
        {"fields": (FieldChange("seat", "B", "A"),)},
        {"digests": (bytes(32),)},
        {"before": (bytes(32),)},
        {"reason": "lost"},
        {"at": DAY},
        {"gate": "n"},
        {"device": "n"},
        {"entries": 2},
    ]
    lines = [f"{told(fields)}: {msgspec.structs.replace(base, **fields).key}" for fields in others]
    for fields in (
        {},
        {"seat": "B"},
        {"entered": True},
        {"entries": 2},
        {"codes": ("D",)},
        {"event": "gala"},
    ):
        lines.append(f"new {told(fields)}: {key_of_new(ticket(1, **fields))}")
    commands = (Block("x"), ImportEntry(), ChangeTicket(seat="A"), Replace((bytes(32),)))
    codes = (
        reasons.OK,
        reasons.ALREADY_BLOCKED,
        reasons.ALREADY_CONSUMED,
        reasons.BARCODE_TAKEN,
        "unavailable",
    )
    for command in commands:
        done = [code for code in codes if is_done(Decision(Request(command, "T-1", "fest"), Result(code)))]
        lines.append(f"{type(command).__name__} is done by {', '.join(done)}")
    for count in (1, 2):
        lines += not_ordered(dict.fromkeys([*KINDS, "new"], count))
    golden(GOLDEN / "later-keys.txt", "\n".join(lines) + "\n")
