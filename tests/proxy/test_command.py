"""`dtvn events-proxy`: the page's lines word for word, what it prints, and settings that end it at once."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dtvn.cli import events_proxy, serving
from dtvn.events.rules import Severity, Violation
from dtvn.proxy import Report, Run
from tests.support.table import table
from tests.waiting import PATIENCE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "use" / "events.md"
NEEDS = "dtvn events-proxy needs uvicorn: pip install 'dtvn[events]'\n"
PROGRAM = [sys.executable, "-c", "from dtvn.cli.main import command; command()"]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that ends with the test."""
    environment = os.environ | {"PYTHONPATH": str(PAGE.parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def agent(folder: Path) -> list[str]:
    return [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]


def port_in(line: str) -> int:
    found = re.search(r"(?:port |127\.0\.0\.1:)(\d+)", line)
    assert found is not None, line
    return int(found[1])


def test_the_pages_lines_work_word_for_word(tmp_path: Path) -> None:
    """But for the ports, which may be taken here."""
    before, proxy_section = PAGE.read_text(encoding="utf-8").split("\n## Proxy\n")
    typed, shown = re.findall(r"```\n(.*?)```", proxy_section, re.DOTALL)[:2]
    for name, text in re.findall(r"cat > (\S+) <<END\n(.*?)END\n", before, re.DOTALL):
        (tmp_path / name).write_text(text)
    served, proxied, asked = (shlex.split(line.removesuffix(" &")) for line in typed.splitlines())
    assert served == ["python3", "-m", "http.server", "8000", "--bind", "127.0.0.1"]
    assert asked[0] == "curl"
    with running(agent(tmp_path), tmp_path) as upstream:
        address = proxied[3].replace("8000", str(port_in(line_of(upstream))))
        given = [*PROGRAM, proxied[1], proxied[2], address, *proxied[4:], "--port", "0"]
        with running(given, tmp_path) as proxy:
            port = port_in(line_of(proxy))
            answer = httpx.get(asked[1].replace("8090", str(port)), trust_env=False, timeout=PATIENCE)
            assert answer.text == shown
            assert "NOT VALID. 3 events. LOCAL_ONLY. Ended: refused." in line_of(proxy)
            assert "error RUN_HAS_OPEN_MESSAGES at event 2" in line_of(proxy)
            proxy.send_signal(signal.SIGINT)
            assert proxy.wait(PATIENCE) == 0
            assert proxy.stderr is not None
            assert proxy.stderr.read() == ""


def test_a_json_line_is_printed_for_each_stream(tmp_path: Path) -> None:
    (tmp_path / "run").write_text('{"type":"RUN_STARTED","threadId":"t","runId":"r"}\n{"type":"RAW"}\n')
    with running(agent(tmp_path), tmp_path) as upstream:
        address = f"http://127.0.0.1:{port_in(line_of(upstream))}"
        given = [*PROGRAM, "events-proxy", "--upstream", address, "--port", "0", "--json"]
        with running(given, tmp_path) as proxy:
            port = port_in(line_of(proxy))
            httpx.get(f"http://127.0.0.1:{port}/run", trust_env=False, timeout=PATIENCE)
            found = json.loads(line_of(proxy))
    assert (found["path"], found["run"]) == ("/run", {"threadId": "t", "runId": "r"})
    assert (found["valid"], found["code"], found["events"]) == (False, "FIELD_MISSING", 2)


@table(
    ("wrong", "said"),
    [
        ({"upstream": "agent:8000"}, "no address of the form"),
        ({"upstream": "http://u:p@agent/"}, "no address of the form"),
        ({"cluster": "ftp://platform"}, "no address of the form"),
        ({"port": 70_000}, "not from 0 to 65535"),
    ],
    count=4,
)
def test_invalid_settings_end_it_with_2_and_a_sentence(wrong: dict[str, object], said: str) -> None:
    assert said in refused(wrong)


def test_a_port_in_use_ends_it_with_2_and_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port}" in refused({"port": port})


def refused(wrong: dict[str, object]) -> str:
    parser = argparse.ArgumentParser()
    events_proxy.add_options(parser)
    options = vars(parser.parse_args(["--upstream", "http://127.0.0.1:1"])) | wrong
    out, err = io.StringIO(), io.StringIO()
    assert events_proxy.run(options, out, err) == events_proxy.NOT_STARTED
    assert out.getvalue() == ""
    return err.getvalue()


def test_without_its_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    start = "import sys; sys.modules['uvicorn'] = None; from dtvn.cli.main import command; command()"
    given = [sys.executable, "-c", start, "events-proxy", "--upstream", "http://127.0.0.1:1"]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, NEEDS)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("no verdict within 2 s", "no verdict within 2 s. Nothing is owed: nobody judges it later."),
        ("the platform says so. Nothing is owed: again", "the platform says so. Nothing is owed: again."),
    ],
)
def test_a_stream_without_a_verdict_is_told_once_that_nothing_is_owed(reason: str, said: str) -> None:
    report = Report("POST", "/agent", None, 3, None, None, (), 0, "", reason, "complete")
    assert events_proxy._lines(report) == [f'POST "/agent": not validated. 3 events. not_validated: {said}']


def test_a_stream_is_told_with_its_run_its_end_and_what_it_broke() -> None:
    broken = Violation(3, "FIELD_MISSING", Severity.ERROR, "runId", "it lacks runId", "")
    whole = Violation(4, "NOT_JSON", Severity.WARNING, None, "it is no JSON", "")
    said = "FIELD_MISSING", (broken, whole), 0, "LOCAL_ONLY", None, "refused", 2
    report = Report("POST", "/agent", Run("t", "r"), 1_234, False, *said)
    assert events_proxy._lines(report) == [
        'POST "/agent", thread "t", run "r": NOT VALID. 1,234 events. LOCAL_ONLY. Ended: refused.'
        " 2 marks not sent, for want of a place inside a run.",
        "  error FIELD_MISSING at event 3, runId: it lacks runId",
        "  warning NOT_JSON at event 4: it is no JSON",
    ]


@table(
    ("listed", "omitted", "shown", "last"),
    [(10, 0, 10, None), (10, 5, 10, 5), (11, 0, 10, 1), (12, 3, 10, 5), (1, 0, 1, None)],
    count=5,
)
def test_violations_that_are_not_shown_are_counted(
    listed: int, omitted: int, shown: int, last: int | None
) -> None:
    broken = tuple(Violation(at, "NOT_JSON", Severity.ERROR, None, "no", "") for at in range(listed))
    report = Report("GET", "/", None, 1, True, None, broken, omitted, "", None, "complete")
    lines = events_proxy._lines(report)
    assert lines[0] == 'GET "/": valid. 1 event.'
    assert lines[1 : shown + 1] == [f"  error NOT_JSON at event {at}: no" for at in range(shown)]
    assert lines[shown + 1 :] == ([] if last is None else [f"  ... and {last} more"])


@table("text", ["0", "-1", "86400", "nan", "inf"], count=5)
def test_a_time_out_of_bounds_is_refused(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    events_proxy.add_options(parser)
    for option in ("--verdict-seconds", "--silence-seconds"):
        with pytest.raises(argparse.ArgumentError, match="above 0 and under a day"):
            parser.parse_args(["--upstream", "http://a", f"{option}={text}"])
    found = parser.parse_args(["--upstream", "http://a", "--silence-seconds", "86399.5"])
    assert found.silence_seconds == 86_399.5


@table(
    ("mode", "given", "seconds"),
    [
        ("observe", None, None),
        ("mark", None, None),
        ("refuse", None, 300.0),
        ("refuse", 5.0, 5.0),
        ("mark", 5.0, 5.0),
    ],
    count=5,
)
def test_only_refuse_drops_a_silent_stream_unasked(
    mode: str, given: float | None, seconds: float | None
) -> None:
    assert events_proxy.silence({"mode": mode, "silence_seconds": given}) == seconds


def test_the_folder_of_transcripts_is_for_its_owner_and_needs_a_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "of" / "streams"
    assert "--transcripts needs --cluster" in refused({"transcripts": folder})
    assert not folder.exists()
    refused({"transcripts": folder, "cluster": "http://127.0.0.1:1", "port": 70_000})
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_algorithm_needs_a_cluster_whose_votes_it_counts() -> None:
    assert "--algorithm needs --cluster" in refused({"algorithm": "pbft"})


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_the_address_that_is_printed_can_be_asked(host: str, address: str) -> None:
    with serving.listen(host, 0) as listener:
        assert serving.address_of(listener) == f"{address}{listener.getsockname()[1]}"
