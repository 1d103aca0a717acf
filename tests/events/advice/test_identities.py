"""What is remembered of ids is bounded, whatever a stream sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dtvn.events.advice.identities import Identities
from dtvn.events.rules import shapes as s
from tests.support.table import table

MOST = 8


def calls(identities: Identities, number: int) -> Iterator[object]:
    yield from identities.call(s.ToolCallStart(tool_call_id=f"c{number}", tool_call_name="find"))


def calls_of_a_result(identities: Identities, number: int) -> Iterator[object]:
    event = s.ToolCallStart(tool_call_id=f"c{number}", tool_call_name="find", parent_message_id="result")
    yield from identities.call(event)


def texts(identities: Identities, number: int) -> Iterator[object]:
    yield from identities.text(s.TextMessageStart(message_id=f"m{number}"))


def reasons(identities: Identities, number: int) -> Iterator[object]:
    yield from identities.reasoning(s.ReasoningMessageStart(f"m{number}", "reasoning"))


def answers(identities: Identities, number: int) -> Iterator[object]:
    yield from identities.result(s.ToolCallResult(message_id=f"m{number}", tool_call_id="c", content=""))


@table("sends", [calls, calls_of_a_result, texts, reasons, answers], count=5)
def test_ever_new_ids_take_no_more_room(sends: Callable[[Identities, int], Iterator[Any]]) -> None:
    identities = Identities(MOST)
    for number in range(5 * MOST):
        if number % (MOST // 2) == 0:
            list(identities.result(s.ToolCallResult(message_id="result", tool_call_id="c", content="")))
        list(sends(identities, number))
        assert max(len(identities._roles), len(identities._calls), len(identities._again)) <= MOST
