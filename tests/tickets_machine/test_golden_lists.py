"""Lists told whole: entries, exits, annulments and forced entries on each rule, over midnight."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from dtvn.machine import (
    Admit,
    Annul,
    Block,
    Consume,
    Dispute,
    EventList,
    Force,
    ImportEntry,
    Issue,
    SetEvent,
    Validate,
)
from tests.golden import Compare
from tests.tickets_machine.doors import Door
from tests.tickets_machine.lists import DAY, founded
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, START
from tests.tickets_machine.telling import Teller

GOLDEN = Path(__file__).parent / "golden"
MIDNIGHT = (START // DAY + 1) * DAY
"""UTC, after the beginning."""
PRODUCTS = (("Box", True), ("Parking", False), ("Stalls", True))


class Lists(Teller):
    """A teller at a door with lists."""

    def __init__(self) -> None:
        self.door = Door(founded(), created=False)
        super().__init__(self.door)

    def scan(
        self,
        text: str,
        slug: str = "",
        kind: Literal["entry", "exit"] = "entry",
        *,
        device: str = "d1",
        **more: Any,
    ) -> None:
        command = Admit(gate="north", device=device, code=self.door.digest(text), list=slug, kind=kind)
        self.ask(command, event="opera", **{"principal": "scanner"} | more)

    def annul(self, text: str, slug: str = "", *, device: str = "d1", **more: Any) -> None:
        said = {name: more.pop(name) for name in ("reason", "supervised", "movement") if name in more}
        command = Annul(gate="south", device=device, code=self.door.digest(text), list=slug, **said)
        self.ask(command, event="opera", **{"principal": "scanner"} | more)

    def force(self, text: str, slug: str = "", **more: Any) -> None:
        command = Force(
            gate="vip", device="d9", code=self.door.digest(text), list=slug, reason="guest of honour"
        )
        self.ask(command, event="opera", **{"principal": "steward"} | more)

    def lists(self, *lists: EventList) -> None:
        self.ask(SetEvent(products=PRODUCTS, lists=lists), event="opera")

    def issue(self, name: str, **terms: Any) -> None:
        self.ask(Issue(codes=self.door.digests(name.lower()), **terms), name, event="opera")


def test_each_rule_of_lists(golden: Compare) -> None:
    """once, times, free, with returns, exit first, capacity, products and a window."""
    teller = Lists()
    teller.chapter("Lists are written down")
    now = teller.machine.now
    teller.lists(
        EventList("zone", name="Zone", rule="times", times=2, returns=True, capacity=3),
        EventList("bar", name="Bar", rule="free", exit_first=True),
        EventList("park", products=("Box", "Parking")),
        EventList("short", not_before=now + MINUTE, not_after=now + 2 * MINUTE),
    )
    teller.issue("A", product="Stalls")
    teller.issue("B", product="Box", entries=3, seat="box 1")
    teller.issue("C", product="Parking")
    _rules(teller)
    _window(teller, now)
    _who_may_not(teller)
    golden(GOLDEN / "lists.txt", teller.text)


def _rules(teller: Lists) -> None:
    teller.chapter("Entries and exits")
    for slug in ("", "zone", "zone", "zone", "bar", "bar", "park", "nowhere"):
        teller.scan("a", slug)
    teller.restart()
    for slug in ("zone", "zone", "zone", "bar", "bar"):
        teller.scan("a", slug, "exit", device="d2")
    for slug in ("zone", "bar", "zone"):
        teller.scan("a", slug, device="d2")
    for slug in ("", "zone", "", "bar", "bar", "", ""):
        teller.scan("b", slug, entry="node2")
    teller.scan("b", "bar")
    teller.scan("b", "bar")
    teller.scan("b", "", "exit")
    teller.scan("b", "")
    for slug in ("", "park", "zone"):
        teller.scan("c", slug, actor="carl", entry="node3")
    teller.scan("c", "park", "exit")
    teller.scan("c", "", "exit")
    teller.issue("G", product="Stalls")
    teller.issue("H", product="Box")
    for text, kind in (("g", "entry"), ("h", "entry"), ("a", "exit"), ("h", "entry"), ("g", "entry")):
        teller.scan(text, "zone", "exit" if kind == "exit" else "entry")
    teller.restart()
    teller.scan("g", "zone")
    teller.force("g", "zone")


def _window(teller: Lists, began: int) -> None:
    teller.chapter("A list in its window, both ends included")
    for moment in (began + MINUTE - 1, began + MINUTE, began + 2 * MINUTE, began + 2 * MINUTE + 1):
        teller.machine.now = moment - 1
        for text in ("a", "b"):
            teller.scan(text, "short")
    teller.scan("a", "short", "exit")
    teller.force("a", "short")
    teller.force("a", "park")
    teller.force("nobody", "park")
    teller.force("a", "nowhere")


def _who_may_not(teller: Lists) -> None:
    teller.chapter("Who may not, blocked, disputed, by id")
    teller.force("b", "zone", principal="scanner")
    teller.force("b", "zone", principal="gateway")
    teller.annul("b", "zone", principal="reader")
    teller.annul("b", "zone", supervised=True, reason="why not")
    teller.ask(Block(reason="lost"), "B", event="opera")
    teller.scan("b", "bar")
    teller.scan("b", "bar", "exit")
    teller.force("b", "bar")
    teller.annul("b", "bar", actor="anna")
    teller.issue("D")
    teller.ask(Validate(), "D", event="opera")
    teller.ask(Dispute(reason="copied"), "D", event="opera")
    for slug in ("", "bar"):
        teller.scan("d", slug)
        teller.force("d", slug)
        teller.annul("d", slug)
    teller.ask(Issue(), "E", event="opera")
    teller.ask(Admit(code=b"", list="bar", gate="desk"), "E", principal="scanner", event="opera")
    teller.ask(Admit(code=b"", list="bar", gate="desk"), "E", event="opera")
    teller.ask(Admit(code=b"", list="bar", kind="exit", gate="desk"), "E", event="opera", principal="steward")
    teller.ask(Annul(list="bar", gate="desk"), "E", event="opera")
    teller.ask(Annul(list="bar", gate="desk"), "F", event="opera")
    teller.ask(Force(list="bar", reason="by hand"), "E", event="opera")
    teller.ask(Consume(gate="old"), "B", event="opera")
    teller.restart()


def test_what_is_taken_back(golden: Compare) -> None:
    """Annulments: the newest, of the same device and person, within 15 minutes, supervised ones, by nonce."""
    teller = Lists()
    teller.lists(EventList("bar", rule="free"), EventList("main", name="House", rule="times", times=2))
    teller.issue("A", product="Stalls", entries=2)
    teller.chapter("The newest movement is annulled")
    teller.annul("a")
    for number, slug in enumerate(("", "bar", "", "", "", "")):
        teller.scan("a", slug, nonce=b"scan-%d" % number)
    teller.annul("a", device="d2")
    teller.annul("a", actor="berta")
    teller.annul("a", principal="gateway")
    teller.annul("a", movement=b"scan-2")
    teller.annul("a", movement=b"scan-4", nonce=b"undo", entry="node1")
    teller.annul("a", movement=b"scan-4", nonce=b"undo", entry="node2")
    teller.annul("a", movement=b"scan-3", nonce=b"undo")
    teller.restart()
    _supervised(teller)
    _repeats(teller)
    _imports(teller)
    golden(GOLDEN / "annulments.txt", teller.text)


def _supervised(teller: Lists) -> None:
    teller.chapter("Fifteen minutes later, and by a supervisor")
    made = teller.machine.now
    teller.scan("a", "bar", nonce=b"late")
    for later in (15 * MINUTE + 1, 15 * MINUTE + 2):
        teller.machine.now = made + later - 1
        teller.annul("a", "bar", nonce=b"annul-%d" % later)
        teller.scan("a", "bar", actor="x")
        teller.machine.now = made
    teller.scan("a", "bar", actor="otto")
    teller.annul("a", "bar", principal="steward")
    teller.annul("a", "bar", principal="steward", supervised=True, reason="wrong guest", device="d7")
    teller.annul("a", "bar", principal="steward", supervised=True, reason="wrong guest")
    teller.annul("a", "bar", principal="gateway", supervised=True, reason="by admin", actor="z")
    teller.restart()


def _repeats(teller: Lists) -> None:
    teller.chapter("Late retries, when nonces are forgotten")
    teller.scan("a", "bar", nonce=b"n1", actor="rosa")
    teller.force("a", "bar", nonce=b"n2", actor="rosa")
    teller.annul("a", "bar", nonce=b"n3", actor="rosa", principal="steward", device="d9")
    teller.machine.now += 3 * HOUR
    teller.scan("a", "bar", nonce=b"n1", actor="rosa")
    teller.scan("a", "bar", nonce=b"n1", actor="rosa", device="d2")
    teller.scan("a", "bar", "exit", nonce=b"n1", actor="rosa")
    teller.scan("a", "", nonce=b"n1", actor="rosa")
    teller.force("a", "bar", nonce=b"n2", actor="rosa")
    teller.force("a", "", nonce=b"n2", actor="rosa")
    teller.annul("a", "bar", nonce=b"n3", actor="rosa", principal="steward", device="d9")
    for number in range(18):
        teller.scan("a", "bar", "entry" if number % 3 else "exit", nonce=b"many-%d" % number, actor="rosa")
    teller.machine.now += 3 * HOUR
    teller.scan("a", "bar", nonce=b"n1", actor="rosa")
    teller.restart()


def _imports(teller: Lists) -> None:
    teller.chapter("Entries that were made elsewhere")
    teller.issue("I", entries=3)
    for number, at in enumerate((START - 5 * MINUTE, 0, START - MINUTE)):
        command = ImportEntry(at=at, gate="tent", device=f"p{number}")
        teller.ask(command, "I", event="opera", nonce=b"import-%d" % number)
    teller.ask(ImportEntry(at=1), "I", event="opera", nonce=b"import-0")
    teller.ask(Consume(gate="desk", device="d4"), "I", event="opera", nonce=b"by hand")
    teller.machine.now += 3 * HOUR
    teller.ask(
        ImportEntry(at=START - MINUTE, gate="tent", device="p2"), "I", event="opera", nonce=b"import-2"
    )
    teller.ask(ImportEntry(at=START, gate="tent", device="p2"), "I", event="opera", nonce=b"import-2")
    teller.ask(ImportEntry(at=7, gate="tent", device="p0"), "I", event="opera", nonce=b"import-0")
    teller.ask(Consume(gate="desk", device="d4"), "I", event="opera", nonce=b"by hand")
    teller.ask(Consume(gate="desk", device="d5"), "I", event="opera", nonce=b"by hand")
    teller.issue("J")
    teller.ask(ImportEntry(at=START - 9, gate="tent", device="p"), "J", event="opera", nonce=b"j")
    teller.scan("j", "bar")
    teller.scan("j")
    teller.annul("j", device="p", principal="gateway")
    teller.scan("j")
    teller.restart()


def test_days(golden: Compare) -> None:
    """A daily list over midnight, in a zone whose offset changes, and after the list itself changed."""
    teller = Lists()
    teller.machine.now = MIDNIGHT - 10 * SECOND
    teller.lists(EventList("day", rule="daily", returns=True, capacity=2), EventList("main", rule="daily"))
    teller.issue("A")
    teller.issue("B", entries=2)
    _evening(teller)
    _next_day(teller)
    _other_offsets(teller)
    golden(GOLDEN / "days.txt", teller.text)


def _evening(teller: Lists) -> None:
    teller.chapter("Before midnight")
    for text in ("a", "a", "b", "b"):
        teller.scan(text, "day", nonce=text.encode())
    teller.scan("a")
    teller.scan("a")
    teller.scan("b", "day", "exit")
    teller.scan("b", "day")
    teller.ask(ImportEntry(at=MIDNIGHT - DAY, gate="g", device="p"), "B", event="opera")
    teller.restart()


def _next_day(teller: Lists) -> None:
    teller.chapter("Across midnight")
    for moment in (MIDNIGHT - 1, MIDNIGHT):
        teller.machine.now = moment - 1
        teller.scan("a", "day", entry="node1")
        teller.machine.now = moment - 1
        teller.scan("a")
    teller.scan("b", "day", "exit")
    teller.scan("a", "day", "exit")
    teller.scan("b", "day", actor="ulla")
    teller.scan("b", "day")
    teller.annul("b", "day", actor="ulla")
    teller.annul("b", "day")
    teller.annul("a")
    teller.restart()


def _other_offsets(teller: Lists) -> None:
    teller.chapter("The list gets the offsets of a zone, and is then no daily list any more")
    offsets = ((MIDNIGHT - 2 * DAY, 7_200), (MIDNIGHT + DAY, 3_600))
    teller.lists(EventList("day", rule="daily", returns=True, capacity=3, offsets=offsets))
    for text in ("a", "b", "b"):
        teller.scan(text, "day")
    for moment in (MIDNIGHT + DAY - 2 * HOUR, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY - HOUR):
        for near in (-1, 0):
            teller.machine.now = moment + near - 1
            teller.scan("a", "day")
            teller.scan("b", "day", "exit")
    teller.restart()
    teller.lists(EventList("day", rule="times", times=9, capacity=40))
    teller.scan("a", "day")
    teller.scan("b", "day", "exit")
    teller.lists(EventList("day", rule="daily", offsets=((1, -43_200),)))
    teller.scan("a", "day")
    teller.lists()
    teller.scan("a", "day")
    teller.annul("a", "day")
    teller.restart()
