"""Announcements: announced rows can be read, waiting needs no polling, lost ones are repaired."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
import zmq

from dtvn.node.feed_address import SOCKET_PATH_MAX, FeedFolderError, feed_address
from dtvn.node.feed_publisher import FeedPublisher
from tests.waiting import PATIENCE, wait_until
from validators.feed import ProgressListener, progress


class Rows:
    """Stands for the learner's tables: their sequence, and how often they were read."""

    def __init__(self) -> None:
        self.applied = 0
        self.looks = 0

    def read(self) -> int:
        self.looks += 1
        return self.applied


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_an_announcement_ends_the_wait_without_reading_the_rows(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REREAD", 3_600.0)
    address = feed_address(tmp_path)
    publisher = FeedPublisher(address)
    listener = ProgressListener(address, rows.read)
    try:
        wait_until(lambda: (publisher.announce(4), listener.applied)[1] == 4, what="subscribed")
        later = threading.Timer(0.05, publisher.announce, [7])
        later.start()
        assert listener.wait_for(7, timeout=PATIENCE) == 7
        later.join()  # a socket that is closed within its send ends the process
        assert rows.looks <= 2
    finally:
        listener.close()
        publisher.close()


def test_r17_a_lost_announcement_is_repaired_from_the_rows(tmp_path: Path, rows: Rows) -> None:
    """No learner announces anything: the rows alone tell."""
    listener = ProgressListener(feed_address(tmp_path), rows.read)
    try:
        rows.applied = 9
        assert listener.wait_for(0, timeout=PATIENCE) == 9, "a process that has written nothing itself"
        rows.applied = 10
        assert listener.wait_for(10, timeout=PATIENCE) == 10
    finally:
        listener.close()


def test_r17_a_wait_that_times_out_returns_the_sequence_of_the_rows(tmp_path: Path, rows: Rows) -> None:
    rows.applied = 3
    listener = ProgressListener(feed_address(tmp_path), rows.read)
    try:
        assert listener.wait_for(8, timeout=0.2) == 3
    finally:
        listener.close()


def test_announcements_are_received_again_after_a_learner_restart(tmp_path: Path, rows: Rows) -> None:
    address = feed_address(tmp_path)
    first = FeedPublisher(address)
    listener = ProgressListener(address, rows.read)
    try:
        wait_until(lambda: (first.announce(5), listener.applied)[1] == 5, what="first life")
        first.close()
        second = FeedPublisher(address)
        wait_until(lambda: (second.announce(2), listener.applied)[1] == 2, what="rebuilt learner")
        second.close()
    finally:
        listener.close()


def test_subscribers_are_woken_until_they_unsubscribe(tmp_path: Path, rows: Rows) -> None:
    address = feed_address(tmp_path)
    publisher = FeedPublisher(address)
    listener = ProgressListener(address, rows.read)
    woken: list[int] = []
    leave = listener.subscribe(lambda: woken.append(listener.applied))

    def announced(sequence: int) -> None:
        wait_until(
            lambda: (publisher.announce(sequence), listener.applied)[1] == sequence, what="it is heard"
        )

    try:
        wait_until(lambda: (publisher.announce(1), woken)[1], what="woken")
        leave()
        announced(5)  # a subscriber that was being woken as it left is finished by now
        heard = len(woken)
        announced(6)
        announced(7)
        assert len(woken) == heard
    finally:
        listener.close()
        publisher.close()


def test_announcing_never_waits_for_a_subscriber_that_does_not_read(tmp_path: Path) -> None:
    address = feed_address(tmp_path)
    publisher = FeedPublisher(address)
    context = zmq.Context()
    deaf = context.socket(zmq.SUB)
    deaf.setsockopt(zmq.RCVHWM, 1)
    deaf.subscribe(b"")
    deaf.connect(address)
    try:
        for sequence in range(20_000):
            publisher.announce(sequence)
    finally:
        deaf.close(linger=0)
        context.term()
        publisher.close()


def test_the_socket_is_in_a_folder_only_its_owner_can_open(tmp_path: Path) -> None:
    path = Path(feed_address(tmp_path).removeprefix("ipc://"))
    assert path.parent == tmp_path / "run"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_data_folder_with_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """Socket paths end at 108 bytes."""
    folders = [tmp_path / ("long" * 30) / name for name in ("berlin/data", "munich/data", "berlin/test")]
    paths = [Path(feed_address(data).removeprefix("ipc://")) for data in folders]
    assert len({path.parent for path in paths}) == len(folders), "each network has its own"
    for data, path in zip(folders, paths, strict=True):
        assert len(str(path)) <= SOCKET_PATH_MAX
        assert feed_address(data) == f"ipc://{path}"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.parent.rmdir()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FeedFolderError):
        feed_address(tmp_path)
