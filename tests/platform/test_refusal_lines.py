"""Commands that run the platform end with one line that says why, as JSON where the log is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import RecordLock

REPOSITORY = Path(__file__).parents[2]


def ended(folder: Path, command: list[str], **settings: str) -> tuple[int, str]:
    """Exit code and standard error of `manage.py` with these arguments over this folder."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "DTVN", "PORT"))
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=REPOSITORY,
        env=clean | {"DTVN_DATA": str(folder)} | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "code", "process", "said"),
    [
        (["up"], 1, "make up", "a network is already running on "),
        (["supervisor"], 1, "supervisor", "a network is already running on "),
        (["up", "--port", "x"], 2, "manage.py up", "PORT=x is not a number"),
        (["web"], 1, "web", "no platform was started on this database: "),
        (["web", "--port", "0"], 1, "web", "PORT=0 is not between 1 and 65535"),
    ],
)
def test_a_refusal_is_one_json_object_where_the_log_is_json(
    tmp_path: Path, command: list[str], code: int, process: str, said: str
) -> None:
    lock = RecordLock(DataFolder(tmp_path).lock_file)
    assert lock.take()
    (line,) = (told := ended(tmp_path, command, DTVN_LOG_FORMAT="json"))[1].splitlines()
    refusal = json.loads(line)
    assert (told[0], refusal["process"], refusal["level"]) == (code, process, "error")
    assert refusal["message"].startswith(said)
    assert refusal["time"].endswith("Z")


def test_a_refusal_is_a_sentence_in_a_text_log(tmp_path: Path) -> None:
    assert ended(tmp_path, ["up", "--port", "x"]) == (2, "manage.py up: PORT=x is not a number\n")
