"""What the checkers of entries, nonces and locks say to a right history and to wrong ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dtvn.gateway import Result
from dtvn.machine import (
    Acquire,
    Admit,
    Annul,
    CancelLock,
    Command,
    Consume,
    EventList,
    Force,
    ImportEntry,
    Issue,
    Lock,
    Release,
    Renew,
    SetEvent,
    State,
    TicketState,
    Unlock,
)
from dtvn.machine.commands import build
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import RECOVERY
from simulator.checkers.admissions import Admissions
from simulator.checkers.at_most_once import KEPT_AFTER, AtMostOnce
from simulator.checkers.lock_order import LockOrder
from simulator.checkers.never_two_holders import NeverTwoHolders
from simulator.checkers.one_holder import OneHolder
from simulator.checkers.validity import Validity
from tests.golden import Compare
from tests.simulation.stand_ins import StandInHistory, StandInWorld, Story, asked

HERE = Path(__file__).parent / "golden"
MINUTE = 60_000_000
DAY = 1_440 * MINUTE
NOON = 20_000 * DAY + DAY // 2
LATE = NOON + 30 * DAY
CODE, OTHER_CODE = b"1" * 32, b"2" * 32
H1, H2, H3 = b"holder 1", b"holder 2", b"holder 3"


def operation(command: Command, ticket: str = "", **said: Any) -> m.Operation:
    return build(command, ticket=ticket, **{"actor": "anna", "entry": "m0", "valid_until": LATE, **said})


def state(ticket: str, event: str = "default") -> bytes:
    """What an answer shows of a ticket."""
    last = 1, 1, 0, "consume", "gate", "anna", b"", "", "", "", (0,)
    return canonical.encode(TicketState(event, ticket, State.CONSUMED, "m0", *last))


# --- who came in ---------------------------------------------------------------------------------


class Doors:
    """Entries and exits that the log lets happen, one minute after the other."""

    def __init__(self, story: Story, title: str, *lists: EventList, persons: int = 1) -> None:
        story.chapter(title)
        self.story, self.now = story, NOON
        self.admissions = Admissions()
        if lists:
            self.says("the lists", SetEvent(lists=lists))
        self.says("issued", Issue(codes=(CODE,), entries=persons), named="a")

    def says(
        self,
        what: str,
        command: Command,
        ticket: str = "a",
        *,
        later: int = 1,
        principal: str = "gate",
        named: str | None = None,
        **said: Any,
    ) -> None:
        """`named`: the ticket that the operation names itself."""
        self.now += later * MINUTE
        name = named or ("a" if isinstance(command, Consume | ImportEntry) else "")
        done = operation(command, name, **said)
        wrong = self.admissions.happened(principal, done, m.Outcome("ok", state(ticket)), self.now)
        self.story.say(f"{what}: {wrong}")

    def counts(self) -> None:
        self.story.say(f"made: {dict(self.admissions.made)}")


def enters(slug: str = "", code: bytes = CODE, device: str = "d1", kind: Any = "entry") -> Admit:
    return Admit("north", device, code, slug, kind)


def leaves(slug: str = "", device: str = "d1") -> Admit:
    return enters(slug, device=device, kind="exit")


def annuls(device: str = "d1", *, reason: str = "", movement: bytes = b"", slug: str = "") -> Annul:
    return Annul("north", device, CODE, slug, reason, bool(reason), movement)


def tell_main(story: Story) -> None:
    doors = Doors(story, "main, where nothing is said of lists")
    doors.says("consumed", Consume())
    doors.says("consumed again", Consume())
    doors.says("admitted again", enters())
    doors.says("forced in", Force("north", "d1", CODE, "", "why"))
    doors.says("imported", ImportEntry(NOON))
    doors.says("another ticket by the same code", enters(), "b")
    doors.says("another ticket by another code", enters(code=OTHER_CODE), "b")
    doors.says("of another event", enters(), "c", event="gala")
    doors.says("a list that is not there", enters("zone"))
    doors.says("left", leaves())
    doors.says("another kind", Lock("desk", b"h", MINUTE), "")
    doors.counts()


def tell_rules(story: Story) -> None:
    doors = Doors(story, "two persons, returning", EventList("main", returns=True), persons=2)
    for what in ("first", "second", "third"):
        doors.says(what, enters())
    doors.says("one leaves", leaves())
    doors.says("comes back", enters())
    doors.says("imported while nobody may", ImportEntry(NOON))
    for what in ("one leaves", "another", "a third", "a fourth"):
        doors.says(what, leaves())
    doors.counts()
    doors = Doors(story, "daily", EventList("main", rule="daily"), EventList("zone", rule="times", times=2))
    doors.says("today", enters())
    doors.says("today again", enters())
    doors.says("tomorrow", enters(), later=1_440)
    for what in ("first to the zone", "second", "third"):
        doors.says(what, enters("zone"))
    doors.counts()
    doors.says("the lists are other ones", SetEvent(lists=(EventList("main", rule="free"),)))
    doors.says("free", enters())
    doors.says("the zone is gone", enters("zone"))
    doors.says("only a name changes", SetEvent(name="Fair"))
    doors.says("free still", enters())
    doors.counts()


def tell_annulments(story: Story) -> None:
    doors = Doors(story, "annulments")
    doors.says("nothing was done", annuls())
    doors.says("entered", enters(), nonce=b"n1")
    doors.says("of another device", annuls("d2"))
    doors.says("of another movement", annuls(movement=b"n2"))
    doors.says("by another actor", annuls(), actor="otto")
    doors.says("by another principal", annuls(), principal="office")
    doors.says("taken back", annuls(movement=b"n1"))
    doors.says("entered once more", enters())
    doors.says("too late", annuls(), later=16)
    doors.says("a supervisor's", annuls(reason="why"))
    doors.says("entered again", enters())
    doors.says("and again", enters())
    doors.counts()


def test_admissions(golden: Compare) -> None:
    story = Story()
    tell_main(story)
    tell_rules(story)
    tell_annulments(story)
    golden(HERE / "admissions.txt", story.text)


# --- once ----------------------------------------------------------------------------------------


class Once:
    """A checker of an own log."""

    def __init__(self, story: Story, kind: Any, title: str) -> None:
        story.chapter(title)
        self.story = story
        self.world: Any = StandInWorld()
        self.history: Any = StandInHistory(self.world)
        self.checker: Any = kind(self.world) if kind is NeverTwoHolders else kind(self.world, self.history)
        self.now = NOON

    def log(self, what: str, *calls: tuple[m.Operation, str, bytes], later: int = 1, **said: Any) -> None:
        self.now += later
        self.history.batch(self.now, *((done, m.Outcome(code, shown)) for done, code, shown in calls), **said)
        self.reads(what)

    def reads(self, what: str) -> None:
        self.story.hears(what, self.checker.persisted, self.world.nodes["m0"], [])

    def answers(self, what: str, *calls: tuple[m.Operation, Result], name: str = "gate") -> None:
        gateway = SimpleNamespace(name=name, principal=name)
        self.story.hears(what, self.checker.answered, gateway, asked(*calls))


def consumes(ticket: str, nonce: bytes = b"", **said: Any) -> m.Operation:
    return operation(Consume(), ticket, nonce=nonce, **said)


def tell_sessions(story: Story) -> None:
    once = Once(story, AtMostOnce, "at most once: bundles")
    for what, session, number in [
        ("the first of a session", (1, 0), 1),
        ("its second", (1, 0), 2),
        ("another session's first", (1, 1), 1),
        ("its second once more", (1, 0), 2),
        ("opens a session", (0, 0), 1),
        ("opens another one", (0, 0), 1),
    ]:
        done = consumes(f"t{once.history.highest}")
        bundle = m.Bundle(0, "gate", b"client", session, number, 0, (done,))
        once.now += 1
        once.history.bundle(once.now, bundle, ((done, m.Outcome("ok", state(done.ticket))),))
        once.reads(what)


def tell_nonces(story: Story) -> None:
    once = Once(story, AtMostOnce, "at most once: nonces")
    a = consumes("a", b"n1")
    shown = state("a")
    once.log("first", (a, "ok", shown))
    again = consumes("a", b"n1")
    once.log("repeated", (again, "ok", shown))
    once.log("repeated, answered otherwise", (again, "already_consumed", b""))
    once.log("repeated too late", (again, "expired", b""))
    once.log("repeated, busy", (again, "busy", b""))
    body = consumes("b", b"n1")
    once.log("another body", (body, "nonce_reused", b""))
    once.log("another body, executed", (body, "ok", state("b")))
    once.log("another body, refused otherwise", (body, "ticket_not_found", b""))
    once.log("another body, expired", (body, "expired", b""))
    once.log("malformed, by no member", (consumes("b", b"n1", entry="m9"), "malformed", b""))
    once.log("malformed, by a member", (consumes("a", b"n1"), "malformed", b""))
    once.log("another actor", (consumes("c", b"n1", actor="otto"), "ok", state("c")))
    once.log("another principal", (consumes("d", b"n1"), "ok", state("d")), principal="office")
    once.log("entered twice without a nonce", (consumes("a"), "ok", shown))
    once.log("refused first", (consumes("e", b"n2"), "ticket_not_found", b""))
    once.log("then done", (consumes("e", b"n2"), "ok", state("e")))
    for code in ("malformed", "expired", "too_far_ahead", "busy"):
        kept = code.encode()
        once.log(f"{code} first", (consumes("f", kept), code, b""))
        once.log("then done", (consumes(code, kept), "ok", state(code)))


def tell_forgotten_nonces(story: Story) -> None:
    once = Once(story, AtMostOnce, "at most once: forgotten nonces")
    first = operation(Acquire("desk", H1, MINUTE), event="gala", nonce=b"n1", valid_until=NOON + MINUTE)
    second = operation(Release("desk", H1), event="gala", nonce=b"n1")
    once.log("first", (first, "ok", b""))
    once.log("an hour after its end", (second, "lock_held", b""), later=KEPT_AFTER + MINUTE - 1)
    once.log("a microsecond later", (second, "lock_held", b""))
    once.log("the second repeated", (operation(Release("desk", H1), event="gala", nonce=b"n1"), "ok", b""))


def tell_told_entries(story: Story) -> None:
    once = Once(story, AtMostOnce, "at most once: what clients are told")
    entered = operation(enters(), nonce=b"n1")
    told = Result("ok", state("a"), 1, 0)
    once.answers("told before it was made", (entered, told))
    once = Once(story, AtMostOnce, "at most once: what clients are told of an entry")
    once.log("made", (entered, "ok", state("a")))
    once.answers("told", (entered, told))
    once.answers("told again", (entered, told))
    once.answers("told of before, without a state", (entered, Result("ok")))
    once.answers("refused", (operation(enters(), nonce=b"n2"), Result("already_consumed", state("a"))))
    once.answers("an exit", (operation(leaves(), nonce=b"n2"), Result("ok", state("a"), 2)))
    once.answers("taken back", (operation(annuls(), nonce=b"n2"), Result("ok", state("a"), 2)))
    once.answers("another ticket", (consumes("b"), Result("ok", state("b"), 2)))
    once.answers("another nonce", (consumes("a", b"n2"), Result("ok", state("a"), 2)))
    once.answers("a code that opened nothing", (operation(enters(code=OTHER_CODE)), Result("ok")))
    once = Once(story, AtMostOnce, "at most once: answers without nonces")
    once.log("made", (consumes("a"), "ok", state("a")))
    once.answers("told", (consumes("a"), Result("ok", state("a"), 1, 0)))
    once.answers("told of the same place", (consumes("a"), Result("ok", state("a"), 1, 0)))
    once.answers("of another place", (consumes("a"), Result("ok", state("a"), 1, 1)))


def test_at_most_once(golden: Compare) -> None:
    story = Story()
    tell_sessions(story)
    tell_nonces(story)
    tell_forgotten_nonces(story)
    tell_told_entries(story)
    golden(HERE / "at_most_once.txt", story.text)


# --- validity ------------------------------------------------------------------------------------


def test_validity(golden: Compare) -> None:
    story = Story()
    world: Any = StandInWorld()
    grants = SimpleNamespace(name="gate", grants=("all",)), SimpleNamespace(name="guest", grants=())
    world.genesis.principals = grants
    history: Any = StandInHistory(world)
    checker = Validity(world, history)

    def log(what: str, done: m.Operation, code: str = "ok", principal: str = "gate") -> None:
        history.batch(100 + history.highest, (done, m.Outcome(code, b"")), principal=principal)
        story.hears(what, checker.persisted, world.nodes["m0"], [])

    log("in time", consumes("a"))
    log("in its last microsecond", consumes("a", valid_until=101))
    log("late", consumes("a", valid_until=101))
    log("late and refused", consumes("a", valid_until=101), "expired")
    log("a nonce in time", consumes("a", b"n1", valid_until=105))
    log("repeated late", consumes("a", b"n1", valid_until=1))
    log("another actor's late", consumes("a", b"n1", valid_until=1, actor="otto"))
    log("another principal's late", consumes("a", b"n1", valid_until=1), principal="office")
    log("another nonce late", consumes("a", b"n2", valid_until=1))
    log("a guest's", consumes("a"), principal="guest")
    log("a stranger's", consumes("a"), principal="stranger")
    log("a guest's, refused", consumes("a"), "not_permitted", principal="guest")
    for kind in ("open_session", "barrier"):
        log(f"a guest's {kind}", m.Operation(kind, "", "", "anna", "m0", LATE), principal="guest")
    log("nobody recovered", m.Operation("recover", "", "", "", "m0", 0), principal=RECOVERY)
    world.recoveries[history.highest + 1] = {"m1"}
    log("recovered", m.Operation("recover", "", "", "", "m0", 0), principal=RECOVERY)
    golden(HERE / "validity.txt", story.text)


# --- locks ---------------------------------------------------------------------------------------


def row(holder: bytes, token: int, ends: int, principal: str = "gate") -> bytes:
    return canonical.encode(LockRow(principal, holder, token, ends))


def on_lock(command: Command, **said: Any) -> m.Operation:
    return operation(command, event="gala", **said)


def tell_lock_order(story: Story) -> None:
    once = Once(story, LockOrder, "lock order: a lease, a queue, and what is shown")
    lock = on_lock(Lock("desk", H1, 100))
    once.log("granted", (lock, "ok", row(H1, 5, NOON + 101)))
    once.log("prolonged", (lock, "ok", row(H1, 5, NOON + 102)))
    once.log("held by another", (on_lock(Lock("desk", H2, 100)), "lock_held", b""))
    once.log("given twice", (on_lock(Lock("desk", H2, 100)), "ok", row(H2, 6, NOON + 104)))
    once.log("the second waits", (on_lock(Lock("desk", H2, 50, 300)), "lock_waiting", b""))
    once.log("the third waits", (on_lock(Lock("desk", H3, 60, 300)), "lock_waiting", b""))
    once.log("the second asks again", (on_lock(Lock("desk", H2, 70, 300)), "lock_waiting", b""))
    once.log("another principal's holder of that name", (lock, "lock_held", b""), principal="office")
    once.log("renewed by another", (on_lock(Renew("desk", H2, 5, 100)), "stale_lock_token", b""))
    once.log("renewed with another token", (on_lock(Renew("desk", H1, 6, 100)), "stale_lock_token", b""))
    once.log("renewed", (on_lock(Renew("desk", H1, 5, 40)), "ok", row(H1, 5, once.now + 41)))
    once.log("another end is shown", (on_lock(Renew("desk", H1, 5, 40)), "ok", row(H1, 5, NOON)))
    once.log("another token is shown", (on_lock(Renew("desk", H1, 5, 40)), "ok", row(H1, 7, once.now + 41)))
    once.log("no permission", (on_lock(Unlock("desk", H1, 5)), "not_permitted", b""))
    once.log("another kind", (on_lock(Acquire("desk", H2, 100)), "ok", b""))
    once.log("unlocked by another", (on_lock(Unlock("desk", H3, 5)), "stale_lock_token", b""))
    once.log("unlocked", (on_lock(Unlock("desk", H1, 5)), "ok", b""))
    once.log("the third got it", (on_lock(Renew("desk", H3, 6, 40)), "ok", row(H3, 6, once.now + 41)))
    once.log("the second got it", (on_lock(Renew("desk", H2, 6, 40)), "ok", row(H2, 6, once.now + 41)))
    once.log("it ends, the third follows", (on_lock(Lock("desk", H1, 9)), "lock_held", b""), later=42)
    once.log("an old token is shown", (on_lock(Lock("desk", H3, 9)), "ok", row(H3, 6, once.now + 10)))
    once.log("a newer one", (on_lock(Lock("desk", H3, 9)), "ok", row(H3, 7, once.now + 10)))
    once.log("it is free", (on_lock(Lock("desk", H1, 9)), "ok", row(H1, 7, once.now + 20)), later=11)
    once.log("its token rises", (on_lock(Lock("desk", H1, 9)), "ok", row(H1, 8, once.now + 10)))
    story.say(f"{once.checker.granted} granted, {once.checker.handed_on} on, {once.checker.refused} refused")


def tell_waiters(story: Story) -> None:
    once = Once(story, LockOrder, "lock order: who waits no more")
    once.log("granted", (on_lock(Lock("desk", H1, 100)), "ok", row(H1, 5, NOON + 101)))
    once.log("the second waits until NOON + 12", (on_lock(Lock("desk", H2, 50, 10)), "lock_waiting", b""))
    once.log("the third waits", (on_lock(Lock("desk", H3, 60, 500)), "lock_waiting", b""))
    once.log("nothing to give up", (on_lock(CancelLock("desk", H3)), "ok", b""), principal="office")
    once.log("the third gives up", (on_lock(CancelLock("desk", H3)), "ok", b""))
    once.log("the first gives up", (on_lock(CancelLock("desk", H1)), "ok", b""), later=7)
    once.log(
        "the second had waited to the end", (on_lock(Renew("desk", H2, 6, 9)), "ok", row(H2, 6, NOON + 22))
    )
    once.log("the third waits again", (on_lock(Lock("desk", H3, 60, 5)), "lock_waiting", b""))
    once.log("too long", (on_lock(Unlock("desk", H2, 6)), "ok", b""), later=6)
    once.log("nobody has it", (on_lock(Unlock("desk", H3, 9)), "ok", b""))
    once.log("nothing to renew", (on_lock(Renew("desk", H3, 9, 9)), "stale_lock_token", b""))
    once.log("shown without a holder", (on_lock(Unlock("desk", H3, 9)), "ok", row(H3, 9, NOON)))
    once.log("another lock", (on_lock(Lock("door", H3, 9)), "ok", row(H3, 7, once.now + 10)))
    once.log("of another event", (operation(Lock("door", H1, 9)), "ok", row(H1, 8, once.now + 10)))
    once.log("its last microsecond", (on_lock(Lock("door", H1, 9)), "lock_held", b""), later=8)
    once.log("and the next", (on_lock(Lock("door", H1, 9)), "ok", row(H1, 9, once.now + 10)))
    story.say(f"{once.checker.granted} granted, {once.checker.handed_on} on, {once.checker.refused} refused")


def test_lock_order(golden: Compare) -> None:
    story = Story()
    tell_lock_order(story)
    tell_waiters(story)
    golden(HERE / "lock_order.txt", story.text)


def test_one_holder(golden: Compare) -> None:
    story = Story()
    once = Once(story, OneHolder, "one holder")
    first, second = on_lock(Acquire("desk", H1, 10)), on_lock(Acquire("desk", H2, 10))
    once.log("granted", (first, "ok", row(H1, 5, once.now + 11)))
    once.log("held", (second, "lock_held", b""))
    once.log("prolonged", (first, "ok", row(H1, 5, once.now + 11)))
    once.log("refused to its holder", (first, "lock_held", b""))
    once.log("to the holder's name of another principal", (first, "lock_held", b""), principal="office")
    once.log("prolonged with another token", (first, "ok", row(H1, 6, once.now + 11)))
    once.log("given to two", (second, "ok", row(H2, 7, once.now + 11)))
    once.log("a refusal of another kind", (second, "not_permitted", b""))
    once.log("not its holder releases", (on_lock(Release("desk", H2)), "lock_held", b""))
    once.log("its holder releases", (on_lock(Release("desk", H1)), "ok", b""))
    once.log("a token that does not rise", (second, "ok", row(H2, 5, once.now + 11)))
    once.log("in its last microsecond", (first, "lock_held", b""), later=10)
    once.log("afterwards", (first, "ok", row(H1, 8, once.now + 11)))
    once.log("another end", (first, "ok", row(H1, 8, once.now + 12)))
    once.log("another lock", (on_lock(Acquire("door", H2, 10)), "ok", row(H2, 9, once.now + 11)))
    once.log(
        "another lock's token is no higher",
        (on_lock(Acquire("gate", H2, 10)), "ok", row(H2, 9, once.now + 11)),
    )
    once.log("nothing to release", (on_lock(Release("hall", H2)), "ok", b""))
    story.say(f"{once.checker.leases} leases, {once.checker.refused} refused")
    golden(HERE / "one_holder.txt", story.text)


def tell_claims(story: Story) -> None:
    first, second = on_lock(Lock("desk", H1, 100)), on_lock(Lock("desk", H2, 100))

    def told(
        holder: bytes, token: int, at: int, ends: int, code: str = "ok", principal: str = "gate"
    ) -> Result:
        return Result(code, row(holder, token, ends, principal), 1, 0, at)

    def begin(title: str) -> Once:
        once = Once(story, NeverTwoHolders, title)
        once.answers("the first until 20", (first, told(H1, 5, 10, 20)))
        return once

    once = begin("never two holders")
    once.answers("the second from 21", (second, told(H2, 6, 21, 30)))
    once.answers("the same token", (second, told(H2, 5, 21, 30)))
    once.answers("another's lease", (second, told(H1, 6, 21, 30)))
    once.answers("of another principal", (second, told(H2, 6, 21, 30, principal="office")))
    once.answers("a refusal", (second, told(H1, 5, 15, 20, "lock_held")))
    once.answers("success without a state", (second, Result("ok", b"", 1, 0, 15)))
    once.answers("no answer", (second, Result("outcome_unknown")))
    once.answers("another kind", (on_lock(Acquire("desk", H2, 9)), told(H2, 6, 15, 20)))
    once.answers("another lock", (on_lock(Lock("door", H2, 9)), told(H2, 6, 15, 20)))
    once.answers("of another event", (operation(Lock("desk", H2, 9)), told(H2, 6, 15, 20)))
    story.say(f"{once.checker.claims} claims")
    once = begin("the second begins too soon")
    once.answers("the second from 20", (second, told(H2, 6, 20, 30)))
    once = begin("the lease is prolonged in time")
    once.answers("until 40", (on_lock(Renew("desk", H1, 5, 9)), told(H1, 5, 15, 40)))
    once.answers("the second from 30", (second, told(H2, 6, 30, 50)))
    once = begin("the lease is prolonged after the second began")
    once.answers("the second from 30", (second, told(H2, 6, 30, 50)))
    once.answers("until 45", (on_lock(Renew("desk", H1, 5, 9)), told(H1, 5, 35, 45)))
    once = begin("an answer comes late")
    once.answers("the second from 30", (second, told(H2, 6, 35, 50)))
    once.answers("the second already from 18", (second, told(H2, 6, 18, 50)))
    once = begin("a higher token is older")
    once.answers("the second from 1", (second, told(H2, 6, 1, 5)))
    once = begin("a lower token is newer")
    once.answers("the second from 30", (second, told(H2, 4, 30, 50)))
    for what, gives in {
        "unlocked": Unlock("desk", H1, 5),
        "cancelled": CancelLock("desk", H1),
        "another holder unlocks": Unlock("desk", H2, 5),
        "another lock": Unlock("door", H1, 5),
    }.items():
        once = begin(f"given back: {what}")
        once.answers("given back, whatever came of it", (on_lock(gives), Result("outcome_unknown")))
        once.answers("the second from 15", (second, told(H2, 6, 15, 30)))
    once = begin("given back by another gateway's principal")
    once.answers("given back", (on_lock(Unlock("desk", H1, 5)), Result("ok")), name="office")
    once.answers("the second from 15", (second, told(H2, 6, 15, 30)))


def test_never_two_holders(golden: Compare) -> None:
    story = Story()
    tell_claims(story)
    golden(HERE / "never_two_holders.txt", story.text)
