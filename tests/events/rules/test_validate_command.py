"""`dtvn validate`: sources, framings, exit codes, and the three forms of the result."""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from django.core.management import call_command

from dtvn.cli import main, validate
from dtvn.events.report import KEPT
from dtvn.events.validation_config import VALIDATION_PRESETS as PRESETS
from tests.events.rules.samples import event
from tests.events.rules.test_golden import CASES, OF_BAD_SHAPE
from tests.support.table import table

GOOD = [event("RS"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")]
BAD = [*GOOD[:3], event("TC:z"), event("TE:m"), event("RF")]


def written(folder: Path, events: list[bytes], form: str = "ndjson") -> Path:
    path = folder / f"run.{form}"
    if form == "list":
        path.write_bytes(b"[" + b",\n".join(events) + b"]")
    elif form == "sse":
        path.write_bytes(b"".join(b"data: " + each + b"\n\n" for each in events))
    else:
        path.write_bytes(b"".join(each + b"\n" for each in events))
    return path


def defaults(**options: Any) -> dict[str, Any]:
    """Options as they are parsed, but for those given."""
    if options.pop("json", False):
        options["output_format"] = "json"
    parser = argparse.ArgumentParser()
    validate.add_options(parser)
    return vars(parser.parse_args(["-"])) | options


def run(*sources: object, stdin: bytes = b"", **options: Any) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    given = defaults(**options) | {"sources": [str(each) for each in sources]}
    code = validate.run(given, io.BytesIO(stdin), out, err)
    return code, out.getvalue(), err.getvalue()


def result(source: object, **options: Any) -> dict[str, Any]:
    code, out, err = run(source, json=True, **options)
    found: dict[str, Any] = json.loads(out)
    assert found.pop("source") == str(source)
    assert (code == 0) == found["valid"]
    assert err == ""
    return found


@pytest.mark.parametrize("form", ["ndjson", "list", "sse"])
def test_a_valid_stream_in_each_form(tmp_path: Path, form: str) -> None:
    found = result(written(tmp_path, GOOD, form), skip=["timestamps"])
    assert found == {
        "valid": True,
        "complete": True,
        "runs": 1,
        "events": 5,
        "delivered": 5,
        "code": None,
        "violations": [],
        "scope": "LOCAL_ONLY",
    }


@pytest.mark.parametrize("form", ["ndjson", "list", "sse"])
def test_an_invalid_stream_goes_on_after_its_error(tmp_path: Path, form: str) -> None:
    found = result(written(tmp_path, BAD, form), skip=["advice"])
    (violation,) = found.pop("violations")
    assert found == {
        "valid": False,
        "complete": True,
        "runs": 1,
        "events": 6,
        "delivered": 3,
        "code": "MESSAGE_NOT_OPEN",
        "scope": "LOCAL_ONLY",
    }
    assert violation == {
        "index": 3,
        "code": "MESSAGE_NOT_OPEN",
        "severity": "error",
        "field": "messageId",
        "message": 'Message "z" is not open. Open: "m".',
        "suggestion": 'Give the messageId of the message that is open: "m"; or start this one first.',
    }


@table("case", CASES, count=87, ids=lambda case: case["id"])
def test_the_golden_cases(tmp_path: Path, case: dict[str, Any]) -> None:
    source = written(tmp_path, [json.dumps(each).encode() for each in case["events"]])
    expected = (case["delivered"], case["code"])
    for skip in ["advice"], ["advice", "shape"]:
        found = result(source, skip=skip)
        if "shape" in skip or case["id"] not in {*OF_BAD_SHAPE, "V77"}:
            assert (found["delivered"], found["code"]) == expected


def test_an_unknown_outcome_of_a_subagent_is_dropped_as_by_clients(tmp_path: Path) -> None:
    """V77 was played to the client's rules of order alone; before these it drops the outcome."""
    (case,) = [case for case in CASES if case["id"] == "V77"]
    source = written(tmp_path, [json.dumps(each).encode() for each in case["events"]])
    found = result(source, skip=["advice"])
    assert (found["code"], found["delivered"]) == (None, 3)
    assert result(source, profile="seed")["code"] == "SUBAGENT_BAD_OUTCOME"


def test_one_refused_event_is_one_error(tmp_path: Path) -> None:
    """A78 of the contract: an event that is refused does not advance the state."""
    events = [event("RS"), event("TC:m"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")]
    found = result(written(tmp_path, events), skip=["advice"])
    assert [(each["index"], each["code"]) for each in found["violations"]] == [(1, "MESSAGE_NOT_OPEN")]


def test_the_text_shows_the_event_and_its_neighbours(tmp_path: Path) -> None:
    code, out, _ = run(written(tmp_path, BAD), skip=["advice"])
    assert code == 1
    head, blank, error, advice, *lines = out.splitlines()
    assert head.endswith("run.ndjson: NOT VALID. 6 events, 1 error, 0 warnings. AG-UI 1.0, LOCAL_ONLY.")
    assert (blank, error) == (
        "",
        'error MESSAGE_NOT_OPEN at event 3 (line 4), messageId: Message "z" is not open. Open: "m".',
    )
    assert advice == '  Give the messageId of the message that is open: "m"; or start this one first.'
    assert lines == [
        f"  {'>' if number == 3 else ' '}     {number}  {BAD[number].decode()}" for number in (1, 2, 3, 4)
    ]


def test_warnings_let_a_stream_be_valid(tmp_path: Path) -> None:
    events = [event("RS"), event("TS:m"), event("TC:m", delta="x\n" * 5001)]
    code, out, _ = run(written(tmp_path, events))
    assert code == 0
    for rule in ("MESSAGE_CONTENT", "STREAM_NOT_TERMINATED"):
        assert f"warning {rule}" in out


@pytest.mark.parametrize("given", [{"preset": "testing"}, {"skip": ["order"]}, {"skip": ["order", "shape"]}])
def test_order_can_be_left_out(tmp_path: Path, given: dict[str, Any]) -> None:
    source = written(tmp_path, BAD[1:])
    assert run(source)[0] == 1
    found = result(source, **given)
    assert (found["valid"], found["delivered"]) == (True, 5)


def test_a_preset_leaves_out_its_advice(tmp_path: Path) -> None:
    source = written(tmp_path, [event("RS:r"), *(event(each, messageId="") for each in ("TS", "TC", "TE"))])
    codes = {name: {each["code"] for each in result(source, preset=name)["violations"]} for name in PRESETS}
    end = {"STREAM_NOT_TERMINATED"}
    assert {"EMPTY_ID", *end} == codes["default"] == codes["production"]
    assert (codes["development"], codes["permissive"], codes["testing"]) == (end, set(), set())
    assert result(source, preset="default", skip=["advice"])["violations"] == []


def test_protocol_0x_is_named_once(tmp_path: Path) -> None:
    thinking = [json.dumps({"type": f"THINKING_{what}"}).encode() for what in ("START", "END") * 20]
    source = written(tmp_path, [event("RS"), *thinking, event("RF")])
    for profile, code in (("default", None), ("seed", "PROTOCOL_0X")):
        found = result(source, skip=["advice"], profile=profile)
        assert [each["code"] for each in found["violations"]] == ["PROTOCOL_0X"]
        assert (found["code"], found["omitted"]) == (code, {"PROTOCOL_0X": 39})
    assert "40 signs of AG-UI protocol 0.x." in run(source)[1]
    dropped = result(source, skip=["advice"], drop_unknown=True, profile="seed")
    assert (dropped["valid"], dropped["events"], dropped["delivered"]) == (True, 42, 2)


def test_of_many_violations_a_bounded_number_is_kept(tmp_path: Path) -> None:
    source = written(tmp_path, [event("RS"), *(event(f"TC:{n}") for n in range(KEPT + 7)), event("RF")])
    found = result(source, skip=["advice"])
    assert (len(found["violations"]), found["omitted"]) == (KEPT, {"MESSAGE_NOT_OPEN": 7})
    assert f"... and {KEPT - 3} more MESSAGE_NOT_OPEN" in run(source)[1]


def test_one_cause_is_listed_once(tmp_path: Path) -> None:
    source = written(tmp_path, [event("RS"), *[event("TC:z")] * 8, event("RF")])
    found = result(source, skip=["advice"])
    assert (len(found["violations"]), found["omitted"]) == (1, {"MESSAGE_NOT_OPEN": 7})
    head, *lines = run(source, skip=["advice"])[1].splitlines()
    assert head.endswith("NOT VALID. 10 events, 1 error, 0 warnings. AG-UI 1.0, LOCAL_ONLY.")
    assert lines[-1] == "... and 7 more MESSAGE_NOT_OPEN"


def test_the_first_refusal_can_end_the_check(tmp_path: Path) -> None:
    found = result(written(tmp_path, BAD), skip=["advice"], first=True)
    assert (found["events"], found["delivered"]) == (4, 3)


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    _, out, _ = run(written(tmp_path, [event("RS"), b'{"type":"\x1b[31m"}', b'{"type":"\\u001b[31m"}']))
    assert "\x1b" not in out


def test_a_dash_reads_standard_input(tmp_path: Path) -> None:
    assert result("-", stdin=b"\n".join(GOOD))["delivered"] == 5
    assert result("-", stdin=b"")["events"] == 0


@table("source", ["nowhere.ndjson", ".", "http://127.0.0.1:1/", "http://[", "-"], count=5)
def test_an_unreadable_source_is_reported_in_one_line(source: str) -> None:
    code, out, err = run(source, stdin=b"hello\n")
    assert (code, out) == (2, "")
    assert err.startswith("dtvn validate: ")
    assert err.count("\n") == 1


def test_junit_names_each_error(tmp_path: Path) -> None:
    target = tmp_path / "result.xml"
    bad = b'{"type":"\\u0001<&\\""}'
    source = written(tmp_path, [*BAD[:4], bad])
    assert run(source, junit=target, skip=["advice"], profile="seed")[0] == 1
    (suite,) = fromstring(target.read_text("utf-8"))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "3")
    names = [case.get("name") for case in suite]
    assert names == ["5 events", "event 3: MESSAGE_NOT_OPEN", "event 4: UNKNOWN_EVENT_TYPE"]
    assert run(written(tmp_path, GOOD), junit=target)[0] == 0
    assert [suite.get("failures") for suite in fromstring(target.read_text("utf-8"))] == ["0"]
    assert run(written(tmp_path, GOOD), junit=tmp_path / "no" / "x.xml")[0] == 2


class Agent(BaseHTTPRequestHandler):
    """Serves a run as server-sent events, the protobuf transport, and an error."""

    def do_GET(self) -> None:
        self.send_response(500 if self.path in ("/broken", "/hostile") else 200)
        kinds = {"/proto": "application/vnd.ag-ui.event+proto", "/hostile": "text/plain"}
        self.send_header("Content-Type", kinds.get(self.path, "text/event-stream"))
        self.end_headers()
        if self.path == "/hostile":
            self.wfile.write(b"Oh\n::stop-commands::x ##[error]\x1b[31m" + b"!" * 999)
            return
        self.wfile.write(b"".join(b"data: " + each + b"\n\n" for each in GOOD))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def agent() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_is_read(agent: str) -> None:
    assert result(agent + "/run")["delivered"] == 5
    assert run(agent + "/broken")[2].endswith("it answers 500\n")
    assert "not validated" in run(agent + "/proto")[2]


def test_what_an_agent_answers_is_no_command_of_a_workflow(agent: str) -> None:
    code, out, err = run(agent + "/hostile", output_format="github")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(
        f"dtvn validate: cannot read {agent}/hostile: it answers 500: Oh ::stop-commands::x # #["
    )
    assert "\\u001b[31m" in line
    assert line.isprintable()
    assert line.endswith("!...")
    assert len(line) < 300


def test_manage_py_does_the_same(tmp_path: Path) -> None:
    out = io.StringIO()
    call_command("validate_events", str(written(tmp_path, GOOD)), "--json", stdout=out)
    assert json.loads(out.getvalue())["valid"]
    with pytest.raises(SystemExit) as stopped:
        call_command("validate_events", str(written(tmp_path, BAD)), stdout=out)
    assert stopped.value.code == 1


def program(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    start = "from dtvn.cli.main import command; command()"
    given = [sys.executable, "-c", start, "validate", *map(str, arguments)]
    return subprocess.run(given, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.parametrize(("form", "said"), [("--json", r"\"\u00e9\""), ("--first", r'"\xe9"')])
def test_any_text_is_printed_whatever_the_encoding(tmp_path: Path, form: str, said: str) -> None:
    source = written(tmp_path, [b'{"type":"\xc3\xa9"}'])
    found = program(source, form, "--profile", "seed", PYTHONIOENCODING="ascii")
    assert (found.returncode, found.stderr) == (1, "")
    assert said in found.stdout


@table(
    "environment",
    [{"ALL_PROXY": "socks5://a"}, {"ALL_PROXY": "odd://a"}, {"SSL_CERT_FILE": "nowhere"}],
    count=3,
)
def test_an_environment_that_httpx_cannot_use_ends_with_2(environment: dict[str, str]) -> None:
    found = program("https://127.0.0.1:1/", **environment)
    assert found.returncode == 2
    assert found.stderr.startswith("dtvn validate: cannot read https://127.0.0.1:1/: ")


def test_a_failure_of_the_program_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dtvn", "validate", "-"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit) as stopped:
        main.command()
    assert stopped.value.code == 2


def test_the_program_needs_neither_django_nor_httpx_for_a_file(tmp_path: Path) -> None:
    start = "import sys; from dtvn.cli.main import run; code = run(sys.argv[1:]); print(code, *sys.modules)"
    given = [sys.executable, "-c", start, "validate", str(written(tmp_path, BAD)), "--json"]
    said = subprocess.run(given, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    assert said[0] == "1"
    assert not {"django", "httpx", "zmq", "asyncio"} & set(said)


@pytest.mark.bench
def test_a_small_file_takes_under_400_ms_of_processor(tmp_path: Path) -> None:
    source = written(tmp_path, GOOD)
    program(source)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert program(source).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 0.4


def test_advice_is_chosen_by_its_code(tmp_path: Path) -> None:
    source = written(
        tmp_path, [event("RS"), event("TS:m"), event("TC:m", delta=""), event("KS:c"), event("RE")]
    )
    both = {"EMPTY_DELTA"}
    assert {each["code"] for each in result(source)["violations"]} == both
    assert result(source, off=[["EMPTY_DELTA"]])["violations"] == []
    seed = {each["code"] for each in result(source, profile="seed")["violations"]}
    assert seed == {"EMPTY_DELTA", "TIMESTAMP_VALIDATION", "MESSAGE_INCOMPLETE", "TOOL_INCOMPLETE"}
    only = result(source, profile="client", only=[["TOOL_INCOMPLETE", "MESSAGE_INCOMPLETE"]])["violations"]
    assert [each["code"] for each in only] == ["MESSAGE_INCOMPLETE", "TOOL_INCOMPLETE"]


@pytest.mark.parametrize(
    "given", [["--off", "EMPTY"], ["--only", "MESSAGE_NOT_OPEN"], ["--max-warnings", "-1"]]
)
def test_what_is_no_code_of_advice_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.run(["validate", "-", *given])
    assert given[1] in capsys.readouterr().err or given[1] == "-1"


def test_more_warnings_than_allowed_fail(tmp_path: Path) -> None:
    source = written(tmp_path, [event("RS"), event("CU", name=""), event("CU", name="ag-ui"), event("RF")])
    assert run(source, max_warnings=2)[0] == 0
    code, out, err = run(source, max_warnings=1)
    assert (code, err) == (1, "dtvn validate: more than 1 warnings: 2\n")
    assert "valid. 4 events, 0 errors, 2 warnings." in out


def test_the_input_that_a_run_was_asked_with_is_read(tmp_path: Path) -> None:
    delta = b'{"type":"STATE_DELTA","delta":[{"op":"replace","path":"/a","value":1}]}'
    source = written(tmp_path, [event("RS"), delta, event("RF")])
    assert [each["code"] for each in result(source)["violations"]] == ["STATE_DELTA_BEFORE_SNAPSHOT"]
    given = tmp_path / "input.json"
    given.write_text('{"threadId":"t","runId":"r","messages":[],"state":{"a":0}}')
    assert result(source, input=given)["violations"] == []
    given.write_text('{"threadId":"t"}')
    code, out, err = run(source, input=given)
    assert (code, out) == (2, "")
    assert "input.json is no RunAgentInput: " in err
    assert run(source, input=tmp_path / "none.json")[0] == 2


def test_events_of_0x_are_judged_as_clients_convert_them(tmp_path: Path) -> None:
    thinking = [json.dumps({"type": f"THINKING_{what}"}).encode() for what in ("START", "END") * 20]
    source = written(tmp_path, [event("RS"), *thinking, event("RF")])
    found = result(source, accept_0x=True)
    assert (found["valid"], found["delivered"], found["omitted"]) == (True, 42, {"PROTOCOL_0X": 39})
    assert run(source, accept_0x=True, cluster="http://127.0.0.1:1")[0] == 2


def test_lines_that_the_official_client_cannot_split_are_told(tmp_path: Path) -> None:
    source = tmp_path / "run.sse"
    source.write_bytes(b"".join(b"data: " + each + b"\r\n\r\n" for each in GOOD))
    assert [each["code"] for each in result(source)["violations"]] == ["LINE_ENDS"]


class Interrupted(io.BytesIO):
    """A stream at whose end the operator presses Ctrl-C."""

    def read1(self, size: int | None = -1, /) -> bytes:
        if piece := super().read1(-1 if size is None else size):
            return piece
        raise KeyboardInterrupt


def test_a_stream_that_the_operator_interrupts_is_judged_as_far_as_it_was_read() -> None:
    """Also the last event, whose line has no end, and that the run is not finished."""
    out = io.StringIO()
    given = defaults(json=True, complete=True, skip=["timestamps"]) | {"sources": ["-"]}
    code = validate.run(given, Interrupted(b"\n".join(GOOD[:4])), out, io.StringIO())
    found = json.loads(out.getvalue())
    assert (code, found["events"], found["complete"]) == (1, 4, False)
