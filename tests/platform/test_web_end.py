"""The web process removes the credentials, the sign of a ready network, if its parent is gone."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from validators.processes import web
from validators.processes.web import take_away

NOBODY = 2**22 + 1
"""Above every process id: a parent that is gone."""


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    (made := tmp_path / "credentials.json").write_text("{}")
    return made


def test_credentials_of_a_dead_parent_are_removed(credentials: Path) -> None:
    take_away(credentials, NOBODY)
    assert not credentials.exists()


def test_removing_credentials_waits_for_a_slowly_dying_parent(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last thread may still wait for a disk when the first one has ended."""
    monkeypatch.setattr(web, "PARENTS_LAST_MOMENT", PATIENCE)
    parents = iter([os.getppid()] * 30)
    monkeypatch.setattr(os, "getppid", lambda: next(parents, NOBODY))
    take_away(credentials, next(parents))
    assert not credentials.exists()


def test_removing_credentials_does_not_wait_for_a_regular_end(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PARENTS_LAST_MOMENT", PATIENCE)
    since = time.monotonic()
    threading.Timer(0.1, credentials.unlink).start()
    take_away(credentials, os.getppid())
    assert time.monotonic() - since < PATIENCE / 2


def test_credentials_of_a_living_parent_are_kept(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this process was ended."""
    monkeypatch.setattr(web, "PARENTS_LAST_MOMENT", 0.1)
    take_away(credentials, os.getppid())
    assert credentials.exists()
