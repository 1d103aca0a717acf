"""The model of lists: one answer is right, and the worlds of lists get every answer (R41)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dtvn.machine import Admit, Annul, Command, Consume, EventList, Force, Issue, SetEvent
from simulator.campaign import Cut, Play, Task, run
from simulator.checkers import told_times
from simulator.checkers.linearizable import explains
from simulator.checkers.ticket_calls import Call, parts
from simulator.checkers.ticket_model import NOW, State
from simulator.cluster import Cluster
from simulator.worlds import world_of

pytestmark = pytest.mark.exhaustive

ONE = b"1" * 32
MINUTE, DAY = 60_000_000, 86_400_000_000
ENTRIES = {
    "ok",
    "unknown_list",
    "list_closed",
    "wrong_product",
    "already_consumed",
    "still_inside",
    "list_full",
}
EXITS = {"ok", "unknown_list", "wrong_product", "not_inside"}
ANNULMENTS = {"ok", "unknown_list", "not_the_newest", "too_late_to_annul"}
ANNA, OTTO = ("gate", "anna"), ("gate", "otto")
Line = tuple[Any, ...]
"""(command, answer, minutes after the line before, who)."""


def says(*lists: EventList, products: Any = (("Parking", False), ("Standing", True))) -> Line:
    return SetEvent(products=products, lists=lists), "ok"


def enters(slug: str = "", device: str = "d1", kind: Any = "entry") -> Command:
    return Admit("north", device, ONE, slug, kind)


def leaves(slug: str = "", device: str = "d1") -> Command:
    return enters(slug, device, "exit")


def annuls(slug: str = "", device: str = "d1", *, supervised: bool = False) -> Command:
    return Annul("north", device, ONE, slug, "why" if supervised else "", supervised)


def forces(slug: str = "") -> Command:
    return Force("north", "d1", ONE, slug, "why")


def is_right(*lines: Line, persons: int = 1, product: str = "Standing") -> bool | None:
    names = {SetEvent: "set_event"}
    now, calls = NOW, []
    every: list[Line] = [(Issue(codes=(ONE,), product=product, entries=persons), "ok"), *lines]
    for place, (command, answer, *more) in enumerate(every):
        later, who = (*more, 0, ANNA)[0], (*more, *(0, ANNA)[len(more) :])[1]
        now += later * MINUTE
        kind = names.get(type(command), type(command).__name__.lower())
        ticket = "a" if kind in ("issue", "consume") else ""
        calls.append(
            Call(kind, 2 * place, 2 * place + 1, answer, ticket, command, "fair", who=who, times=(now,))
        )
    return explains(calls, State("fair"))


def listed(slug: str = "zone", **said: Any) -> EventList:
    return EventList(slug, **said)


MIDNIGHT = (NOW // DAY + 1) * DAY - NOW
OFFSETS = ((0, MIDNIGHT // 1_000_000 - 3_600),)
"""An hour from now it is midnight."""
DAILY = listed(rule="daily", offsets=OFFSETS)
WEST = listed(rule="daily", offsets=((0, OFFSETS[0][1] - 86_400),))
"""Of a zone with the same midnight that is a day behind."""
TWICE = listed(rule="times", times=2)
RETURNS = listed(returns=True)


@pytest.mark.parametrize(
    ("before", "asked", "answer", "persons"),
    [
        ([], (enters("zone"),), "unknown_list", 1),
        ([says(listed())], (enters("zone"),), "ok", 1),
        ([says(listed()), (enters("zone"), "ok")], (enters("zone"),), "already_consumed", 1),
        ([says(listed()), (enters("zone"), "ok")], (enters(),), "ok", 1),
        ([says(listed()), *[(enters("zone"), "ok")] * 2], (enters("zone"),), "ok", 3),
        ([says(TWICE), *[(enters("zone"), "ok")] * 4], (enters("zone"),), "already_consumed", 2),
        ([says(TWICE), *[(enters("zone"), "ok")] * 3], (enters("zone"),), "ok", 2),
        ([says(listed()), (leaves("zone"), "not_inside")], (leaves("zone"),), "not_inside", 1),
        (
            [says(listed()), (enters("zone"), "ok"), (leaves("zone"), "ok")],
            (leaves("zone"),),
            "not_inside",
            1,
        ),
        (
            [says(listed()), (enters("zone"), "ok"), (leaves("zone"), "ok")],
            (enters("zone"),),
            "already_consumed",
            1,
        ),
        ([says(RETURNS), (enters("zone"), "ok"), (leaves("zone"), "ok")], (enters("zone"),), "ok", 1),
        (
            [says(listed(rule="free", exit_first=True)), (enters("zone"), "ok")],
            (enters("zone"),),
            "still_inside",
            1,
        ),
        ([says(listed(rule="free", capacity=1)), (enters("zone"), "ok")], (enters("zone"),), "list_full", 2),
        ([says(listed(not_after=1))], (enters("zone"),), "list_closed", 1),
        ([says(listed(products=("Parking",)))], (enters("zone"),), "wrong_product", 1),
        ([says(DAILY), (enters("zone"), "ok")], (enters("zone"), 59), "already_consumed", 1),
        ([says(DAILY), (enters("zone"), "ok")], (enters("zone"), 60), "ok", 1),
        ([says(DAILY), (enters("zone"), "ok")], (leaves("zone"), 60), "not_inside", 1),
        (
            [says(listed()), (enters("zone"), "ok", 70), says(DAILY)],
            (enters("zone"), 10),
            "already_consumed",
            1,
        ),
        ([says(listed()), (enters("zone"), "ok"), says(WEST)], (enters("zone"), 59), "already_consumed", 1),
        ([says(listed()), (enters("zone"), "ok"), says(WEST)], (enters("zone"), 60), "ok", 1),
        ([says(listed()), (enters("zone"), "ok"), says(WEST)], (leaves("zone"), 60), "not_inside", 1),
        ([says(DAILY), (enters("zone"), "ok"), says(WEST)], (enters("zone"), 59), "already_consumed", 1),
        ([says(DAILY), (enters("zone"), "ok", 70), says(WEST)], (enters("zone"), 10), "already_consumed", 1),
        ([says(listed()), (forces("zone"), "ok")], (enters("zone"),), "already_consumed", 1),
        ([says(listed()), (enters("zone"), "ok"), (forces("zone"), "ok")], (leaves("zone"),), "ok", 1),
        ([says(listed()), (enters("zone"), "ok")], (annuls("zone"), 15), "ok", 1),
        ([says(listed()), (enters("zone"), "ok")], (annuls("zone"), 16), "too_late_to_annul", 1),
        ([says(listed()), (enters("zone"), "ok")], (annuls("zone", "d2"),), "not_the_newest", 1),
        ([says(listed()), (enters("zone"), "ok")], (annuls("zone"), 0, OTTO), "not_the_newest", 1),
        (
            [says(listed()), (enters("zone"), "ok")],
            (annuls("zone", supervised=True), 90, OTTO),
            "ok",
            1,
        ),
        (
            [says(listed()), (enters("zone"), "ok"), (annuls("zone"), "ok")],
            (annuls("zone"),),
            "not_the_newest",
            1,
        ),
        ([says(listed()), (enters("zone"), "ok"), (annuls("zone"), "ok")], (enters("zone"),), "ok", 1),
        (
            [says(listed(rule="free")), *[(enters("zone"), "ok")] * 3, says(listed(returns=True))],
            (enters("zone"),),
            "already_consumed",
            1,
        ),
        (
            [
                *(says(listed(rule="free")), (enters("zone"), "ok"), (enters("zone"), "ok")),
                *(says(RETURNS), (leaves("zone"), "ok")),
            ],
            (enters("zone"),),
            "already_consumed",
            1,
        ),
        ([says(listed("main", returns=True)), (enters(), "ok"), (leaves(), "ok")], (enters(),), "ok", 1),
    ],
)
def test_one_answer_is_right(before: list[Line], asked: Line, answer: str, persons: int) -> None:
    command, *more = asked
    assert is_right(*before, (command, answer, *more), persons=persons)
    kinds = {"exit": EXITS, "entry": ENTRIES}
    for wrong in kinds[command.kind] if isinstance(command, Admit) else ANNULMENTS:
        assert wrong == answer or is_right(*before, (command, wrong, *more), persons=persons) is False, wrong


def test_no_operation_of_the_founding_contract_leaves_consumed() -> None:
    entered = says(), (enters(), "ok")
    consumed = Consume("north", "d1")
    assert is_right(*entered, (consumed, "already_consumed"))
    assert is_right(*entered, (annuls(), "ok"), (consumed, "ok"), (enters(), "already_consumed"))
    assert is_right(*entered, (consumed, "ok")) is False


def test_a_call_that_told_no_time_may_have_happened_on_either_day() -> None:
    said = Call("set_event", 0, 1, "ok", "", SetEvent(lists=(DAILY,)), "fair")
    early, late = NOW + 59 * MINUTE, NOW + 61 * MINUTE
    told = Call("admit", 2, 9, "ok", "", enters("zone"), "fair", told=late)
    asked = [said, told, *[Call("admit", 3, 9, "", "", enters("zone"), "fair", told=0)] * 2]
    dated = told_times.dated(asked, [early, early + 1, late])
    assert [call.times for call in dated[1:]] == [(late,), (early, late), (early, late)]


def test_the_work_gets_every_answer_and_no_search_is_given_up() -> None:
    told: Counter[tuple[str, str]] = Counter()
    for seed in range(6):
        drawn = world_of("lists-and-clocks", seed)
        cluster = Cluster(seed, drawn.settings)
        Play(cluster, drawn, Cut()).run()
        assert cluster.linearizable.unsure == 0
        for part in parts(cluster.gateways):
            told.update((call.kind, call.code) for call in part.calls if part.event != "default")
    assert {code for kind, code in told if kind == "admit"} >= ENTRIES | EXITS
    assert {code for kind, code in told if kind == "annul"} >= ANNULMENTS
    assert told["force", "ok"]
    assert told["force", "blocked"]


def test_a_world_of_lists_is_the_same_again() -> None:
    assert run(Task(1, "lists-among-transfers")) == run(Task(1, "lists-among-transfers"))
