"""Real agents of pydantic-ai, each at a path of one application; their models follow a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ag_ui.core import CustomEvent, EventType, StateSnapshotEvent
from pydantic_ai import Agent, DeferredToolRequests, ToolReturn
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dtvn.proxy.passages import Message, Receive, Send

WORDS = ["Grüße ", "aus ", "東京 ", "🎉"]


def _returns(messages: list[ModelMessage]) -> list[ToolReturnPart]:
    return [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]


async def _text(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    for word in WORDS:
        yield word


async def _tools(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Thinks, calls two tools at once, then speaks."""
    if _returns(messages):
        yield "It is warm."
        return
    yield {0: DeltaThinkingPart(content="Which city?")}
    for number, city in enumerate(("Oslo", "Rome"), 1):
        yield {number: DeltaToolCall(name="weather", json_args='{"city": ', tool_call_id=f"call-{number}")}
        yield {number: DeltaToolCall(json_args=f'"{city}"}}')}


async def _one_call(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Calls the tool that there is, the client's too, then speaks."""
    if _returns(messages):
        yield f"Done: {_returns(messages)[-1].content}"
        return
    name = info.function_tools[0].name
    yield {0: DeltaToolCall(name=name, json_args='{"city": "Rome"}', tool_call_id="call")}


async def _fails(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    yield "So far "
    raise ConnectionError("the model is gone")


async def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def remember(city: str) -> ToolReturn:
    """Keep a city in the state that the client sees."""
    state = StateSnapshotEvent(type=EventType.STATE_SNAPSHOT, snapshot={"city": city})
    news = CustomEvent(type=EventType.CUSTOM, name="remembered", value=city)
    return ToolReturn(return_value=city, metadata=[state, news])


def _approved() -> Agent[None, Any]:
    agent = Agent(FunctionModel(stream_function=_one_call), output_type=[str, DeferredToolRequests])
    agent.tool_plain(requires_approval=True)(weather)
    return agent


AGENTS: dict[str, Agent[None, Any]] = {
    "text": Agent(FunctionModel(stream_function=_text)),
    "tools": Agent(FunctionModel(stream_function=_tools), tools=[weather]),
    "state": Agent(FunctionModel(stream_function=_one_call), tools=[remember]),
    "frontend": Agent(FunctionModel(stream_function=_one_call), output_type=[str, DeferredToolRequests]),
    "approval": _approved(),
    "error": Agent(FunctionModel(stream_function=_fails)),
}


async def _run(request: Request) -> Response:
    return await AGUIAdapter.dispatch_request(request, agent=AGENTS[request.path_params["name"]])


application = Starlette(routes=[Route("/{name}", _run, methods=["POST"])])


async def chattering(scope: Any, receive: Receive, send: Send) -> None:
    """The same agents behind a part that adds events of its own, before and after those of the run."""
    own = b'data: {"type":"PING"}\n\n'
    begun = False

    async def add(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.body":
            before = b"" if begun else own
            after = b"" if message.get("more_body") else own
            begun = True
            message = {**message, "body": before + message.get("body", b"") + after}
        await send(message)

    await application(scope, receive, add)
