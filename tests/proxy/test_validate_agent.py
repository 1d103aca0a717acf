"""`dtvn validate http://agent`: it asks an agent for a run, or reads a recording."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import RunAgentInput
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dtvn.cli import agent
from tests.events.rules.test_validate_command import result, run
from tests.proxy import pydantic_agents
from tests.proxy.support import GOOD, sse
from tests.proxy.test_validate_command import serving

INPUT = {
    "threadId": "t-1",
    "runId": "r-1",
    "messages": [{"id": "m-1", "role": "user", "content": "Which weather?"}],
    "tools": [],
    "context": [],
    "state": {},
    "forwardedProps": {},
}


class Recorder:
    """Answers a good run, and keeps what it was asked."""

    def __init__(self, **answers: Response) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self._answers = answers
        self.application = Starlette(routes=[Route("/{name}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        self.asked.append((request.method, dict(request.headers), await request.body()))
        other = self._answers.get(f"{request.method}_{request.path_params['name']}")
        return other or Response(sse(GOOD), media_type="text/event-stream")


@pytest.mark.parametrize("name", ["text", "tools", "state"])
def test_a_real_agent_is_asked_for_a_run(name: str, tmp_path: Path) -> None:
    own = tmp_path / "input.json"
    own.write_text(json.dumps(INPUT))
    with serving(pydantic_agents.application) as url:
        minimal = result(f"{url}/{name}", skip=["advice"])
        given = result(f"{url}/{name}", skip=["advice"], input=own)
    assert minimal["valid"]
    assert minimal["events"] == given["events"] > 5


def test_an_agent_gets_the_input_and_the_headers(tmp_path: Path) -> None:
    own = tmp_path / "input.json"
    own.write_text(json.dumps(INPUT))
    recorder = Recorder()
    with serving(recorder.application) as url:
        assert result(f"{url}/agent", input=own, header=[("Authorization", "Bearer k")])["events"] == 5
        assert result(f"{url}/agent")["events"] == 5
    (method, headers, body), (_, _, minimal) = recorder.asked
    assert (method, json.loads(body), headers["authorization"]) == ("POST", INPUT, "Bearer k")
    assert headers["content-type"] == "application/json"
    assert "text/event-stream" in headers["accept"]
    assert RunAgentInput.model_validate_json(minimal).messages[0].content == "Hello"


def test_an_input_may_be_a_pipe() -> None:
    """As of `--input <(jq ...)`: it can be read once, and the agent and the advice both need it."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as pipe:
        json.dump(INPUT, pipe)
    recorder = Recorder()
    try:
        with serving(recorder.application) as url:
            assert result(f"{url}/agent", input=Path(f"/dev/fd/{read}"))["events"] == 5
    finally:
        os.close(read)
    [(_, _, body)] = recorder.asked
    assert json.loads(body) == INPUT


@pytest.mark.parametrize("status", [405, 501])
def test_a_recording_is_read_by_get(status: int, tmp_path: Path) -> None:
    own = tmp_path / "input.json"
    own.write_text(json.dumps(INPUT))
    recorder = Recorder(POST_run=Response(status_code=status))
    with serving(recorder.application) as url:
        assert result(f"{url}/run")["events"] == 5
        assert [method for method, _, _ in recorder.asked] == ["POST", "GET"]
        assert recorder.asked[1][2] == b""
        code, _, err = run(f"{url}/run", input=own)
    assert (code, err) == (2, f"dtvn validate: cannot read {url}/run: it answers {status}\n")


def test_an_agents_error_is_shown() -> None:
    wrong = JSONResponse({"detail": "no \x1b[1m model"}, status_code=422)
    with serving(Recorder(POST_agent=wrong).application) as url:
        code, out, err = run(f"{url}/agent")
    assert (code, out) == (2, "")
    assert err.startswith(f'dtvn validate: cannot read {url}/agent: it answers 422: {{"detail":"no ')
    assert "\x1b" not in err


def test_a_silent_agent_is_given_up_after_the_timeout() -> None:
    async def silent(_request: Request) -> Response:
        async def body() -> Any:
            yield sse(GOOD[:1])
            await never.wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    import asyncio

    never = asyncio.Event()
    with serving(Starlette(routes=[Route("/agent", silent, methods=["POST"])])) as url:
        code, out, err = run(f"{url}/agent", timeout=0.3)
    assert (code, out) == (2, "")
    assert "timed out" in err or "Timeout" in err


def test_headers_go_to_no_other_host() -> None:
    """A key is for the agent that was named; without one a redirect is followed."""
    other = Recorder()
    with serving(other.application) as elsewhere:
        away = RedirectResponse(f"{elsewhere}/agent", status_code=307)
        with serving(Recorder(POST_agent=away).application) as url:
            code, _, err = run(f"{url}/agent", header=[("X-Key", "k")])
            assert (code, other.asked) == (2, [])
            assert "is not given the headers" in err
            assert result(f"{url}/agent")["events"] == 5
        here = RedirectResponse("/moved", status_code=307)
        recorder = Recorder(POST_agent=here)
        with serving(recorder.application) as url:
            assert result(f"{url}/agent", header=[("X-Key", "k")])["events"] == 5
    assert [(method, headers["x-key"]) for method, headers, _ in recorder.asked] == [("POST", "k")] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no RunAgentInput: Input data was truncated"),
        ("[]", "is no RunAgentInput: Expected `object`, got `array`"),
        ('{"threadId":"t","runId":"r"}', "is no RunAgentInput: Object missing required field `messages`"),
    ],
)
def test_an_input_that_is_none_is_refused_before_anything_is_asked(
    text: str, said: str, tmp_path: Path
) -> None:
    own = tmp_path / "input.json"
    own.write_text(text)
    code, out, err = run("http://127.0.0.1:1/", input=own)
    assert (code, out) == (2, "")
    assert said in err
    assert "No such file" in run("http://127.0.0.1:1/", input=tmp_path / "none")[2]


def test_headers_need_an_agent(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "file", header=[("A", "b")])
    assert (code, err) == (2, "dtvn validate: --header needs the address of an agent\n")


@pytest.mark.parametrize("header", ["no colon", ": value", "a b: c", "a: b\r\nc: d", "ä: b"])
def test_a_malformed_header_or_timeout_is_refused(header: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    agent.add_options(parser)
    for given in (["--header", header], ["--timeout", "0"], ["--timeout", "nan"]):
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args(given)
        assert stopped.value.code == 2
    assert "a header has the form 'Name: value'" in capsys.readouterr().err
    assert parser.parse_args(["--header", "A:b", "--header", "C: d:e"]).header == [("A", "b"), ("C", "d:e")]


def test_what_clients_find_no_event_in_is_not_valid() -> None:
    """The media type says that it is server-sent events: then it is read as nothing else."""
    bare = b"\n".join(GOOD) + b"\n"
    kind = "text/event-stream"
    recorder = Recorder(
        POST_bare=Response(bare, media_type=kind),
        POST_crlf=Response(sse(GOOD).replace(b"\n", b"\r\n"), media_type=kind),
        POST_lines=Response(bare, media_type="application/x-ndjson"),
    )
    with serving(recorder.application) as url:
        found = {name: result(f"{url}/{name}") for name in ("bare", "crlf", "lines")}
    assert {name: each["code"] for name, each in found.items()} == {
        "bare": "NOT_FRAMED",
        "crlf": "LINE_ENDS",
        "lines": None,
    }
