"""Tells what the endless loops of a platform's processes do, wait by wait: changes of members, a node's signs
of life and reports, a lease's renewal, the watch over a parent, children of `up`, the last word of a task."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError

from dtvn.api.errors import Unavailable
from tests.api.telling import LEFT_OUT, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from tests.platform.test_children import Heard
from validators.data_folder.changes import note_change
from validators.data_folder.folder import DataFolder
from validators.membership import change_loop
from validators.models import ManagedNode
from validators.processes import api_probes, children, last_word, lease, parent, platform_lease
from validators.processes.children import Child
from validators.processes.lease import Lease
from validators.processes.platform_lease import PlatformLease
from validators.services.nodes import register_nodes


class Ended(BaseException):
    """Leaves a loop, as the end of the process would."""


class Clock:
    """Time that passes in waits alone; something happens in each of them."""

    def __init__(self, told: Recorder, happenings: Sequence[Any] = ()) -> None:
        self.told, self.now, self.happenings = told, 100.0, list(happenings)

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        """Whether the wait was ended; the last one is."""
        self.told.say(f"  {self.now:.2f} wait {seconds}")
        self.now += seconds
        if not self.happenings:
            return True
        if (happens := self.happenings.pop(0)) is not None:
            happens()
        return False


@pytest.fixture
def told(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def logged(told: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    told.lines += [f"log: {LEFT_OUT.sub('', record.getMessage())}" for record in caplog.records]
    caplog.clear()


def test_how_changes_of_members_are_carried_out(
    golden: Compare,
    told: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    def answers(**named: Any) -> Callable[[], None]:
        return lambda: told.answers.update({name.replace("__", "."): each for name, each in named.items()})

    settings.DATA = told.folder
    noted = DataFolder(told.folder).desired_changes
    clock = Clock(told)
    clock.happenings = [
        None,
        answers(changes__turn="a change"),
        None,
        answers(changes__turn=OperationalError("database is locked\nand more")),
        None,
        answers(changes__turn=ValueError("no such row")),
        answers(changes__turn=None, evidence__collect_now_and_then=2),
        answers(newcomers__suspects=["node3"], newcomers__note_leavers=["node3"]),
        lambda: note_change(noted),
        *[None] * 3,
        answers(newcomers__note_leavers=Unavailable("away")),
        lambda: setattr(clock, "now", clock.now + 60.0),
        answers(newcomers__suspects=[], evidence__collect_now_and_then=0),
        *[None] * 3,
    ]
    for name in ("changes", "newcomers", "evidence", "network", "connections"):
        monkeypatch.setattr(change_loop, name, told.thing(name))
    for name in ("close_old_connections", "newest_epoch"):
        monkeypatch.setattr(change_loop, name, told.function(name))
    told.answers |= {"network.gateway": told.thing("gateway"), "newest_epoch": told.thing("epoch")}
    monkeypatch.setattr(change_loop, "time", clock)
    change_loop.run_changes(clock.wait)
    logged(told, caplog)
    golden(beside(__file__, "loop_changes"), told.text)


class Finished:
    """An event whose waits are told, and end at the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._set = clock, False

    def wait(self, seconds: float) -> bool:
        self._set = self._set or self._clock.wait(seconds)
        return self._set

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True


@pytest.fixture
def leased(told: Recorder, monkeypatch: pytest.MonkeyPatch, db: None) -> Lease:
    register_nodes(["node0"])
    ManagedNode.objects.update(start_token="token")
    monkeypatch.setattr(lease, "connection", told.thing("connection"))
    node = ManagedNode.objects.get(node_id="node0")
    return Lease(node, token="token", lock=told.thing("lock"))


def test_how_a_node_shows_life(
    golden: Compare, told: Recorder, leased: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(code: int) -> None:
        told.say(f"  exit {code}")
        raise Ended

    def beat() -> None:
        leased.beat({"sequence": 1})

    def orphan() -> None:
        system.getppid = lambda: 1

    system = SimpleNamespace(_exit=ends, getppid=os.getppid)
    monkeypatch.setattr(lease, "os", system)
    scenes: dict[str, list[Any]] = {
        "it begins, turns, hangs, turns": [None, None, beat, None, None, beat, beat],
        "its worker is gone, and it ends in time": [beat, orphan],
        "its worker is gone, and it hangs": [beat, orphan, None],
    }
    for title, happenings in scenes.items():
        told.chapter(title)
        system.getppid = os.getppid
        leased._finished = Finished(Clock(told, happenings))  # type: ignore[assignment]
        leased._stop = False
        try:
            leased._show_life()
        except Ended:
            told.say("  ended by force")
        told.say(f"  should stop {leased._stop}, orphaned {leased.orphaned}")
    golden(beside(__file__, "loop_life"), told.text)


def test_how_a_node_reports(
    golden: Compare,
    told: Recorder,
    leased: Lease,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(leased, "_tell", told.function("tell"))
    told.answers["tell"] = True

    def fails(error: Exception | None) -> Callable[[], None]:
        return lambda: told.answers.update(tell=error or True)

    def turns(sequence: int) -> Callable[[], None]:
        return lambda: leased.beat({"sequence": sequence})

    clock = Clock(
        told,
        [
            None,
            turns(1),
            None,
            turns(2),
            fails(DatabaseError("locked\nmore")),
            turns(3),
            fails(None),
            fails(DatabaseError("locked")),
            lambda: told.answers.update(tell=False),
            None,
        ],
    )
    leased._finished, leased._turned = Finished(clock), Finished(clock)  # type: ignore[assignment]
    leased._talk()
    told.say(f"  should stop {leased._stop}")
    logged(told, caplog)
    golden(beside(__file__, "loop_reports"), told.text)


def test_how_a_node_claims_its_row_and_leaves_it(
    golden: Compare,
    told: Recorder,
    leased: Lease,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def row() -> None:
        found = ManagedNode.objects.get(node_id="node0")
        told.say(
            f"  {found.claimed_token} {found.running_generation} {found.host == os.uname().nodename} "
            f"{found.pid == os.getpid()} {found.started_at == found.heartbeat_at} {found.exit_reason!r} "
            f"{found.report}"
        )

    monkeypatch.setattr(lease, "close_old_connections", told.function("close_old_connections"))
    before = signal.getsignal(signal.SIGTERM)
    leased._threads = [told.thing("life"), told.thing("talk")]
    told.chapter("claimed")
    row()
    leased.claim()
    row()
    told.say(f"  handles SIGTERM {signal.getsignal(signal.SIGTERM) == leased._on_sigterm}")
    leased._on_sigterm(15, None)
    told.say(f"  should stop {leased.should_stop()}")
    for title, reason in {"ended": "no disk", "ended with a long word": "x" * 1_200}.items():
        told.chapter(title)
        leased.end(reason, 4)
        found = ManagedNode.objects.get(node_id="node0")
        told.say(f"  {found.pid} {found.exit_reason[:20]} {len(found.exit_reason)} {found.report}")
    told.say(f"  SIGTERM as before {signal.getsignal(signal.SIGTERM) == before}")
    told.say(f"  finished {leased._finished.is_set()}, turned {leased._turned.is_set()}")
    told.chapter("while the database is away")
    told.answers["close_old_connections"] = OperationalError("gone\naway")
    leased.end("no disk", 1)
    logged(told, caplog)
    golden(beside(__file__, "loop_claim"), told.text)


def test_how_the_lease_of_a_platform_is_renewed(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = PlatformLease(DataFolder(told.folder))
    clock = Clock(
        told,
        [
            None,
            lambda: told.answers.update(renew=DatabaseError("away")),
            lambda: told.answers.update(renew=None),
            lambda: setattr(held, "lost", "taken"),
            None,
        ],
    )
    monkeypatch.setattr(held, "renew", told.function("renew"))
    monkeypatch.setattr(platform_lease, "close_old_connections", told.function("close_old_connections"))
    held._ended = Finished(clock)  # type: ignore[assignment]
    held._renew_until_ended()
    held.lost = ""
    told.chapter("released")
    held._ended.set()
    held._renew_until_ended()
    golden(beside(__file__, "loop_lease"), told.text)


@pytest.fixture
def family(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A process, its parent, and what it does to itself."""
    system = SimpleNamespace(parents=[7], pidfd_open=told.function("pidfd_open"), getpid=lambda: 99)
    system.getppid = lambda: system.parents.pop(0) if len(system.parents) > 1 else system.parents[0]
    for name in ("kill", "killpg", "_exit"):
        setattr(system, name, told.function(name))
    monkeypatch.setattr(parent, "os", system)
    monkeypatch.setattr(parent, "signal_at_parents_death", told.function("signal_at_parents_death"))
    polls = SimpleNamespace(poll=lambda: told.thing("poll"), POLLIN=1)
    monkeypatch.setattr(parent, "select", polls)

    def thread(**named: Any) -> Any:
        told.call("Thread", **named)
        return told.thing("thread")

    events = SimpleNamespace(Thread=thread, Event=lambda: SimpleNamespace(wait=told.function("wait")))
    monkeypatch.setattr(parent, "threading", events)
    return system


def test_how_a_process_watches_its_parent(golden: Compare, told: Recorder, family: SimpleNamespace) -> None:
    told.chapter("it follows its parent")
    parent.follow(7, grace=4.0)
    told.chapter("its parent has ended before")
    try:
        parent.follow(8, grace=4.0)
    except SystemExit as end:
        told.say(f"  = {end}")
    told.chapter("a pool child")
    parent.leave_when_idle(7)
    for title, parents in {"the parent ends": [7, 7, 7, 1], "it ended before": [1]}.items():
        for watch, more in ((parent._watch, (4.0,)), (parent._watch_idle, ())):
            told.chapter(f"{title}: {watch.__name__}")
            family.parents = list(parents)
            watch(7, *more)
    told.answers["pidfd_open"] = OSError()
    told.chapter("no descriptors of processes")
    family.parents = [7, 7, 1]
    parent._wait_for_end(7)
    golden(beside(__file__, "loop_parent"), told.text)


def test_a_pool_child_is_idle_until_it_is_busy() -> None:
    assert parent._idle.is_set()
    parent.now_busy()
    assert not parent._idle.is_set()
    parent.now_idle()
    assert parent._idle.is_set()


def test_how_children_of_up_are_started_and_ended(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = told.thing("process")
    process.pid, process.stdout = 4_711, io.BytesIO(b"one\n\n  two  \n\xff\nlast")

    def popen(words: list[str], **named: Any) -> Any:
        fixed = ["PYTHON" if word == sys.executable else word for word in words]
        fixed = ["PID" if word == str(os.getpid()) else word for word in fixed]
        named["cwd"] = Path(named["cwd"]).joinpath("manage.py").is_file()
        told.call("Popen", fixed, **named)
        return process

    words = {"DEVNULL": subprocess.DEVNULL, "PIPE": subprocess.PIPE, "STDOUT": subprocess.STDOUT}
    monkeypatch.setattr(children, "subprocess", SimpleNamespace(Popen=popen, **words))
    monkeypatch.setattr(children, "os", SimpleNamespace(getpid=os.getpid, killpg=told.function("killpg")))

    def thread(**named: Any) -> Any:
        told.call("Thread", **named)
        return told.thing("thread")

    monkeypatch.setattr(children, "threading", SimpleNamespace(Thread=thread))
    heard = Heard()
    child = Child("web", ["validators.processes.web", "9"], heard, descriptors=[9])
    told.chapter("before it starts")
    for call in (child.terminate, child.kill):
        call()
    told.say(f"  {child.process_id} {child.lives()} {child.rest(60.0)}")
    told.chapter("it starts")
    child.start()
    told.say(f"  {child.process_id} {child.lives()} {child.rest(60.0)}")
    child._relay(process)
    told.say(f"  {heard.lines}")
    told.chapter("it is to end")
    child.terminate()
    child.kill()
    told.answers["killpg"] = ProcessLookupError()
    child.kill()
    told.chapter("it has ended")
    told.answers["process.poll"] = 0
    child.terminate()
    told.say(f"  {child.lives()}")
    golden(beside(__file__, "loop_children"), told.text)


def test_how_the_end_of_a_task_is_written(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(told, [None] * 1_000)
    monkeypatch.setattr(last_word, "PATIENCE", 4.0)
    monkeypatch.setattr(last_word, "time", clock)
    monkeypatch.setattr(last_word, "threading", SimpleNamespace(Event=lambda: clock))
    monkeypatch.setattr(last_word, "connection", told.thing("connection"))
    monkeypatch.setattr(last_word, "stopping", told.thing("stopping"))
    locked = OperationalError("database is locked\nmore")
    for title, errors, stops in (
        ("at once", [], False),
        ("at the third attempt", [locked, locked], False),
        ("never", [locked] * 100, False),
        ("while it is told to stop", [locked], True),
        ("a mistake", [IntegrityError("twice")], False),
    ):
        told.chapter(title)
        left: list[Exception] = list(errors)
        told.answers["stopping.requested"] = stops

        def write(left: list[Exception] = left) -> None:
            told.say("  write")
            if left:
                raise left.pop(0)

        begun = clock.now
        try:
            last_word.write_last_word(write, "run 7")
        except DatabaseError as error:
            told.say(f"  = {error} after {clock.now - begun:.0f} s")
        logged(told, caplog)
    golden(beside(__file__, "loop_last_word"), told.text)


def test_how_apis_are_probed(told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are due within a second go together; then it rests, and looks anew when it is woken."""
    probes = api_probes.ApiProbes(DataFolder(told.folder))
    stop = threading.Event()
    monkeypatch.setattr(probes, "due", lambda now: [f"due at {now:.0f}"])
    monkeypatch.setattr(probes, "rest", lambda now: now)
    monkeypatch.setattr(probes, "_ask", told.function("ask"))
    clock = Clock(told)

    def wait(seconds: float) -> None:
        clock.wait(seconds)
        if clock.now > 300:
            stop.set()

    monkeypatch.setattr(api_probes, "time", clock)
    monkeypatch.setattr(probes, "_waking", SimpleNamespace(wait=wait, clear=told.function("clear")))
    probes.run(stop)
    assert told.lines == [
        "  ask('due at 101')",
        "  100.00 wait 100.0",
        "  clear()",
        "  ask('due at 201')",
        "  200.00 wait 200.0",
        "  clear()",
    ]
