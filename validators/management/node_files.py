"""What `manage.py backup` copies, by its arguments, the environment and nodes' own configuration files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import CommandError

from dtvn.node.options import UsageError
from dtvn.node.settings import Settings, settings_of
from validators.backup.forms import BackupError
from validators.backup.sources import Source
from validators.data_folder import environment


def source_of(options: Mapping[str, Any]) -> Source:
    """The data folder, with the places of ledgers that lie elsewhere. Raises BackupError; CommandError for a
    configuration file."""
    files = _read(options["config"])
    own = next((read["node.data_dir"] for read in files if read.given("node.data_dir")), settings.DATA)
    root = Path(options["data_dir"] or own).absolute()
    source = Source(root, environment.database_url(), environment.storage_url())
    return msgspec.structs.replace(source, ledger_folders=_folders(source, files, options["ledger"]))


def _read(files: Sequence[Path]) -> list[Settings]:
    try:
        return [settings_of({"config": str(file)}, {}) for file in files]
    except UsageError as error:
        raise CommandError(str(error), returncode=2) from error


def _folders(source: Source, files: Sequence[Settings], flag: Path | None) -> dict[str, Path]:
    """Node -> folder of its ledger: by the flag, the environment, or its file."""
    nodes = [node.id for node in source.nodes()]
    for read in files:
        if read["node.id"] not in nodes:
            raise BackupError(f"{source.root} holds no node {read['node.id']}, which a --config names.")
    named = flag or environment.storage_path()
    if named is None:
        return {read["node.id"]: Path(read["storage.path"]) for read in files if read["storage.path"]}
    if len(nodes) > 1:
        raise BackupError(
            f"--ledger, or DTVN_STORAGE_PATH, names the ledger of one node, and {source.root} holds "
            f"{len(nodes)}: name each by its --config."
        )
    return dict.fromkeys(nodes, named)
