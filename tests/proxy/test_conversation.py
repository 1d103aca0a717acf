"""A recorded conversation, written by the official encoder, through the proxy in each mode."""

from __future__ import annotations

import pytest
from ag_ui import core
from ag_ui.core import Event
from ag_ui.encoder import EventEncoder
from pydantic import TypeAdapter

from dtvn.events.rules import Phase, Stream
from tests.proxy.support import Request, parsed, proxied, types

pytestmark = pytest.mark.asyncio
OFFICIAL: TypeAdapter[Event] = TypeAdapter(Event)
FIRST_RUN = [
    core.RunStartedEvent(thread_id="t", run_id="r1"),
    core.StepStartedEvent(step_name="plan"),
    core.ReasoningStartEvent(message_id="think"),
    core.ReasoningMessageStartEvent(message_id="think", role="reasoning"),
    core.ReasoningMessageContentEvent(message_id="think", delta="The user asks for the weather.\n"),
    core.ReasoningMessageEndEvent(message_id="think"),
    core.ReasoningEndEvent(message_id="think"),
    core.StepFinishedEvent(step_name="plan"),
    core.StateSnapshotEvent(snapshot={"city": None, "tries": 0}),
    core.ToolCallStartEvent(tool_call_id="c1", tool_call_name="weather"),
    core.ToolCallArgsEvent(tool_call_id="c1", delta='{"city": "Zü'),
    core.ToolCallArgsEvent(tool_call_id="c1", delta='rich"}'),
    core.ToolCallEndEvent(tool_call_id="c1"),
    core.ToolCallResultEvent(message_id="m1", tool_call_id="c1", content="17 °C"),
    core.StateDeltaEvent(delta=[{"op": "replace", "path": "/city", "value": "Zürich"}]),
    core.TextMessageStartEvent(message_id="m2"),
    core.TextMessageContentEvent(message_id="m2", delta="It is 17 °C "),
    core.TextMessageContentEvent(message_id="m2", delta="in Zürich."),
    core.TextMessageEndEvent(message_id="m2"),
    core.RunFinishedEvent(thread_id="t", run_id="r1"),
]
FAILED_RUN = [
    core.RunStartedEvent(thread_id="t", run_id="r2"),
    core.TextMessageChunkEvent(message_id="m3", delta="And tomor"),
    core.TextMessageChunkEvent(delta="row ..."),
    core.RunErrorEvent(message="The model is overloaded.", code="overloaded"),
]
CONVERSATION = [*FIRST_RUN, *FAILED_RUN]
TEXTS = [EventEncoder().encode(each).encode() for each in CONVERSATION]


async def agent(request: Request) -> None:
    await request.body()
    await request.start()
    for text in TEXTS:
        await request.piece(text)
    await request.finish()


@pytest.mark.parametrize("mode", ["observe", "refuse"])
async def test_a_conversation_passes_unchanged(mode: str) -> None:
    async with proxied(agent, mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == b"".join(TEXTS)
    assert (report.valid, report.events, report.violations) == (True, len(CONVERSATION), ())


async def test_a_marked_conversation_is_a_conversation_too() -> None:
    """What the proxy adds has the official shape, and breaks no rule."""
    async with proxied(agent, "mark") as proxy:
        answer = await proxy.post()
    blocks = answer.content.removesuffix(b"\n\n").split(b"\n\n")
    stream = Stream()
    for block in blocks:
        text = block.removeprefix(b"data: ")
        OFFICIAL.validate_json(text)
        assert stream.feed(text).accepted, text
    said = types(answer.content)
    assert [said[place + 1] for place, each in enumerate(said) if each == "!valid"] == [
        "RUN_FINISHED",
        "RUN_ERROR",
    ]
    assert b"".join(block + b"\n\n" for block in blocks if b"dtvn.verdict" not in block) == b"".join(TEXTS)


def lacking(left_out: int) -> list[bytes]:
    return TEXTS[:left_out] + TEXTS[left_out + 1 :]


async def forgetful(request: Request) -> None:
    """Leaves out the event whose number is the path."""
    await request.body()
    await request.start()
    await request.piece(b"".join(lacking(int(request.line.split()[1][1:]))))
    await request.finish()


async def test_a_conversation_that_lacks_an_event_ends_where_it_is_missed() -> None:
    """`refuse` agrees with the rules, and what the client gets is a run that ended."""
    async with proxied(forgetful, "refuse") as proxy:
        for left_out in range(len(TEXTS)):
            answer = await proxy.post(f"/{left_out}")
            ends_where_it_is_missed(lacking(left_out), answer.content)


def ends_where_it_is_missed(texts: list[bytes], answer: bytes) -> None:
    stream = Stream()
    codes = [stream.feed(text.removeprefix(b"data: ").strip()).code for text in texts]
    if stream.state.phase is Phase.ACTIVE:
        codes.append("STREAM_NOT_TERMINATED")
    first = next((place for place, code in enumerate(codes) if code), len(texts))
    assert answer.startswith(b"".join(texts[:first]))
    found = parsed(answer)
    assert len(found) == min(first + 1, len(codes))
    if first < len(codes):
        OFFICIAL.validate_python(found[-1])
        assert (found[-1]["type"], found[-1]["code"]) == ("RUN_ERROR", codes[first])
