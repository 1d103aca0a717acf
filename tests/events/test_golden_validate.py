"""What `dtvn validate` prints for who calls it: reports, framings, marks, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.events.command_story import CommandStory
from tests.events.rules.samples import event
from tests.golden import Compare

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
GOOD = [event("RS:r1"), event("TS:m"), event("TC:m", delta="Grüße"), event("TE:m"), event("RF:r1")]
BAD = [
    *GOOD[:3],
    event("TC:z"),
    event("KA:c"),
    event("TE:m"),
    event("TE:m"),
    json.dumps({"type": "NEWS", "delta": 1}).encode(),
    b'{"type":"TEXT_MESSAGE_START","message_id":"n"}',
    b"[1]",
    b"no json",
    event("SS:step", extra=1),
    event("RF:r1"),
]
ADVISED = [
    event("RS:r1", timestamp=1000),
    event("TS:m 1", timestamp=900),
    event("TC:m 1", delta="", timestamp=2000),
    event("TE:m 1"),
    event("CU", name="system"),
    event("KS:c", parentMessageId="nobody"),
    event("KE:c"),
    event("RF:r2"),
]
MARK = {
    "type": "CUSTOM",
    "name": "dtvn.verdict",
    "value": {"valid": True, "scope": "LOCAL_ONLY", "by": "0123456789abcdef"},
}


def lines(texts: list[bytes]) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def framed(texts: list[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(b"event: message" + end + b"data: " + text + end + end for text in texts)


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandStory:
    return CommandStory(tmp_path, monkeypatch)


def test_sources_and_framings(story: CommandStory, golden: Compare) -> None:
    files: dict[str, bytes] = {
        "good.ndjson": lines(GOOD),
        "good.json": b"[" + b",\n ".join(GOOD) + b"]",
        "good.sse": b": comment\nretry: 5\n\n" + framed(GOOD),
        "crlf.sse": framed(GOOD, b"\r\n"),
        "cr.sse": framed(GOOD, b"\r"),
        "bom.ndjson": b"\xef\xbb\xbf" + lines(GOOD),
        "blank lines.ndjson": b"\n\n" + b"\n \n".join(GOOD),
        "cut.json": b"[" + GOOD[0] + b",",
        "cut.sse": framed(GOOD)[:-30],
        "many lines.sse": b"data: {\ndata: " + GOOD[0][1:] + b"\n\n",
        "done.sse": framed([*GOOD, b"[DONE]"]),
        "empty.ndjson": b"",
        "space.ndjson": b" \n\n",
        "comment.sse": b": nothing\n\n",
        "text.txt": b"Hello, World\n",
        "latin.ndjson": lines(GOOD).replace("Grüße".encode(), b"Gr\xfc\xdfe"),
        "surrogate.ndjson": lines([GOOD[0], b'{"type":"RAW","event":"\\ud800"}']),
        "html.html": b"<!doctype html><html></html>",
    }
    story.run("validate", "--complete", *(story.write(name, data) for name, data in files.items()))
    story.run("validate", "-", stdin=lines(GOOD))
    story.run("validate", "-", "missing.ndjson", ".", "good.sse", stdin=framed(BAD))
    golden(GOLDEN / "validate-framings.txt", story.text())


def test_a_report_of_many_sources(story: CommandStory, golden: Compare) -> None:
    story.write("good", lines(GOOD))
    story.write("bad", lines(BAD))
    story.write("advised", lines(ADVISED))
    story.write("open", lines(GOOD[:2]))
    story.run("validate", "bad", "advised", "good", "open")
    story.run("validate", "--first", "bad")
    story.run("validate", "--json", "advised")
    golden(GOLDEN / "validate-report.txt", story.text())


def test_mistakes_of_who_calls(story: CommandStory, golden: Compare) -> None:
    story.write("good", lines(GOOD))
    story.write("input", b'{"threadId": 5}')
    mistakes: list[tuple[str, ...]] = [
        (),
        ("good", "--preset", "other"),
        ("good", "--skip", "all"),
        ("good", "--off", "NO_CODE"),
        ("good", "--only", "EMPTY_ID,"),
        ("good", "--max-warnings", "-1"),
        ("good", "--max-warnings", "many"),
        ("good", "--complete", "--skip", "order"),
        ("good", "--complete", "--preset", "testing"),
        ("good", "--algorithm", "pbft"),
        ("good", "--cluster", "http://127.0.0.1:1", "--skip", "shape"),
        ("good", "--cluster", "http://127.0.0.1:1", "--accept-0x"),
        ("good", "--cluster", "nowhere"),
        ("good", "--input", "missing"),
        ("good", "--input", "input"),
        ("good", "--header", "Key: value"),
        ("good", "--header", "no colon"),
        ("good", "--header", "bad name: x"),
        ("good", "--timeout", "0"),
        ("good", "--timeout", "86400"),
        ("good", "--junit", "no/folder.xml"),
        ("good", "--sarif", "."),
        ("good", "--profile", "none"),
        ("good", "--output-format", "xml"),
    ]
    for given in mistakes:
        story.run("validate", *given)
    golden(GOLDEN / "validate-mistakes.txt", story.text())


def test_marks_of_a_proxy(story: CommandStory, golden: Compare) -> None:
    other = MARK | {"value": {"valid": None, "scope": "x", "by": "f" * 16}}
    near: list[dict[str, Any]] = [
        MARK | {"value": {"valid": False, "scope": "y", "by": "F" * 16}},
        MARK | {"value": {"valid": False, "scope": "y", "by": "0" * 15}},
        MARK | {"more": 1},
        MARK | {"name": "dtvn.verdicts"},
    ]
    marks = [json.dumps(each).encode() for each in (MARK, MARK, *near)]
    story.write("marked", lines([GOOD[0], marks[0], *GOOD[1:], marks[1]]))
    story.write("two", lines([*GOOD, marks[0], json.dumps(other).encode()]))
    story.write("near", lines([GOOD[0], *marks[2:], *GOOD[1:]]))
    for name in ("marked", "two", "near"):
        story.run("validate", name, "--marked")
        story.run("validate", name)
    golden(GOLDEN / "validate-marks.txt", story.text())


def test_an_input_tells_state_tools_and_messages(story: CommandStory, golden: Compare) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "pattern": "^[A-Z]"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    tool = {"name": "weather", "description": "tells", "parameters": schema}
    loose = {"name": "loose", "description": "any"}
    broken = {"name": "broken", "description": "wrong", "parameters": {"type": "nothing"}}
    given = {
        "threadId": "t",
        "runId": "r1",
        "state": {"list": [1, 2], "open": True},
        "tools": [tool, loose, broken],
        "messages": [{"id": "u", "role": "user", "content": "hi"}],
    }
    story.write("input", json.dumps(given).encode())
    texts = [event("RS:r1"), event("TS:u", role="assistant"), event("TE:u")]
    arguments = ['{"city": "Bonn", "days": 2}', '{"city": "bonn"}', '{"days": "two"}', "[1]", "{", ""]
    for tool_name in ("weather", "loose", "broken", "unknown"):
        for number, text in enumerate(arguments):
            name = f"{tool_name}-{number}"
            texts += [
                event(f"KS:{name}", toolCallName=tool_name),
                *([event(f"KA:{name}", delta=text)] if text else []),
                event(f"KE:{name}"),
            ]
    patches = [
        [{"op": "add", "path": "/list/-", "value": 3}],
        [{"op": "replace", "path": "/closed", "value": 1}],
        [{"op": "add", "path": "/closed/deep", "value": 1}],
        [{"op": "test", "path": "/open", "value": False}, {"op": "remove", "path": "/open"}],
        [{"op": "remove", "path": "/list/3"}],
        [{"op": "move", "from": "/list", "path": "/list/0"}],
    ]
    texts += [json.dumps({"type": "STATE_DELTA", "delta": patch}).encode() for patch in patches]
    texts.append(event("RF:r1"))
    story.write("stream", lines(texts))
    repeated = event("RS:r1", input=given)
    story.write("repeated", lines([repeated, *texts[1:]]))
    story.run("validate", "stream", "--input", "input")
    story.run("validate", "repeated", "--json")
    golden(GOLDEN / "validate-input.txt", story.text())
