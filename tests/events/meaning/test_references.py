"""Which ids are recognised where a stream repeats them, and which are words like any others."""

from __future__ import annotations

import json
from typing import Any

from dtvn.events.meaning import Meaning, differences
from tests.events.meaning.support import called, meaning, run, snapshot
from tests.events.rules.samples import event
from tests.support.table import table

MADE = "661a61b9-24db-48d1-9c4b-e460f86a4486", "msg_68f1c2aeb0d48190"


def naming(identifier: str, state: Any, *, told: str = "x", end: bytes | None = None) -> Meaning:
    """A run with one message of this id."""
    said: list[dict[str, Any]] = [
        {"type": "TEXT_MESSAGE_START", "messageId": identifier, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": identifier, "delta": told},
        {"type": "TEXT_MESSAGE_END", "messageId": identifier},
    ]
    told_events = [json.dumps(each).encode() for each in said]
    return meaning([event("RS"), *told_events, snapshot(state), end or event("RF")])


def test_ids_that_the_state_repeats_are_known() -> None:
    one, other = (naming(name, {"messages": [{"id": name, "content": "x"}]}) for name in MADE)
    assert differences(one, other) == []
    another = naming(MADE[1], {"messages": [{"id": MADE[0], "content": "x"}]})
    assert len(differences(one, another)) == 1
    written = naming(MADE[1], {"messages": [{"id": "(id of message 1)", "content": "x"}]})
    assert len(differences(one, written)) == 1


@table(
    ("one", "other"),
    [
        ("approved", "rejected"),
        ("Pay 10 EUR to account1234567a", "Pay 99 EUR to account7654321b"),
        ("/home/alice1234/tmp", "/etc/passwd1234"),
        ("message-1234", "message-9876"),
        ("20241128", "20251128"),
    ],
    count=5,
)
def test_words_that_an_agent_chose_as_ids_are_words(one: str, other: str) -> None:
    found = differences(naming(one, {"decision": one}), naming(other, {"decision": other}))
    assert [(each.where, each.at, each.one, each.other) for each in found] == [
        ("state", "/decision", one, other)
    ]


def test_ids_are_references_in_results_and_not_in_texts_arguments_and_errors() -> None:
    one, other = (run(*called(name, "{}", json.dumps({"call": name}))) for name in MADE)
    assert differences(one, other) == []
    one, other = (run(*called(name, json.dumps({"call": name}))) for name in MADE)
    assert [each.at for each in differences(one, other)] == ["/arguments/call"]
    one, other = (naming(name, {}, told=name) for name in MADE)
    assert [each.at for each in differences(one, other)] == ["/text"]
    errors = [json.dumps({"type": "RUN_ERROR", "message": name}).encode() for name in MADE]
    one, other = (naming(name, {}, end=end) for name, end in zip(MADE, errors, strict=True))
    assert [each.where for each in differences(one, other)] == ["outcome"]


def test_what_a_run_leaves_to_the_client_are_its_own_calls() -> None:
    first = [event("RS:r1"), event("KS:c1", toolCallName="weather"), event("KE:c1"), event("RF:r1")]
    second = [event("RS:r2"), event("KS:c2", toolCallName="time"), event("KE:c2"), event("RF:r2")]
    outcomes = meaning([*first, *second, event("RS:r3"), event("RF:r3")]).outcomes
    assert [each.get("calls_for_the_client") for each in outcomes] == [["weather"], ["time"], None]


def test_two_runs_of_a_stream_are_two() -> None:
    def second(last: str) -> Meaning:
        runs = [[event(f"{kind}:{name}") for kind in ("RS", "RF")] for name in MADE]
        return meaning([*runs[0], runs[1][0], snapshot({"last": last}), runs[1][1]])

    assert len(differences(second(MADE[0]), second(MADE[1]))) == 1
