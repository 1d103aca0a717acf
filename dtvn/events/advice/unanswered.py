"""Calls that nobody answered: clients take each call without a result as pending when a run ends with
success."""

from __future__ import annotations

from dtvn.events.advice.parameters import Parameters
from dtvn.events.advice.said import Said
from dtvn.events.rules import listed, quoted
from dtvn.events.rules import messages as m
from dtvn.events.rules import shapes as s


class Unanswered:
    """The calls of a run that have no result yet."""

    def __init__(self, tools: Parameters, most: int) -> None:
        self._tools = tools
        self._most = most
        self._calls: dict[str, str] = {}
        """Id -> name of its tool, of the newest."""

    def start(self) -> None:
        """A run starts."""
        self._calls.clear()

    def begin(self, event: s.ToolCallStart) -> None:
        self._calls[event.tool_call_id] = event.tool_call_name
        if len(self._calls) > self._most:
            del self._calls[next(iter(self._calls))]

    def answer(self, call: str) -> Said:
        """A result of this call came from the agent."""
        tool = self._calls.pop(call, None)
        if tool is None or tool not in self._tools:
            return ()
        said = f"{quoted(tool)} is a tool of the client, which is to answer {quoted(call)} itself."
        return (("CLIENT_TOOL_ANSWERED", "toolCallId", said),)

    def settle(self, call: str) -> None:
        """A snapshot has the result of this call."""
        self._calls.pop(call, None)

    def finish(self, event: s.RunFinished) -> Said:
        outcome = event.outcome
        named = outcome.pending_tool_call_ids if isinstance(outcome, m.Succeeded) else None
        wrong = [call for call in named or () if call not in self._calls]
        if wrong:
            said = f"pendingToolCallIds names what is no call without a result: {listed(wrong)}."
            yield "PENDING_CALL_UNKNOWN", "outcome.pendingToolCallIds", said
        if not self._calls or not (outcome is None or isinstance(outcome, m.Succeeded)):
            return
        pending = named or []
        # What the client's own tools are called for, the client answers in the next run.
        left = [call for call, tool in self._calls.items() if call not in pending and tool not in self._tools]
        if not left:
            return
        hint = "" if self._tools.known else " If its tools are the client's, --input tells so."
        said = f"The run ends with success, and nobody answered {listed(left)}.{hint}"
        yield "CALL_NOT_ANSWERED", "outcome", said
