"""Tells what the foreground processes of a platform do, call by call: the preparation, children and threads,
each look at them, the end; of `up`, of `supervisor` and of `follow`; and what refuses a start."""

from __future__ import annotations

import re
import signal
import threading
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connections

from dtvn.node.options import StartError
from dtvn.protocol.quorum import Mode
from tests.api.telling import LEFT_OUT, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.models import NodeRole
from validators.processes import follow, readiness, supervisor, supervisor_mode
from validators.processes.follow import FollowSupervisor
from validators.processes.supervisor import Supervisor
from validators.processes.supervisor_mode import SupervisorMode
from validators.services import api_keys

MEMBERS = ["node0", "node1", "node2", "node3"]
TURNS = 4
"""Looks at the children until somebody ends a network."""


class Run:
    """A run whose collaborators are told, and whose time passes in its waits."""

    def __init__(self, folder: Path) -> None:
        self.told = Recorder(folder)
        self.folder = DataFolder(folder)
        self.made: Any = None
        self.now, self.looks = 100.0, 0
        self.living: set[str] = set()
        self.pause = 1.0
        """The least seconds that a wait takes."""
        self.lost_at = 0
        """The look at which another run has taken the lease; 0: at none."""
        self.signals_at: tuple[int, ...] = (TURNS,)
        self.cluster = self.told.thing("ClusterController")
        self.found: Any = None
        """By which the cluster's controller founds one."""

    def alarm(self, seconds: float) -> bool:
        """A wait of the main thread."""
        self.looks += 1
        self.now += max(seconds, self.pause)
        for _ in range(self.signals_at.count(self.looks)):
            self.made._on_signal(signal.SIGTERM, None)
        if self.looks == self.lost_at:
            self.made._lease.lost = "the platform's database now belongs to another run"
        return self.looks % 2 == 0

    def child(self, name: str, arguments: list[str], output: Any, **named: Any) -> Any:
        told = self.told.thing(name)
        beat, ended = named.pop("beat"), named.pop("ended", None)
        named["health"] = named["health"]._kill_after
        self.told.call("Child", name, arguments, **named)
        self.told.answers |= {
            f"{name}.lives": lambda: name in self.living,
            f"{name}.rest": lambda most: most / 2 if name == "web" else most,
            f"{name}.start": lambda: self.living.add(name),
            f"{name}.kill": lambda: self.living.discard(name),
        }
        told.name, told.process_id, told.beat, told.ended = name, 40 + len(name), beat, ended
        return told

    def thread(self, *, target: Any, name: str, daemon: bool, args: tuple[Any, ...] = ()) -> Any:
        told = self.told.thing(f"thread {name}")
        told.target, told.daemon, told.ident = target, daemon, 7 if name != "ready" else None
        self.told.call("Thread", name, target, args, daemon=daemon)
        return told

    def control(self, folder: DataFolder, found: Any) -> Any:
        self.found = found
        return self.cluster

    def lease(self, folder: DataFolder) -> Any:
        told = self.told.thing("lease")
        told.lost, told.platform_id = "", "0123456789abcdef"
        return told

    def begin(self, made: Any) -> Any:
        self.made = made
        made._output = self.told.thing("output")
        return made

    def tell(self, title: str) -> None:
        """Run to the end."""
        self.told.chapter(title)
        try:
            self.told.say(f"  = {self.made.run()}")
        except StartError as error:
            self.told.say(f"  = StartError: {self.told.shown(str(error))}")
        self.looks, self.living = 0, set()

    def text(self) -> str:
        return re.sub(r"process \d+", "process PID", self.told.text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(tmp_path)
    told = made.told
    stand_in(made, monkeypatch)
    told.answers |= {
        "preparation.ensure_cluster": ("the genesis", "a remark"),
        "preparation.own_members": MEMBERS[:2],
        "preparation.register_cluster": MEMBERS,
        "preparation.ensure_accounts": {"admin_user": "admin", "api_key": "a key"},
        "tcp_ports.listen": told.thing("listener"),
        "listener.fileno": 9,
        "RecordLock": told.thing("lock"),
        "lock.take": True,
        "signal_at_writes": True,
        "alarm.wait": made.alarm,
    }
    return made


def stand_in(made: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what is told in the place of all that a supervisor calls."""
    told = made.told
    for name in ("preparation", "servers"):
        monkeypatch.setattr(supervisor, name, told.thing(name))
    ports = told.thing("tcp_ports")
    ports.LOOPBACK = "127.0.0.1"
    monkeypatch.setattr(supervisor, "tcp_ports", ports)
    monkeypatch.setattr(environment, "ensure_secret_key", told.function("ensure_secret_key"))
    monkeypatch.setattr(connections, "close_all", told.function("close_all"))
    names = ("reap", "finish_putting_aside", "RecordLock", "signal_at_writes", "log_through", "reset_cluster")
    for name in (*names, "ApiProbes", "Reconciler", "Attention", "ClusterController"):
        told.answers.setdefault(name, told.thing(name))
        monkeypatch.setattr(supervisor, name, told.function(name))
    told.answers |= {"reap": None, "finish_putting_aside": None, "log_through": None, "reset_cluster": None}
    made.cluster.validators = 4
    told.answers["ClusterController"] = made.control
    monkeypatch.setattr(supervisor, "Alarm", lambda: told.thing("alarm"))
    bells = cycle(("news", "requests"))
    monkeypatch.setattr(supervisor, "Bell", lambda: told.thing(next(bells)))
    monkeypatch.setattr(supervisor, "WebProbe", lambda url: told.call("WebProbe", url) or told.thing("probe"))
    monkeypatch.setattr(supervisor, "PlatformLease", made.lease)
    monkeypatch.setattr(supervisor, "Child", made.child)
    monkeypatch.setattr(supervisor, "close_old_connections", told.function("close_old_connections"))
    threads = SimpleNamespace(Thread=made.thread, Event=threading.Event)
    monkeypatch.setattr(supervisor, "threading", threads)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: made.now))
    signals = SimpleNamespace(signal=lambda number, by: told.call("signal", number.name, by))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"):
        setattr(signals, name, getattr(signal, name))
    monkeypatch.setattr(supervisor, "signal", signals)


def up(run: Run, **named: Any) -> Any:
    given: dict[str, Any] = {"host": "127.0.0.1", "port": 8000, "nodes": 4} | named
    return run.begin(Supervisor(run.folder, **given))


def test_what_a_run_of_up_does(golden: Compare, run: Run) -> None:
    up(run)
    run.tell("until a signal")
    up(run, host="::", nodes=None, consensus=Mode.RAFT)
    run.told.answers |= {"signal_at_writes": False, "preparation.ensure_cluster": ("the genesis", "")}
    run.tell("on all addresses, as raft, where written files are not told of")
    up(run)
    run.told.answers["web.terminate"] = run.living.clear
    run.signals_at = (TURNS, TURNS + 2, TURNS + 2)
    run.tell("with two more signals at the end")
    run.signals_at, run.lost_at = (), 3
    up(run)
    run.tell("until another run has the lease")
    up(run)
    run.made._on_signal(signal.SIGINT, None)
    run.tell("a signal before anything has started")
    golden(beside(__file__, "supervisor_up"), run.text())


def test_what_refuses_a_run_of_up(golden: Compare, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "preparation.check_events_config",
        "servers.check_servers",
        "lease.take",
        "tcp_ports.listen",
        "preparation.ensure_cluster",
        "tcp_ports.check_node_ports",
        "preparation.collect_static",
    ):
        before = run.told.answers.get(name)
        run.told.answers[name] = StartError("not here")
        up(run)
        run.tell(f"refused by {name}")
        run.told.answers[name] = before
    run.told.answers["lock.take"] = False
    up(run)
    run.tell("another run holds the folder")
    monkeypatch.setattr(supervisor, "following_in", lambda root: object())
    up(run)
    run.tell("a follower's folder")
    golden(beside(__file__, "supervisor_refused"), run.text())


def test_what_follow_does(golden: Compare, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run.told
    for name in ("register_nodes", "load_genesis"):
        monkeypatch.setattr(follow, name, told.function(name))
    monkeypatch.setattr(follow, "preparation", told.thing("preparation"))
    monkeypatch.setattr(follow, "genesis", told.thing("genesis"))
    monkeypatch.setattr(follow, "Platform", SimpleNamespace(objects=told.thing("platform")))
    monkeypatch.setattr(follow, "Child", run.child)
    monkeypatch.setattr(follow, "threading", SimpleNamespace(Thread=run.thread, Event=threading.Event))
    told.answers |= {"load_genesis": "the genesis", "genesis.cluster_id": b"\x01\x02"}
    run.begin(FollowSupervisor(run.folder, host="127.0.0.1", port=8000))
    run.tell("until a signal")
    golden(beside(__file__, "supervisor_follow"), run.text())


def test_what_becomes_ready(golden: Compare, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the threads of a run do, apart from its main thread."""
    told = run.told
    monkeypatch.setattr(
        readiness, "wait", lambda url, stop, say: say("a word") or told.call("readiness.wait", url)
    )
    monkeypatch.setattr(readiness, "ask", told.function("readiness.ask"))
    monkeypatch.setattr(follow, "tell_age", told.function("tell_age"))
    monkeypatch.setattr(supervisor, "write_private_json", told.function("write_private_json"))
    for ready in (False, True):
        told.chapter(f"up: ready {ready}")
        told.answers["readiness.wait"] = ready
        up(run, host="192.0.2.1")._prepare_web()
        run.made._announce_when_ready()
    replies = [readiness.Reply(reason="as of 61 s ago", answered=True)] * 3 + [readiness.Reply(sequence=5)]
    told.answers["readiness.ask"] = lambda url: replies.pop(0)
    told.chapter("follow")
    followed = run.begin(FollowSupervisor(run.folder, host="127.0.0.1", port=8000))
    waits = iter((0.0, 9.0, 10.0, 0.1))
    clock = SimpleNamespace(now=100.0)

    def wait(seconds: float) -> bool:
        told.say(f"  wait {seconds}")
        clock.now += next(waits)
        return False

    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=lambda: clock.now))
    followed._stop = SimpleNamespace(wait=wait, is_set=lambda: False)
    followed._announce_when_ready()
    followed._stop = SimpleNamespace(wait=lambda seconds: True, is_set=lambda: True)
    followed._announce_when_ready()
    golden(beside(__file__, "supervisor_ready"), run.text())


def test_what_reconcile_does_after_troubles(
    golden: Compare, run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns that are due or not, that fail in one way or another, and succeed."""
    told = run.told
    made = up(run)
    attention = told.answers["Attention"]
    told.answers["Reconciler"].names = MEMBERS
    attention.processes = [41, 42]
    run.cluster.starting = False
    locked, gone = OperationalError("database is locked\nand more"), ValueError("no such row")
    looks = iter([(False, None), (True, None), (True, locked), (True, locked), (True, gone), (True, None)])

    def due(*_: object) -> bool:
        is_due, failure = next(looks, (None, None))
        told.answers["ClusterController.turn"] = failure
        run.cluster.validators += 3 if is_due else 0
        if is_due is None:
            made._stop.set()
        return bool(is_due)

    told.answers |= {
        "Attention.is_due": due,
        "Attention.rest": 0.2,
        "Reconciler.turn": True,
        "news.wait": lambda *_: told.say(f"  settled {vars(attention).get('settled')}"),
    }
    made._make_children(9, 4)
    made._reconcile()
    told.lines += [f"  log: {LEFT_OUT.sub('', record.getMessage())}" for record in caplog.records]
    told.chapter("room for more nodes")
    for validators in (4, 5, 12, 12):
        run.cluster.validators = validators
        made._make_room()
        told.say(f"  {validators} validators, {made._slots} slots, {len(made._children)} children")
    told.chapter("waits for a change of members, and founding")
    told.say(f"  {made._stopped(3.0)}")
    monkeypatch.setattr(supervisor, "found_cluster", told.function("found_cluster"))
    run.found(MEMBERS)
    golden(beside(__file__, "supervisor_turns"), run.text())


@pytest.mark.django_db
def test_whose_nodes_are_lost_with_a_worker(
    golden: Compare, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from validators.services.nodes import register_nodes

    register_nodes(MEMBERS)
    told = run.told
    monkeypatch.setattr(supervisor, "heartbeat", told.function("heartbeat"))
    made = up(run)
    made._make_children(9, 4)
    made._probe.answers = 12
    for child in made._children:
        told.say(f"{child.name} beats: {child.beat()}")
        told.say(f"{child.name} ends")
        if child.ended is not None:
            child.ended()
    monkeypatch.setattr(supervisor, "ManagedNode", SimpleNamespace(objects=told.thing("rows")))
    told.answers["rows.filter"] = OperationalError("the server has gone\naway")
    made._worker_lost(NodeRole.VALIDATOR)
    told.lines += [f"log: {LEFT_OUT.sub('', record.getMessage())}" for record in caplog.records]
    golden(beside(__file__, "supervisor_lost_workers"), run.text())


def mode(run: Run, monkeypatch: pytest.MonkeyPatch, **named: Any) -> Any:
    """A run of `supervisor`."""
    told = run.told
    monkeypatch.setattr(supervisor_mode, "preparation", told.thing("preparation"))
    for name in ("reset_cluster", "start_cluster", "start_existing", "hold_key"):
        monkeypatch.setattr(supervisor_mode, name, told.function(name))
    monkeypatch.setattr(supervisor_mode, "ManagedNode", SimpleNamespace(objects=told.thing("rows")))
    told.answers |= {"rows.all": told.thing("all rows"), "preparation.register_cluster": MEMBERS[:3]}
    given: dict[str, Any] = {"host": "127.0.0.1", "port": 8000, "auto_start": 0} | named
    return run.begin(SupervisorMode(run.folder, **given))


def test_what_supervisor_prepares(golden: Compare, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a cluster in the folder, and with nodes to start at once."""
    told = run.told
    run.folder.create()
    monkeypatch.setattr(environment, "api_key", lambda: "the operator's key")
    genesis = run.folder.cluster / "genesis.bin"
    for exists in (False, True):
        if exists:
            genesis.parent.mkdir()
            genesis.write_bytes(b"")
        for auto_start in (0, 3, 7):
            told.chapter(f"cluster {exists}, start {auto_start}")
            found = mode(run, monkeypatch, auto_start=auto_start, consensus=Mode.RAFT)
            told.say(f"  = {found._prepare()}")
    told.chapter("a whole run")
    mode(run, monkeypatch)
    run.tell("until a signal")
    golden(beside(__file__, "supervisor_mode"), run.text())


@pytest.mark.django_db
def test_which_key_a_supervisor_holds(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that it was given last; keys that people made stay."""
    settings.DATA = tmp_path
    told = list[str]()
    monkeypatch.setattr(api_keys, "tell_of_change", lambda: told.append("told"))
    api_keys.store_api_key("of a person", label="mine")

    def valid() -> list[str]:
        return [each for each in ("of a person", "first", "second") if api_keys.find_api_key(each)]

    found = []
    for plain in ("first", "first", "second", ""):
        supervisor_mode.hold_key(plain)
        found.append(valid())
    assert found == [
        ["of a person", "first"],
        ["of a person", "first"],
        ["of a person", "second"],
        ["of a person"],
    ]
    assert told == ["told"] * 4


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, (0, None)), ({"DTVN_AUTO_START": "3", "CONSENSUS": "raft"}, (3, Mode.RAFT))],
)
def test_what_the_process_of_a_supervisor_reads(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environ: dict[str, str],
    expected: tuple[int, Mode | None],
) -> None:
    made: list[Any] = []

    def run(folder: DataFolder, **named: Any) -> Any:
        made.append((folder.root, named))
        return SimpleNamespace(answer=lambda command: f"answer of {command}")

    monkeypatch.setattr(supervisor_mode, "SupervisorMode", run)
    for name in ("DTVN_AUTO_START", "CONSENSUS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environ | {"DTVN_DATA": str(tmp_path), "DTVN_HOST": "::", "PORT": "81"}).items():
        monkeypatch.setenv(name, value)
    assert supervisor_mode.main() == "answer of supervisor"  # type: ignore[comparison-overlap]
    auto_start, consensus = expected
    told = {"host": "::", "port": 81, "auto_start": auto_start, "consensus": consensus}
    assert made == [(tmp_path, told)]
