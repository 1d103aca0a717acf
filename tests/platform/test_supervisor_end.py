"""The end of a network is promised within 12 s, whatever hangs (X29)."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.node.options import StartError
from tests.waiting import PATIENCE, wait_until
from validators.data_folder.folder import DataFolder
from validators.processes import supervisor
from validators.processes.supervisor import STOP_GRACE, Supervisor


@pytest.fixture
def ending(tmp_path: Path) -> Supervisor:
    folder = DataFolder(tmp_path)
    folder.create()
    return Supervisor(folder, host="127.0.0.1", port=25_000, nodes=1)


class Hanging:
    """A thread that never ends: the clock advances only while one is joined."""

    now = 1_000.0
    ident = 1

    @classmethod
    def join(cls, timeout: float) -> None:
        """See threading.Thread."""
        cls.now += timeout


def test_a_start_takes_away_what_a_killed_run_said_of_the_network(
    ending: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says that the network is ready, and where; a killed run leaves it."""
    credentials = ending._folder.credentials
    credentials.write_text("{}")

    def stop() -> None:
        assert not credentials.exists()
        raise StartError("no server answers")

    monkeypatch.setattr(supervisor.signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervisor, "log_through", lambda _output: None)
    monkeypatch.setattr(ending, "_check_servers", stop)
    with pytest.raises(StartError, match="no server answers"):
        ending.run()


def test_x29_threads_that_hang_are_waited_for_together(
    ending: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert STOP_GRACE < supervisor.END_WITHIN < 12
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: Hanging.now))
    begun = Hanging.now
    ending._end([Hanging() for _ in range(4)])  # type: ignore[misc]
    assert Hanging.now - begun == supervisor.END_WITHIN, "once, and not each for itself"


def test_credentials_written_while_the_end_begins_do_not_outlive_it(
    ending: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = ending._folder.credentials
    credentials.write_text("of this run")
    begun = threading.Event()

    def late(path: Path, content: dict[str, Any]) -> None:
        begun.set()
        wait_until(lambda: not credentials.exists(), what="the end has removed them once")
        path.write_text("late")

    monkeypatch.setattr(supervisor, "END_WITHIN", PATIENCE)
    monkeypatch.setattr(supervisor, "write_private_json", late)
    monkeypatch.setattr(ending, "_wait_until_ready", lambda: True)
    ready = threading.Thread(target=ending._announce_when_ready, daemon=True)
    ready.start()
    assert begun.wait(PATIENCE)
    ending._end([ready])
    assert not credentials.exists()


def test_an_ending_network_is_not_announced_as_ready(
    ending: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_wait_until_ready", lambda: True)
    ending._stop.set()
    ending._announce_when_ready()
    assert not ending._folder.credentials.exists()


def test_x29_no_thread_keeps_the_process(ending: Supervisor) -> None:
    assert all(thread.daemon for thread in ending._threads())
