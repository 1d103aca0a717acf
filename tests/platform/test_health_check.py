"""Silence of the web process and of workers: shown after seconds, ended after half a minute."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.waiting import wait_until
from validators.processes import health_check
from validators.processes.health_check import STARTING_PATIENCE, HealthCheck, Verdict, WebProbe
from validators.processes.node_controller import SILENT_AFTER

KILL_AFTER = 30.0
STEP = 0.2


class Watched:
    """A child that is looked at five times a second."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.beat = 0
        self.health = HealthCheck(kill_after=KILL_AFTER)
        self.health.begin(self.beat, self.now)

    def lives(self, seconds: float) -> set[Verdict]:
        """Verdicts of all checks in these seconds, while the process answers each."""
        return self._looks(seconds, beats=1)

    def is_silent(self, seconds: float) -> set[Verdict]:
        return self._looks(seconds, beats=0)

    def _looks(self, seconds: float, *, beats: int) -> set[Verdict]:
        found = set()
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.beat += beats
            found.add(self.health.look(self.beat, self.now).verdict)
        return found


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_process_that_answers_every_check_is_healthy(watched: Watched) -> None:
    assert watched.lives(100) == {Verdict.WELL}


def test_a_silent_process_is_shown_and_killed_after_30_seconds(watched: Watched) -> None:
    watched.lives(1)
    assert watched.is_silent(SILENT_AFTER - STEP) == {Verdict.WELL}
    assert watched.is_silent(KILL_AFTER - SILENT_AFTER - STEP) <= {Verdict.WELL, Verdict.SILENT}
    assert Verdict.LOST in watched.is_silent(1)


def test_a_silent_process_that_wakes_up_in_time_is_kept(watched: Watched) -> None:
    watched.lives(1)
    watched.is_silent(KILL_AFTER - 1)
    assert watched.lives(1) == {Verdict.WELL}
    assert Verdict.LOST not in watched.is_silent(KILL_AFTER - 1), "silence counts anew"


def test_a_start_has_a_longer_timeout(watched: Watched) -> None:
    assert watched.is_silent(STARTING_PATIENCE - 1) == {Verdict.WELL}
    assert Verdict.LOST in watched.is_silent(2)


def test_a_replaced_process_gets_the_timeout_of_a_start(watched: Watched) -> None:
    watched.lives(1)
    watched.is_silent(KILL_AFTER + 1)
    watched.health.begin(watched.beat, watched.now)
    assert watched.is_silent(KILL_AFTER + 1) == {Verdict.WELL}


def test_after_an_own_suspension_no_process_counts_as_silent(watched: Watched) -> None:
    """Ctrl-Z at the terminal, a closed laptop."""
    watched.lives(1)
    watched.now += 3_600
    assert watched.is_silent(SILENT_AFTER - STEP) == {Verdict.WELL}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is said."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "ASK_INTERVAL", 0.01)
    monkeypatch.setattr(health_check, "ANSWER_PATIENCE", 0.2)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.usefixtures("quick")
def test_any_answer_of_the_web_process_counts(stop: threading.Event) -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        probe = WebProbe(f"http://127.0.0.1:{server.server_port}")
        asking = threading.Thread(target=probe.run, args=(stop,))
        asking.start()
        wait_until(lambda: probe.answers >= 3, what="answers")
        stop.set()
        asking.join()
        server.shutdown()
        serving.join()


@pytest.mark.usefixtures("quick")
def test_a_suspended_web_process_gives_no_answer_though_its_socket_accepts(
    stop: threading.Event,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        probe = WebProbe(f"http://127.0.0.1:{listening.getsockname()[1]}")
        asking = threading.Thread(target=probe.run, args=(stop,))
        asking.start()
        listening.accept()[0].close()
        taken, _ = listening.accept()
        with taken:
            later, _ = listening.accept()
            later.close()
        stop.set()
        asking.join()
    assert probe.answers == 0
