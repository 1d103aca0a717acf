"""A backup of nodes whose own settings keep their ledgers outside the data folder."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.backup.test_restore import _ledgers_may_be_opened, old  # noqa: F401
from validators.backup.restoring import check
from validators.backup.sources import Source
from validators.ledger.models import FIRST_SCHEMA


@pytest.fixture
def apart(old: Source, tmp_path: Path) -> dict[str, Path]:  # noqa: F811
    """Two nodes of a folder, each with its configuration file and its ledger in a folder of its own."""
    shutil.copytree(old.root / "nodes/r0", old.root / "nodes/r1")
    files = {}
    for name in ("r0", "r1"):
        (old.root / "nodes" / name / "ledger").rename(tmp_path / f"ledger-{name}")
        files[name] = tmp_path / f"{name}.yaml"
        files[name].write_text(
            f"node:\n  id: {name}\n  data_dir: {old.root}\nstorage:\n  path: {tmp_path}/ledger-{name}\n"
        )
    return files


def backup(out: Path, **options: Any) -> tuple[list[str], list[str]]:
    """Names of the ledgers that a backup copied and missed."""
    call_command("backup", out=out, stdout=io.StringIO(), stderr=io.StringIO(), **options)
    manifest = check(out)
    assert {(each.executed, each.schema) for each in manifest.ledgers} <= {(12, FIRST_SCHEMA)}
    found = sorted(each.name for each in manifest.ledgers)
    return found, sorted(name for name in manifest.missing if name != "learner")


def test_ledgers_that_configuration_files_place_elsewhere_are_copied(
    old: Source,  # noqa: F811
    apart: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Only --ledger named one, and only in a folder with one node: others were left out."""
    assert backup(tmp_path / "a.tar.gz", data_dir=old.root) == ([], ["r0", "r1"])
    assert backup(tmp_path / "b.tar.gz", config=[apart["r1"]]) == (["r1"], ["r0"])
    assert backup(tmp_path / "c.tar.gz", config=list(apart.values())) == (["r0", "r1"], [])


def test_the_environment_names_the_ledger_of_an_only_node(
    old: Source,  # noqa: F811
    apart: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DTVN_STORAGE_PATH", str(tmp_path / "ledger-r0"))
    with pytest.raises(CommandError, match="--ledger, or DTVN_STORAGE_PATH, names the ledger of one node"):
        backup(tmp_path / "a.tar.gz", data_dir=old.root)
    shutil.rmtree(old.root / "nodes/r1")
    assert backup(tmp_path / "a.tar.gz", data_dir=old.root) == (["r0"], [])


def test_a_configuration_file_that_cannot_be_used_is_named(
    old: Source,  # noqa: F811
    apart: dict[str, Path],
    tmp_path: Path,
) -> None:
    shutil.rmtree(old.root / "nodes/r1")
    with pytest.raises(CommandError, match="holds no node r1, which a --config names"):
        backup(tmp_path / "a.tar.gz", config=list(apart.values()))
    apart["r0"].write_text("storage:\n  paht: x\n")
    with pytest.raises(CommandError, match=r"r0.yaml:2: storage.paht: unknown key") as refused:
        backup(tmp_path / "a.tar.gz", config=[apart["r0"]])
    assert refused.value.returncode == 2
