"""The simulator over HTTP, its worker played in this process: rows, frames, answers."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError as OperationalDatabaseError
from django.test import Client, override_settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from simulator.web import api, playing, services
from simulator.web.feed import read_frames
from simulator.web.models import RunStatus, SimulatorEvent, SimulatorRun
from simulator.web.output import Distinct
from simulator.web.start_request import StartRequest
from tests.team_keys import store_key
from validators.data_folder.folder import DataFolder
from validators.rest import keys

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

SMALL = {"nodes": 4, "byzantine_nodes": 1, "tickets": 30, "latency_ms": 5}
CONFIG = {
    "nodes": 7,
    "byzantine_nodes": 2,
    "tickets": 100,
    "duration_seconds": 60,
    "latency_ms": 50,
    "packet_loss_rate": 0.01,
    "enable_partitions": False,
}
KEY = "dtvn_key_of_the_simulator_suite"


class Web:
    """Calls /simulator; `asked` are the runs that a worker was asked to play."""

    def __init__(self) -> None:
        self.client = Client(headers={"X-API-Key": KEY})
        self.asked: list[int] = []

    def get(self, path: str = "", status: int = 200) -> Any:
        answer = self.client.get(f"/api/v1/simulator{path}")
        assert answer.status_code == status, answer.content
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        answer = self.client.post(f"/api/v1/simulator{path}", content, content_type="application/json")
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    keys.forget()
    store_key(KEY, label="simulator")
    made = Web()
    monkeypatch.setattr(api, "send", made.asked.append)
    monkeypatch.setattr(playing.os, "nice", lambda _by: 0)
    return made


HOLD = """
import sys
from pathlib import Path
from validators.data_folder.locks import SlotLock
assert SlotLock(Path(sys.argv[1])).take()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_slot() -> Iterator[None]:
    """Hold the slot lock in another process, since a process does not see its own locks."""
    path = DataFolder(services.settings.DATA).slot_lock(services.SLOT)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.kill()


def test_c44_the_simulator_is_idle_before_the_first_run(web: Web) -> None:
    assert web.get() == {"status": "idle", "output": []}
    assert web.get("/output") == {"output": []}
    assert web.get("/results", 404)["error"] == "no results available"
    assert "error" in web.post("/stop", status=409)
    assert web.get("/runs") == []


def test_c45_x37_a_run_is_sent_frame_by_frame_and_kept(web: Web) -> None:
    started = web.post("/start", SMALL)
    assert started["status"] == "started"
    assert started["config"].items() >= (CONFIG | SMALL).items()
    assert web.get()["status"] == "running"
    web.get("/results", 404)
    assert playing.play(*web.asked) == "played"

    _last, frames = read_frames(0)
    kinds = [frame["type"] for frame in frames]
    assert frames[0] == {"type": "simulator_status", "status": "running"}
    assert frames[-2]["type"] == "simulator_results"
    assert kinds.count("simulator_results") == 1
    assert frames[-1] == {"type": "simulator_status", "status": "complete"}
    progress = [frame["progress"] for frame in frames if frame["type"] == "simulator_progress"]
    assert [one["current_ticket"] for one in progress] == [10, 20, 30]
    assert progress[-1]["progress_percent"] == 100
    lines = [frame["line"] for frame in frames if frame["type"] == "simulator_output"]
    assert lines[-1] == "Simulation completed"
    assert "=== Simulation Results ===" in lines

    shown = web.get()
    assert shown["status"] == "complete"
    assert shown["output"] == lines
    assert shown["progress"] == progress[-1]
    assert shown["results"] == web.get("/results") == frames[-2]["results"]
    assert set(shown["results"]) == set(playing.CONTRACT)
    assert shown["results"]["validated_tickets"] == shown["results"]["successful_rounds"] == 30
    assert shown["results"]["average_latency_ms"] > 5
    kept = web.get(f"/runs/{started['run_id']}")
    assert kept["details"]["ended"] == "all_processed"
    assert kept["details"]["command"].startswith("manage.py simulator run --nodes 4 --byzantine ")
    assert kept["output"] == lines
    web.get(f"/runs/{started['run_id']}/trace", 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nodes": 3}, "nodes"),
        ({"nodes": 31}, "nodes"),
        ({"byzantine_nodes": 3}, "byzantine_nodes"),
        ({"byzantine_nodes": -1}, "byzantine_nodes"),
        ({"tickets": 0}, "tickets"),
        ({"tickets": 1001}, "tickets"),
        ({"duration_seconds": 9}, "duration_seconds"),
        ({"duration_seconds": 601}, "duration_seconds"),
        ({"packet_loss_rate": -0.1}, "packet_loss_rate"),
        ({"packet_loss_rate": 0.51}, "packet_loss_rate"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": 100_000}, "latency_ms"),
        ({"nodes": "7"}, "nodes"),
        ({"nodes": True}, "nodes"),
        ({"tickets": None}, "tickets"),
        ({"enable_partitions": 1}, "enable_partitions"),
        ({"seed": -1}, "seed"),
        ({"adversary": "nobody"}, "adversary"),
        (b"{", ""),
        (b"[]", ""),
        (b"nodes=7", ""),
        (b"\xff", ""),
    ],
)
def test_c46_x38_values_outside_the_limits_are_400_and_start_nothing(web: Web, body: Any, field: str) -> None:
    assert field in web.post("/start", body, status=400)["error"]
    assert web.asked == []
    assert web.get()["status"] == "idle"


def test_c46_an_empty_body_asks_for_the_defaults_and_a_second_start_waits(web: Web) -> None:
    assert web.post("/start")["config"].items() >= CONFIG.items()
    assert web.post("/start", SMALL, status=409)["code"] == "simulator_running"
    assert len(web.asked) == 1


def test_c46_an_unclaimed_run_stops_at_once_and_is_not_played_later(web: Web) -> None:
    web.post("/start", SMALL)
    assert web.post("/stop") == {"status": "stopping"}
    shown = web.get()
    assert (shown["status"], shown["output"]) == ("idle", ["Simulation cancelled"])
    assert playing.play(*web.asked) == "superseded"
    web.post("/stop", status=409)
    web.get("/results", 404)


def test_c46_a_run_can_be_stopped_while_it_plays(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.post("/start", SMALL | {"nodes": 13, "byzantine_nodes": 4, "tickets": 1000})
    progress = playing._Told.progress

    def stop_at_the_first(told: Any, current: int, *numbers: int) -> None:
        progress(told, current, *numbers)
        if current == 10:
            SimulatorRun.objects.update(stop_asked_at=timezone.now())

    monkeypatch.setattr(playing._Told, "progress", stop_at_the_first)
    playing.play(*web.asked)
    run = SimulatorRun.objects.get()
    assert run.status == RunStatus.STOPPED
    assert run.details["ended"] == "interrupted"
    assert web.get()["status"] == "idle"
    assert web.get()["output"][-1] == "Simulation cancelled"


def test_a_run_whose_process_died_has_failed(web: Web) -> None:
    web.post("/start", SMALL)
    with held_slot():
        SimulatorRun.objects.update(host=services.os.uname().nodename)
        assert web.get()["status"] == "running", "a process holds the slot"
    shown = web.get()
    assert shown["status"] == "error"
    assert shown["output"][-1] == "Simulation failed: its process ended"
    assert web.post("/start", SMALL)["status"] == "started"


def test_a_web_process_on_a_folder_of_its_own_leaves_a_run_alone(web: Web, tmp_path: Path) -> None:
    """On the run's host, but without the folder in which its process holds the slot."""
    web.post("/start", SMALL)
    host = services.os.uname().nodename
    SimulatorRun.objects.update(host=host, heartbeat_at=timezone.now())
    with override_settings(DATA=tmp_path / "own"):
        assert web.get()["status"] == "running"
        SimulatorRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
        assert web.get()["error"] == f"{host} did not respond"


def test_a_run_that_no_worker_took_up_has_failed(web: Web) -> None:
    web.post("/start", SMALL)
    SimulatorRun.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    assert web.get()["error"] == "no free worker started it"
    web.post("/start", SMALL)
    SimulatorRun.objects.filter(status="running").update(
        host="elsewhere", heartbeat_at=timezone.now() - timedelta(minutes=2)
    )
    assert web.get()["error"] == "elsewhere did not respond"


def test_without_a_broker_a_start_is_503_and_nothing_runs(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_run_id: int) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(api, "send", away)
    web.post("/start", SMALL, status=503)
    assert web.get()["status"] == "error"


def test_a_broken_promise_is_an_error_with_its_results(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug, found by the checkers."""
    monkeypatch.setattr(playing, "PlainRun", partial(playing.PlainRun, mutant="executes-out-of-order"))
    web.post("/start", SMALL)
    playing.play(*web.asked)
    shown = web.get()
    assert shown["status"] == "error"
    assert "a promise was broken" in shown["error"]
    assert shown["results"]["total_tickets"] == 30
    assert not SimulatorEvent.objects.filter(type="simulator_results").exists()


def test_runs_are_paged_traced_on_request_and_forgotten_in_the_end(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "RUNS_KEPT", 3)
    monkeypatch.setattr(services, "TRACES_KEPT", 1)
    tiny = {"nodes": 4, "byzantine_nodes": 0, "tickets": 1, "latency_ms": 1, "trace": True}
    ids = []
    for _ in range(5):
        ids.append(web.post("/start", tiny)["run_id"])
        assert playing.play(ids[-1]) == "played"
    answer = web.client.get("/api/v1/simulator/runs?limit=2")
    assert [run["id"] for run in answer.json()] == [ids[4], ids[3]]
    assert answer.headers["X-Total-Count"] == "3"
    follow = answer.headers["Link"].split(">")[0].lstrip("<")
    assert [run["id"] for run in web.client.get(follow).json()] == [ids[2]]
    web.get("/runs?after=x", 400)
    web.get("/runs?limit=0", 400)
    web.get(f"/runs/{ids[0]}", 404)
    web.get(f"/runs/{'9' * 30}", 404)
    packed = b"".join(web.client.get(f"/api/v1/simulator/runs/{ids[4]}/trace").streaming_content)
    events = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    assert (events[0][0], events[-1][0]) == ("k", "v")
    web.get(f"/runs/{ids[2]}/trace", 404)
    kept = {int(path.name.split(".")[0]) for path in services.trace_file(0).parent.glob("*.gz")}
    assert kept == {ids[3], ids[4]}


def test_a_line_repeated_within_half_a_second_is_sent_once() -> None:
    now = 0.0
    distinct = Distinct(lambda: now)
    assert distinct.passes("a")
    assert distinct.passes("b")
    now = 0.4
    assert not distinct.passes("a")
    now = 0.6
    assert distinct.passes("a")


def test_only_the_newest_lines_are_shown(web: Web) -> None:
    run = services.start(StartRequest(), web.asked.append)
    SimulatorEvent.objects.bulk_create(
        SimulatorEvent(run=run, type="simulator_output", content=f"line {n}") for n in range(600)
    )
    output = web.get("/output")["output"]
    assert (len(output), output[0], output[-1]) == (500, "line 100", "line 599")


def test_the_end_of_a_run_is_written_when_the_database_is_back(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice it is locked at the worst moment; the run is complete all the same, and told once."""
    refusals = iter([True, True])
    finish = playing.finish

    def locked_at_first(*words: Any, **more: Any) -> bool:
        if next(refusals, False):
            raise OperationalDatabaseError("database is locked")
        return finish(*words, **more)

    monkeypatch.setattr(playing, "finish", locked_at_first)
    monkeypatch.setattr(playing, "HEARTBEAT_INTERVAL", 0.01)
    web.post("/start", SMALL)
    playing.play(*web.asked)
    assert web.get()["status"] == "complete"
    assert SimulatorEvent.objects.filter(type="simulator_results").count() == 1


def test_what_could_not_be_written_is_written_later_in_its_order(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = services.start(StartRequest(), web.asked.append)
    told = playing._Told(run)
    for number in range(3):
        told.line(f"line {number}")
    with monkeypatch.context() as locked:

        def refuse(*_words: Any, **_more: Any) -> None:
            raise OperationalDatabaseError("database is locked")

        locked.setattr(SimulatorEvent.objects, "bulk_create", refuse)
        with pytest.raises(OperationalDatabaseError):
            told._write()
    told.line("line 3")
    told._write()
    told._write()
    assert web.get("/output")["output"] == [f"line {number}" for number in range(4)]


def test_the_admin_shows_runs_and_changes_none(web: Web) -> None:
    run = web.post("/start", SMALL)["run_id"]
    playing.play(run)
    person = Client()
    person.force_login(User.objects.create_superuser("ada", password="x"))
    listed = person.get("/admin/simulator/simulatorrun/")
    assert "4, 1 Byzantine" in listed.content.decode()
    assert "100.00 %" in listed.content.decode()
    shown = person.get(f"/admin/simulator/simulatorrun/{run}/change/")
    assert "Simulation completed" in shown.content.decode()
    assert person.get("/admin/simulator/simulatorrun/add/").status_code == 403
    assert person.post(f"/admin/simulator/simulatorrun/{run}/delete/").status_code == 403
