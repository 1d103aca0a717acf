"""Tells what the processes of a platform do from their first line, call by call: the web process and a
further one, a worker, the follower, and the slot in which a node runs."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from dtvn.node.options import StartError
from tests.api.telling import beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.models import ManagedNode
from validators.processes import broker_consumer, follower_process, further_web, node_task, web, worker
from validators.services.nodes import register_nodes

PARENT = 4711


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(environment, "data_folder", lambda: tmp_path)
    DataFolder(tmp_path).create()
    return Recorder(tmp_path)


def ends(told: Recorder, title: str, call: Any, *arguments: Any, **named: Any) -> None:
    """Tell a call of which the process may end."""
    told.chapter(title)
    try:
        told.say(f"  = {call(*arguments, **named)}")
    except (SystemExit, StartError) as end:
        told.say(f"  = {type(end).__name__}: {told.shown(end.args[0] if end.args else '')}")


def of_twisted(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twisted's reactor and Daphne's command are told instead."""
    internet, cli = ModuleType("twisted.internet"), ModuleType("daphne.cli")
    internet.reactor = told.thing("reactor")  # type: ignore[attr-defined]
    told.answers["CommandLineInterface"] = server = told.thing("server")
    cli.CommandLineInterface = told.function("CommandLineInterface")  # type: ignore[attr-defined]
    told.answers["server.run"] = lambda words: told.say(f"  of class {server.server_class.__name__}")
    monkeypatch.setitem(sys.modules, "twisted.internet", internet)
    monkeypatch.setitem(sys.modules, "daphne.cli", cli)


def test_what_the_web_process_does(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    from validators import figures_window
    from validators.network_watch import watch
    from validators.services import hashing
    from validators.web import body_limit, http_channel, parts, websocket_limit

    for module in (body_limit, http_channel, websocket_limit):
        monkeypatch.setattr(module, "install", told.function(f"{module.__name__}.install"))
    monkeypatch.setattr(parts, "begin", told.function("parts.begin"))
    monkeypatch.setattr(figures_window, "keep_sampling", told.function("keep_sampling"))
    monkeypatch.setattr(figures_window, "sampler", told.thing("sampler"))
    monkeypatch.setattr(watch, "keep_watching", told.function("keep_watching"))
    monkeypatch.setattr(hashing, "pool", told.thing("hashing.pool"))
    monkeypatch.setattr(http_channel.TimedChannel.room, "most", 1)
    of_twisted(told, monkeypatch)
    begun: list[Any] = []
    told.answers["reactor.callWhenRunning"] = begun.append
    monkeypatch.setattr(web, "connections_within", lambda most, *, files_each: (most, files_each))
    monkeypatch.setattr(web, "parent", told.thing("parent"))
    monkeypatch.setattr(web, "setproctitle", told.function("setproctitle"))
    monkeypatch.setattr(web, "SlotLock", told.function("SlotLock"))
    told.answers |= {"SlotLock": told.thing("lock"), "lock.take": True}
    ends(told, "web", web.main, 9, PARENT)
    told.say(f"  room {http_channel.TimedChannel.room.most}")
    told.chapter("once it runs")
    for begin in begun:
        begin()
    ends(told, "web without history", web.serve, 8)
    told.chapter("once it runs")
    for begin in begun[len(begun) // 2 :]:
        begin()
    told.answers["lock.take"] = False
    ends(told, "another web process has the folder", web.main, 9, PARENT)
    golden(beside(__file__, "entry_web"), told.text)


def test_what_a_further_web_process_does(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DTVN_HOST", "192.0.2.7")
    monkeypatch.setenv("PORT", "8001")
    for name in ("tcp_ports", "servers", "preparation", "output", "web", "logger"):
        monkeypatch.setattr(further_web, name, told.thing(name))
    for name in ("check", "setproctitle"):
        monkeypatch.setattr(further_web, name, told.function(name))

    class Listener:
        def fileno(self) -> int:
            return 9

        def __enter__(self) -> None:
            told.say("  listener opened")

        def __exit__(self, *_: object) -> None:
            told.say("  listener closed")

    told.answers["tcp_ports.listen"] = lambda host, port: Listener()
    ends(told, "it serves", further_web.main)
    for name in ("check", "servers.check_servers", "tcp_ports.listen", "preparation.collect_static"):
        before = told.answers.get(name)
        told.answers[name] = StartError("not here")
        ends(told, f"refused by {name}", further_web.main)
        told.answers[name] = before
    golden(beside(__file__, "entry_further_web"), told.text)


def of_celery(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Celery's application and signals, and what concerns this process, are told instead."""
    app = SimpleNamespace(
        loader=told.thing("loader"), steps={"consumer": set()}, conf=SimpleNamespace(), Worker=None
    )
    app.Worker = lambda **named: (
        told.call("Worker", **named) or SimpleNamespace(start=told.function("celery.start"), exitcode=3)
    )
    signals = {name: told.thing(name) for name in ("worker_shutting_down", "worker_process_init")}
    monkeypatch.setattr(worker, "app", app)
    monkeypatch.setattr(worker, "signals", SimpleNamespace(**signals))
    platforms = SimpleNamespace(set_pdeathsig=None)
    monkeypatch.setattr(worker, "platforms", platforms)
    system = SimpleNamespace(
        getpid=lambda: 99,
        environ={},
        register_at_fork=told.function("register_at_fork"),
        _exit=told.function("_exit"),
    )
    monkeypatch.setattr(worker, "os", system)
    monkeypatch.setattr(worker, "_main_process", 0)
    for name in ("helper_process", "lost_workers", "parent", "shutil", "stopping", "warnings"):
        monkeypatch.setattr(worker, name, told.thing(name))
    monkeypatch.setattr(broker_consumer, "install_filter", told.function("install_filter"))
    monkeypatch.setattr(worker, "SlotLock", told.function("SlotLock"))
    monkeypatch.setattr(worker, "socket", SimpleNamespace(gethostname=lambda: "here"))
    monkeypatch.setattr(worker, "setproctitle", told.function("setproctitle"))

    def thread(**named: Any) -> Any:
        told.call("Thread", **named)
        return told.thing("thread")

    monkeypatch.setattr(worker, "threading", SimpleNamespace(Thread=thread, Event=threading.Event))
    told.answers |= {"SlotLock": told.thing("lock"), "lock.take": True}
    return app, system, platforms


def test_what_a_worker_does(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    app, system, platforms = of_celery(told, monkeypatch)
    ends(told, "a worker of nodes", worker.main, "validators", "dtvn.0.nodes", 6, PARENT)
    told.say(f"  main process {worker._main_process}, environment {system.environ}")
    told.say(f"  steps {sorted(step.__name__ for step in app.steps['consumer'])}")
    told.say(f"  consumer {app.conf.worker_consumer.__name__}")
    told.say(f"  death signal {platforms.set_pdeathsig('SIGTERM')}")
    app.steps["consumer"].clear()
    ends(told, "one for other tasks", worker.main, "background", "a,b", 4, PARENT)
    told.answers["lock.take"] = False
    ends(told, "another one has the folder", worker.main, "background", "a,b", 4, PARENT)
    told.chapter("a pool child starts")
    signals = SimpleNamespace(
        signal=lambda number, by: told.call("signal", number.name, by.name),
        **{name: getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIG_IGN")},
    )
    monkeypatch.setattr(worker, "signal", signals)
    worker._on_child_start()
    told.chapter("a worker is told to end")
    worker._on_shutting_down()
    golden(beside(__file__, "entry_worker"), told.text)


class Request:
    """A task that a slot has begun."""

    worker_pid: int | None = 5


class Ended(Exception):
    """A process ends."""


def test_how_a_worker_shows_life_until_its_tasks_have_ended(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_celery(told, monkeypatch)
    clock = SimpleNamespace(now=100.0)
    running, waits = Request(), list[float]()

    def wait(seconds: float) -> None:
        clock.now += seconds
        waits.append(seconds)
        told.say(f"  {clock.now:.2f} wait {seconds}")
        told.answers["stopping.requested"] = len(waits) > 6
        told.answers["process_lives"] = len(waits) < 12

    def leave(code: int) -> None:
        raise Ended

    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(worker, "threading", SimpleNamespace(Event=lambda: SimpleNamespace(wait=wait)))
    monkeypatch.setattr(worker, "process_lives", told.function("process_lives"))
    monkeypatch.setattr(worker, "get_temp_dir", lambda: "shared memory")
    monkeypatch.setattr(state, "active_requests", {running})
    told.answers |= {"stopping.requested": False, "process_lives": True, "_exit": leave}
    with pytest.raises(Ended):
        worker._show_life_until_done(told.thing("lock"))
    running.worker_pid = None
    told.say(f"a task that no slot has begun runs: {worker._task_runs()}")
    golden(beside(__file__, "entry_worker_life"), told.text)


@pytest.mark.django_db
def test_what_the_follower_does(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> str:
        node = ManagedNode.objects.get(node_id="learner")
        return f"{node.desired} {node.status} {node.start_token} {node.error!r}"

    def occupy(name: str, token: str, run: Any) -> str:
        told.say(f"  occupies {name} {token}: {row()}")
        run("should stop", "beat")
        return str(answers.pop(0))

    register_nodes([])
    answers = ["stopped", "ended with code 1"]
    monkeypatch.setattr(follower_process, "parent", told.thing("parent"))
    monkeypatch.setattr(follower_process, "occupy_slot", occupy)
    monkeypatch.setattr(follower_process, "run_follower", told.function("run_follower"))
    monkeypatch.setattr(follower_process, "secrets", SimpleNamespace(token_hex=lambda size: f"token {size}"))
    for title in ("told to stop", "it fails"):
        ends(told, title, follower_process.main, PARENT)
        told.say(f"  {row()}")
    golden(beside(__file__, "entry_follower"), told.text)


class Lease:
    """What a slot tells the platform."""

    told: Recorder
    stops = False

    def __init__(self, node: ManagedNode, *, token: str, lock: Any) -> None:
        self.told.call("Lease", node.node_id, token=token, lock=lock)

    def claim(self) -> None:
        self.told.call("claim")

    def should_stop(self) -> bool:
        return self.stops

    def beat(self, report: Any) -> None:
        self.told.call("beat", report)

    def end(self, reason: str, code: int) -> None:
        self.told.call("end", reason, code)


@pytest.mark.django_db
def test_what_a_slot_does_with_a_node(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def run(should_stop: Any, beat: Any) -> int:
        beat({"sequence": 1})
        for line in lines:
            logging.getLogger("dtvn.test").error(line)
        if fails:
            raise ValueError("no such ledger")
        return 5

    settings.DATA = told.folder
    register_nodes(["node0"])
    ManagedNode.objects.update(start_token="token", running_generation=1)
    Lease.told = told
    monkeypatch.setattr(node_task, "Lease", Lease)
    for name in ("setproctitle", "name_log_lines", "signal_at_parents_death", "begin_log", "SlotLock"):
        monkeypatch.setattr(node_task, name, told.function(name))
    monkeypatch.setattr(node_task, "parent", told.thing("parent"))
    told.answers |= {"SlotLock": told.thing("lock"), "lock.take": True}
    root = logging.getLogger()
    before = root.handlers[:]
    lines, fails = list[str](), False
    try:
        ends(told, "it ends by itself", node_task.occupy_slot, "node0", "token", run)
        lines = ["first trouble", "second trouble"]
        ends(told, "with troubles", node_task.occupy_slot, "node0", "token", run)
        fails = True
        ends(told, "with an exception", node_task.occupy_slot, "node0", "token", run)
        lines, fails, Lease.stops = [], False, True
        ManagedNode.objects.update(running_generation=7)
        ends(told, "as asked, after a requested start", node_task.occupy_slot, "node0", "token", run)
        ManagedNode.objects.filter(node_id="learner").update(running_generation=7)
        ends(told, "the learner", node_task.occupy_slot, "learner", "token", run)
        ends(told, "for another start request", node_task.occupy_slot, "node0", "older", run)
        told.answers["lock.take"] = False
        ends(told, "in a slot that is taken", node_task.occupy_slot, "node0", "token", run)
        ManagedNode.objects.update(desired="stopped")
        ends(told, "that is to stop", node_task.occupy_slot, "node0", "token", run)
    finally:
        root.handlers[:] = before
        Lease.stops = False
    golden(beside(__file__, "entry_slot"), told.text)
