"""Worlds at doors: every answer is given, the model refuses wrong ones, parts of a history are small."""

from __future__ import annotations

from collections import Counter

import pytest

from dtvn.machine import Admit, Block, ChangeTicket, Command, Issue, Replace, SetEvent
from simulator.campaign import Cut, Play, Task, run
from simulator.checkers.linearizable import explains
from simulator.checkers.ticket_calls import Call, parts
from simulator.checkers.ticket_model import State
from simulator.cluster import Cluster
from simulator.door_work import FAR, LONG_AGO
from simulator.worlds import world_of

pytestmark = pytest.mark.exhaustive

ONE, TWO, NONE = b"1" * 32, b"2" * 32, b"0" * 32
ADMISSIONS = {
    *("ok", "unknown_event", "barcode_not_found", "ticket_not_found", "revoked", "blocked", "disputed"),
    *("not_yet_valid", "no_longer_valid", "wrong_product", "already_consumed"),
}


def history(*lines: tuple[Command, str, str], event: str = "fair") -> list[Call]:
    """One call after the other: (command, ticket, answer)."""
    kinds = {ChangeTicket: "change", SetEvent: "set_event"}
    return [
        Call(
            kinds.get(type(command), type(command).__name__.lower()),
            *(2 * place, 2 * place + 1, code, ticket, command, event),
        )
        for place, (command, ticket, code) in enumerate(lines)
    ]


def is_right(*lines: tuple[Command, str, str]) -> bool | None:
    return explains(history(*lines), State("fair"))


CREATED = SetEvent(products=(("Parking", False), ("Standing", True))), "", "ok"


@pytest.mark.parametrize(
    ("before", "code", "answer"),
    [
        ([], ONE, "unknown_event"),
        ([(Issue(codes=(ONE,)), "a", "ok")], ONE, "ok"),
        ([(Issue(codes=(ONE,)), "a", "ok")], NONE, "barcode_not_found"),
        ([(Issue(codes=(ONE,)), "a", "ok"), (Replace((TWO,)), "a", "ok")], ONE, "revoked"),
        (
            [
                (Issue(codes=(ONE,), blocked=True), "a", "ok"),
                *[(Replace((code,)), "a", "ok") for code in (TWO, ONE)],
            ],
            ONE,
            "blocked",
        ),
        ([(Issue(not_after=LONG_AGO, codes=(ONE,)), "a", "ok"), (Block(), "a", "ok")], ONE, "blocked"),
        ([CREATED, (Issue(FAR, product="Parking", codes=(ONE,)), "a", "ok")], ONE, "not_yet_valid"),
        ([CREATED, (Issue(product="Parking", codes=(ONE,)), "a", "ok")], ONE, "wrong_product"),
        (
            [
                CREATED,
                (Issue(product="Extra", codes=(ONE,)), "a", "ok"),
                (CREATED[0], "", "ok"),
                (ChangeTicket(product="Extra"), "a", "ok"),
            ],
            ONE,
            "wrong_product",
        ),
        ([CREATED, (Issue(codes=(ONE,)), "a", "ok")], NONE, "barcode_not_found"),
        (
            [(Issue(codes=(ONE,)), "a", "ok"), (Issue(codes=(ONE,)), "b", "barcode_taken")],
            ONE,
            "ok",
        ),
    ],
)
def test_one_answer_is_right(before: list[tuple[Command, str, str]], code: bytes, answer: str) -> None:
    assert is_right(*before, (Admit(code=code), "", answer))
    for wrong in ADMISSIONS - {answer}:
        assert is_right(*before, (Admit(code=code), "", wrong)) is False, wrong


def test_two_set_events_at_once_may_come_in_either_order() -> None:
    issued = history((Issue(codes=(ONE,)), "a", "ok"))
    for named, right in (("a", True), ("b", False)):
        assert explains([*issued, Call("admit", 5, 6, "ok", "", Admit(code=ONE), "fair", named)]) is right
    parking = (("Parking", True),)
    said = [Call("set_event", 2, 3, "ok", "", SetEvent(products=each), "fair") for each in (parking, ())]
    ticket = history((Issue(product="Parking", codes=(ONE,)), "a", "ok"))
    for answer in ("ok", "wrong_product"):
        assert explains([*ticket, *said, Call("admit", 5, 6, answer, "", Admit(code=ONE), "fair")])


def test_the_work_gets_every_answer_and_no_search_is_given_up() -> None:
    told: Counter[tuple[str, str]] = Counter()
    for seed in range(8):
        drawn = world_of("doors-among-crashes", seed)
        cluster = Cluster(seed, drawn.settings)
        Play(cluster, drawn, Cut()).run()
        assert cluster.linearizable.unsure == 0
        for part in parts(cluster.gateways):
            told.update((call.kind, call.code) for call in part.calls if part.event != "default")
    assert {code for kind, code in told if kind == "admit"} >= ADMISSIONS
    for kind, code in (
        *(("issue", "barcode_taken"), ("replace", "barcode_taken"), ("block", "already_blocked")),
        *(("unblock", "not_blocked"), ("change", "already_consumed"), ("change", "empty_window")),
        *(("import_entry", "ok"), ("import_entry", "already_consumed"), ("validate", "blocked")),
    ):
        assert told[kind, code], (kind, code)


def test_a_world_at_doors_is_the_same_again() -> None:
    assert run(Task(4, "doors-among-transfers")) == run(Task(4, "doors-among-transfers"))
