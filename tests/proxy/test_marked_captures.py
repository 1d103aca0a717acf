"""`dtvn validate --marked` of what a client got from a proxy in mode `mark`: it finds what it finds in the
agent's own stream. Without the flag no event is left out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from dtvn.wording import counted
from tests.events.rules.samples import event
from tests.events.rules.test_validate_command import result, run
from tests.proxy.support import BAD, GOOD, answering, proxied, sse, types
from tests.proxy.test_cluster_judge import Platform
from tests.proxy.test_validate_command import serving

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
    count = sum(each.startswith("!") for each in types(answer.content))
    assert result(marked, marked=True) == result(own) | {"marks": count}
    assert f"\n{counted(count, 'mark')} of a proxy left out.\n" in run(marked, marked=True)[1]


def mark(by: str = "0" * 16, **more: object) -> bytes:
    return event("CU", name="dtvn.verdict", value={"valid": True, "scope": "", "by": by}, **more)


ODD = mark(timestamp="no time")
"""A malformed event that has the form of a mark."""


def test_an_agent_cannot_hide_an_event_as_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.write_bytes(sse([GOOD[0], ODD, *GOOD[1:]]))
    found = result(path)
    assert (found["valid"], found["code"], found["events"]) == (False, "FIELD_INVALID", len(GOOD) + 1)
    assert "marks" not in found
    platform = Platform()
    with serving(platform) as url:
        assert result(path, cluster=url)["valid"] is False
        assert platform.texts == [GOOD[0], ODD, *GOOD[1:]]
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("validate_events", str(path), "--json", stdout=out)
    assert json.loads(out.getvalue())["code"] == "FIELD_INVALID"


def test_marks_are_left_out_on_request_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_bytes(sse([GOOD[0], mark(), *GOOD[1:-1], mark(), GOOD[-1]]))
    assert (result(path, marked=True)["events"], result(path, marked=True)["marks"]) == (len(GOOD), 2)
    platform = Platform()
    with serving(platform) as url:
        assert result(path, cluster=url, marked=True)["marks"] == 2
    assert platform.texts == GOOD
    out = io.StringIO()
    call_command("validate_events", str(path), "--json", "--marked", stdout=out)
    assert json.loads(out.getvalue())["marks"] == 2
    path.write_bytes(sse([GOOD[0], ODD, *GOOD[1:]]))
    assert result(path, marked=True)["code"] == "FIELD_INVALID"
    path.write_bytes(sse(GOOD))
    assert result(path, marked=True)["marks"] == 0


def test_marks_by_two_are_not_one_proxys(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_bytes(sse([GOOD[0], mark(), mark("1" * 16), *GOOD[1:]]))
    code, out, err = run(path, marked=True)
    assert (code, out) == (2, "")
    assert err.startswith("dtvn validate: line 5: the marks are by two: ")
    assert result(path)["valid"]


@pytest.mark.parametrize(
    "value", [None, {"valid": True}, {"valid": True, "scope": "", "by": "me"}, {"by": "0" * 16}]
)
def test_an_event_that_only_has_the_name_of_a_verdict_is_judged(tmp_path: Path, value: object) -> None:
    claimed = event("CU", name="dtvn.verdict", value=value)
    (tmp_path / "own").write_bytes(sse([GOOD[0], claimed, *GOOD[1:]]))
    found = result(tmp_path / "own", marked=True)
    assert (found["events"], found["marks"]) == (len(GOOD) + 1, 0)
    assert "CUSTOM_EVENT" in {each["code"] for each in found["violations"]}
