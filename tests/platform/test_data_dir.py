"""Commands take the data folder that they are given, whatever DTVN_DATA says."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dtvn.node.provision import create_demo_cluster
from tests.ports import free_ports
from tests.waiting import PATIENCE
from validators.data_folder.folder import DataFolder

ROOT = Path(__file__).resolve().parents[2]


def errors_of(*words: str, own: Path) -> str:
    """What a command writes to stderr if DTVN_DATA names the folder `own`."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=os.environ | {"DTVN_DATA": str(own), "DJANGO_SETTINGS_MODULE": "dtvn_project.settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    ).stderr


def test_up_runs_on_the_folder_that_it_is_given(tmp_path: Path) -> None:
    """A file is refused as a folder, by its name."""
    (file := tmp_path / "named").write_text("")
    said = errors_of("up", "--data-dir", str(file), own=tmp_path / "own")
    assert said.startswith(f"make up: cannot write to the data folder {file}: ")
    assert not (tmp_path / "own").exists()


def test_members_acts_for_the_platform_of_the_folder_that_it_is_given(tmp_path: Path) -> None:
    """Only DTVN_DATA worked: with --data-dir it said "--word is required without a platform"."""
    (folder := DataFolder(tmp_path / "named")).create()
    folder.identity.write_text("a platform")
    words = ("add", "n5", "PEER-ID", "--host", "n5.example", "--port", "4001", "--data-dir", str(folder.root))
    assert errors_of("members", *words, own=tmp_path / "own").startswith(
        f"CommandError: No cluster has been made in {folder.root} yet"
    )


def test_principals_acts_for_the_platform_of_the_folder_that_it_is_given(tmp_path: Path) -> None:
    """Only DTVN_DATA worked: --data-dir was an unrecognized argument."""
    named = tmp_path / "named"
    create_demo_cluster(named, 1, "127.0.0.1", free_ports(1))
    said = errors_of("principals", "list", "--data-dir", str(named), own=tmp_path / "own")
    assert said == "CommandError: The platform's copy of the log cannot be read at the moment.\n"
    said = errors_of("principals", "list", own=tmp_path / "own")
    assert said == "CommandError: This data folder has no cluster yet.\n"


def test_down_stops_what_runs_on_the_folder_that_it_is_given(tmp_path: Path, settings: Any) -> None:
    own, named = (DataFolder(tmp_path / name) for name in ("own", "named"))
    for folder in (own, named):
        folder.create()
        folder.credentials.write_text("{}")
    settings.DATA = own.root
    call_command("down", "--data-dir", str(named.root), stdout=(said := StringIO()))
    assert said.getvalue() == f"no network is running on {named.root}\n"
    assert (own.credentials.exists(), named.credentials.exists()) == (True, False)


def test_a_program_that_calls_members_for_another_folder_is_not_replaced(
    tmp_path: Path, settings: Any
) -> None:
    """A test became the command: its process never reported a result."""
    (folder := DataFolder(tmp_path / "named")).create()
    folder.identity.write_text("a platform")
    with pytest.raises(CommandError, match="the settings name another data folder"):
        call_command("members", "remove", "n1", "--data-dir", str(folder.root), "--yes")
