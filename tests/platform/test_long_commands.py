"""Commands that take as long as a log is: they say what they wait for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dtvn.waiting import saying
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("command", "module", "work", "done", "awaited"),
    [
        (
            ("move_ledger", "node0"),
            "validators.management.moving",
            "validators.management.moving._move",
            "moved",
            "the copy of node0's ledger and its verification",
        ),
        (
            ("verify_learner",),
            "validators.management.commands.verify_learner",
            "validators.backup.learner.verify",
            (9, 8),
            "the verification of the log from its first entry on",
        ),
    ],
)
def test_a_command_says_what_it_waits_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    module: str,
    work: str,
    done: object,
    awaited: str,
) -> None:
    said: list[str] = []

    def lasts(*_: Any, **__: Any) -> object:
        wait_until(lambda: said, what="the line")
        return done

    monkeypatch.setattr("validators.management.moving.check_folder", lambda *_: None)
    monkeypatch.setattr(f"{module}.saying", partial(saying, after=0.001, say=said.append))
    monkeypatch.setattr(work, lasts)
    call_command(*command, data_dir=tmp_path)
    assert said == [f"waiting for {awaited}"]
