"""How the histories of clients are read: which calls belong together, when they happened, and what is read
after an answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dtvn.gateway import Result
from dtvn.machine import (
    Admit,
    Annul,
    Command,
    Consume,
    EventList,
    Issue,
    Resolve,
    SetEvent,
    State,
    TicketState,
    Validate,
)
from dtvn.machine.codes import code_digest, default_salt
from dtvn.machine.commands import build
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed
from simulator.checkers import read_your_writes, told_times
from simulator.checkers.linearizable import Linearizable
from simulator.checkers.read_your_writes import RARER, ReadYourWrites
from simulator.checkers.ticket_calls import EVER, Call, parts
from simulator.gateway import Request
from tests.golden import Compare
from tests.simulation.stand_ins import CLUSTER, StandInWorld, Story, entry, word

HERE = Path(__file__).parent / "golden"
ONE, TWO = b"1" * 32, b"2" * 32
MINUTE = 60_000_000
DAY = 1_440 * MINUTE
NOON = 20_000 * DAY + DAY // 2


def operation(command: Command, ticket: str = "", **said: Any) -> m.Operation:
    return build(command, ticket=ticket, **{"actor": "anna", "entry": "m0", "valid_until": NOON, **said})


def state(ticket: str, sequence: int = 1, event: str = "default") -> bytes:
    last = 1, sequence, 0, "consume", "gate", "anna", b"", "", "", "", (0,)
    return canonical.encode(TicketState(event, ticket, State.CONSUMED, "m0", *last))


class Client:
    """A gateway whose calls a test writes down; each takes a moment of the world."""

    def __init__(self, principal: str = "gate") -> None:
        self.principal = self.name = principal
        self.world = SimpleNamespace(cluster=CLUSTER)
        self.requests: list[Request] = []
        self.collector = SimpleNamespace(acknowledged=0)

    def asks(self, at: int, *calls: tuple[m.Operation, Result | None], ended: int = 0) -> Client:
        results = tuple(result for _, result in calls if result is not None)
        operations = tuple(done for done, _ in calls)
        self.requests.append(Request(at, operations, at, results or None, ended or at + 1))
        return self


# --- which calls belong together -----------------------------------------------------------------


def tell_parts(story: Story, title: str, *clients: Any) -> None:
    story.chapter(title)
    for part in parts(clients):
        start = part.start
        assert (start.event, start.crowded, start.signed) == (part.event, part.crowded, part.signed)
        story.say(f"{part.event}: crowded {part.crowded}, signed {part.signed}")
        for call in part.calls:
            ended = "never" if call.answered == EVER else call.answered
            told = f"{call.code or '?'} {call.named or '-'} at {call.told}{' repeated' * call.repeated}"
            times = ", ".join(map(str, call.times))
            story.say(
                f"  {call.kind} {call.ticket or '-'} [{call.asked}, {ended}] {told}; {times}; {call.who}"
            )


def tell_merged_calls(story: Story) -> None:
    first, again = (operation(Consume(), "a", nonce=b"n1") for _ in range(2))
    ok, late = Result("ok", state("a"), 1, 0, 500), Result("ok", b"", 1, 0, 400)
    unknown, expired, busy = (Result(code) for code in ("outcome_unknown", "expired", "busy"))
    for what, results in {
        "two answers": (ok, late),
        "the second is told no time": (ok, Result("ok")),
        "only the second": (unknown, ok),
        "only the first": (ok, unknown),
        "the first was too late": (expired, ok),
        "the second was too late": (ok, expired),
        "both were too late": (expired, busy),
        "neither": (unknown, None),
        "too late, and unknown": (expired, unknown),
    }.items():
        one, two = Client().asks(10, (first, results[0])), Client().asks(5, (again, results[1]), ended=30)
        tell_parts(story, f"one operation asked twice: {what}", one, two)
    for what, other in {
        "actors": operation(Consume(), "a", nonce=b"n1", actor="otto"),
        "tickets": operation(Consume(), "b", nonce=b"n1"),
        "payloads": operation(Consume("north"), "a", nonce=b"n1"),
        "kinds": operation(Validate(), "a", nonce=b"n1"),
        "events": operation(Consume(), "a", nonce=b"n1", event="gala"),
        "nonces": operation(Consume(), "a", nonce=b"n2"),
        "calls without one": operation(Consume(), "a"),
    }.items():
        tell_parts(story, f"one nonce, other {what}", Client().asks(1, (first, ok), (other, ok)))
    office = Client("office").asks(2, (again, ok))
    tell_parts(story, "one nonce, other principals", Client().asks(1, (first, ok)), office)


def tell_groups(story: Story) -> None:
    ok = Result("ok", state("a"), 1, 0, NOON)
    issued = operation(Issue(codes=(ONE,)), "a")
    entered = operation(Admit("north", "d1", ONE))
    other = operation(Issue(codes=(TWO,)), "b")
    strange = operation(Admit("north", "d1", b"3" * 32))
    tell_parts(story, "codes", Client().asks(1, (issued, ok), (entered, ok), (other, ok), (strange, ok)))
    product = Client().asks(
        1, (operation(Issue(product="Day"), "a"), ok), (operation(Issue(product="Day"), "b"), ok)
    )
    tell_parts(story, "a product that nobody lists", product)
    product.requests.insert(0, Request(0, (operation(SetEvent(products=(("Day", True),))),), 0, (ok,), 1))
    tell_parts(story, "a product that is listed", product)
    product.requests.append(Request(3, (operation(SetEvent(products=(("Night", True),))),), 3, (ok,), 4))
    tell_parts(story, "a product that is listed no more", product)
    lists = SetEvent(lists=(EventList("zone", capacity=1),))
    full = Client().asks(0, (operation(lists), ok)).asks(1, (issued, ok), (other, ok))
    tell_parts(story, "a list of so many persons", full)
    plain = Client().asks(1, (operation(Resolve("uphold"), "a"), Result("ok")))
    plain.asks(2, (operation(Validate(), "a"), None))
    tell_parts(story, "a verdict, and a call that was never answered", plain)
    odd = m.Operation("consume", "default", "a b", "anna", "m0", 1)
    tell_parts(story, "malformed", Client().asks(1, (odd, Result("malformed"))))
    text = code_digest(default_salt(CLUSTER, "default"), "a")
    named = Client().asks(
        1, (operation(Admit("north", "d1", text), "a"), ok), (operation(Admit("north", "d1", ONE), "a"), ok)
    )
    tell_parts(story, "a code beside its text, and beside another", named)
    for what, command in {
        "an annulment": Annul("north", "d1", ONE),
        "an exit": Admit("north", "d1", ONE, "", "exit"),
        "a list": Admit("north", "d1", ONE, "zone"),
        "two persons": Issue(entries=2),
    }.items():
        name = "a" if isinstance(command, Issue) else ""
        tell_parts(story, f"signed: {what}", Client().asks(1, (operation(command, name), ok)))


def test_parts_of_a_history(golden: Compare) -> None:
    story = Story()
    tell_merged_calls(story)
    tell_groups(story)
    golden(HERE / "ticket_calls.txt", story.text)


# --- when calls happened -------------------------------------------------------------------------


def test_times_that_were_told(golden: Compare) -> None:
    story = Story()
    daily = SetEvent(lists=(EventList("main", rule="daily"),))
    window = SetEvent(lists=(EventList("main", not_before=NOON + MINUTE, not_after=NOON + 2 * MINUTE),))
    noon = [NOON, NOON + MINUTE - 1, NOON + MINUTE, NOON + 2 * MINUTE, NOON + 2 * MINUTE + 1]
    spans = {
        "no list": (None, noon),
        "a window": (window, noon),
        "a day": (daily, [NOON + at * MINUTE // 2 for at in range(1_438, 1_443)]),
        "a jump": (None, [NOON, NOON + MINUTE, NOON + 2 * MINUTE + 1, NOON + 2 * MINUTE + 2]),
        "nothing": (None, []),
    }
    for what, (command, times) in spans.items():
        story.chapter(what)
        calls = [Call("set_event", 0, 1, "ok", command=command, times=(7,))] if command else []
        calls += [Call("admit", 1, 2, "ok", told=told, times=(7,)) for told in (0, *times)]
        calls += [Call("admit", 1, 2, "ok", told=told, repeated=True, times=(7,)) for told in times[-1:]]
        for call in told_times.dated(calls, times):
            at = call.told and call.told - NOON
            kept = [time - NOON if time > 7 else time for time in call.times]
            story.say(f"{call.kind} told {at}{' repeated' * call.repeated}: {kept}")
    done = operation(Consume(), "a")
    one = Client().asks(1, (done, Result("ok", b"", 1, 0, 9)), (done, Result("busy")))
    two = Client().asks(1, (done, Result("ok", b"", 1, 0, 4))).asks(2, (done, Result("ok", b"", 1, 0, 9)))
    clients: Any = [one, two.asks(3, (done, None))]
    story.say(f"known: {told_times.known(clients)}")
    golden(HERE / "told_times.txt", story.text)


# --- one order -----------------------------------------------------------------------------------


def test_linearizable_tells_which_calls_no_order_explains() -> None:
    story = Story()
    world: Any = StandInWorld()
    checker = Linearizable(world)
    issued, validated = (operation(Issue(), "a"), Result("ok")), operation(Validate(), "a")
    client: Any = Client().asks(0, issued).asks(2, (validated, Result("ok")))
    story.hears("nothing is watched", checker.finish)
    checker.watch([client])
    story.hears("issued and validated", checker.finish)
    client.asks(4, (operation(Validate(), "a"), Result("ticket_not_found")))
    story.hears("and not found", checker.finish)
    checker.blind = True
    story.hears("somebody else is at work", checker.finish)
    checker.blind = False
    checker.watch([Client().asks(0, (operation(Admit("north", "d1", ONE)), Result("ok", state("b"))))])  # type: ignore[list-item]
    story.hears("a code of nothing", checker.finish)
    assert story.lines == [
        "nothing is watched: nothing to say",
        "issued and validated: nothing to say",
        "and not found: linearizable: no order of its calls explains a of default: issue a [0, 1] ok, "
        "validate a [2, 3] ok, validate a [4, 5] ticket_not_found",
        "somebody else is at work: nothing to say",
        "a code of nothing: linearizable: no order of its calls explains a code of no ticket of default: "
        "admit  [0, 1] ok",
    ]
    assert checker.unsure == 0


# --- reads after writes --------------------------------------------------------------------------


class Shown:
    """A checker whose learners show every ticket as of `shown`."""

    def __init__(self, story: Story, monkeypatch: Any) -> None:
        self.story, self.shown = story, 0
        world: Any = StandInWorld(learners=2)
        self.world = world
        self.asked: list[tuple[str, str]] = []
        monkeypatch.setattr(read_your_writes, "ticket_shown", self._ticket_shown)
        self.checker = ReadYourWrites(world)
        self.client: Any = Client()
        self.names = {id(node.disk): node.name for node in self.world.nodes.values()}
        for node in self.world.nodes.values():
            node.serves_reads = True
            node.bring_rows_up = lambda name=node.name: story.say(f"  {name} brings its rows up")

    def _ticket_shown(self, disk: Any, event: str, ticket: str) -> int:
        self.story.say(f"  {self.names[id(disk)]} is asked for {ticket} of {event}")
        return self.shown

    def answers(self, what: str, *changes: tuple[str, int], acknowledged: int = 5) -> None:
        self.client.collector.acknowledged = acknowledged
        calls = [(operation(Consume(), name), Result("ok", state(name, at))) for name, at in changes]
        self.client.asks(1, *(calls or [(operation(Consume(), "a"), Result("already_consumed"))]))
        self.story.hears(what, self.checker.answered, self.client, self.client.requests[-1])

    def executes(self, what: str, name: str) -> None:
        note = Executed(entry(5).entry, word("hash"), (), 0)
        self.story.hears(what, self.checker.noticed, self.world.nodes[name], note)


def test_read_your_writes(golden: Compare, monkeypatch: Any) -> None:
    story = Story()
    case = Shown(story, monkeypatch)
    first, second = case.world.nodes["l0"], case.world.nodes["l1"]
    case.answers("changed nothing")
    case.answers("two changes", ("a", 4), ("b", 5))
    case.executes("a member", "m0")
    first.disk.applied, case.shown = 4, 5
    case.executes("a learner below it", "l0")
    first.disk.applied, first.up = 5, False
    case.executes("the first is down", "l1")
    second.disk.applied = 6
    case.executes("the second has come so far", "l1")
    first.up = True
    case.executes("nothing more to read", "l0")
    story.say(f"seen: {case.checker.seen}")
    read = len(story.lines)
    for number in range(4 * RARER):
        case.answers(f"answer {number}", (f"t{number}", 5))
    story.lines[read:] = [line for line in story.lines[read:] if "asked" in line]
    case.shown = 4
    for number in range(2 * RARER):
        case.answers(f"answer {number} shows less", ("z", 5))
    story.say(f"seen: {case.checker.seen}")
    case = Shown(story, monkeypatch)
    case.world.settings.node_reads, case.shown = True, 5
    nodes = case.world.nodes
    nodes["m0"].serves_reads, nodes["m1"].honest = False, False
    nodes["m2"].host.executed, nodes["m3"].host.executed = 4, 5
    case.answers("read at nodes", ("a", 5), acknowledged=9)
    nodes["m0"].serves_reads, nodes["m0"].host = True, None
    nodes["m2"].host.executed, case.shown = 9, 4
    for number in range(2 * RARER):
        case.answers(f"answer {number} shows less", ("z", 5), acknowledged=9)
    story.say(f"seen: {case.checker.seen}, {case.checker.seen_at_nodes} at nodes")
    golden(HERE / "read_your_writes.txt", story.text)
