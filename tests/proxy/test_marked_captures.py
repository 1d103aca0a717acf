"""`dtvn validate` of what a client got from a proxy in mode `mark`: it finds what it finds in the agent's own
stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.events.rules.samples import event
from tests.events.rules.test_validate_command import result
from tests.proxy.support import BAD, GOOD, answering, proxied, sse, types

STAMPED = [event("RS", timestamp=1_790_000_000_000), event("RF", timestamp=1_790_000_000_000)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "events",
    [GOOD, BAD, STAMPED, [b'{"type":"CUSTOM"}', *GOOD], [*GOOD, event("TC:m"), b'{"type":"CUSTOM"}']],
    ids=["good", "bad", "with timestamps", "bad before the run", "bad after the run"],
)
@pytest.mark.parametrize("form", ["sse", "ndjson"])
async def test_the_proxys_verdicts_are_not_the_agents_events(
    tmp_path: Path, events: list[bytes], form: str
) -> None:
    sent = sse(events) if form == "sse" else b"".join(each + b"\n" for each in events)
    kind = b"text/event-stream" if form == "sse" else b"application/x-ndjson"
    async with proxied(answering(sent, kind), "mark") as proxy:
        answer = await proxy.post()
    assert {"!valid", "!bad"} & {*types(answer.content)}
    own, marked = tmp_path / "own", tmp_path / "marked"
    own.write_bytes(sent)
    marked.write_bytes(answer.content)
    assert result(marked) == result(own)


@pytest.mark.parametrize(
    "value", [None, {"valid": True}, {"valid": True, "scope": "", "by": "me"}, {"by": "0" * 16}]
)
def test_an_event_that_only_has_the_name_of_a_verdict_is_judged(tmp_path: Path, value: object) -> None:
    claimed = event("CU", name="dtvn.verdict", value=value)
    (tmp_path / "own").write_bytes(sse([GOOD[0], claimed, *GOOD[1:]]))
    found = result(tmp_path / "own")
    assert found["events"] == len(GOOD) + 1
    assert "CUSTOM_EVENT" in {each["code"] for each in found["violations"]}
