"""The data folder: its layout, and files that are private from their first byte."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from dtvn.files.whole import write_private
from dtvn.node.options import StartError

CREDENTIALS = "credentials.json"


class DataFolder:
    """Paths below one data folder. Creating the object does not touch the file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.credentials = root / CREDENTIALS
        self.lock_file = root / "up.lock"
        self.keys = root / "keys"
        self.cluster = root / "cluster"
        self.nodes = root / "nodes"
        self.learner = root / "learner"
        self.platform = root / "platform"
        self.identity = self.platform / "identity"
        """Id of the platform, as in its database: see models.Platform."""
        self.database_note = self.platform / "database"
        """Which kind of database the platform uses: see `database_kind`."""
        self.slots = root / "run" / "slots"
        self.key_changes = root / "run" / "keys.changed"
        """Grows by a byte when an API key changes: see services.api_keys."""
        self.desired_changes = root / "run" / "desired.changed"
        """Grows by a byte when a desired state changes: see services.announcing."""
        self.figures = root / "run" / "figures"
        """The window of the nodes' metrics while the web process is replaced: see figures_window."""
        self.celery_queue = root / "celery" / "queue"
        self.celery_control = root / "celery" / "control"
        self.static = root / "static"
        self.prometheus = root / "prometheus"
        """Folder of files in which Prometheus finds the nodes and the platform (file_sd_config)."""
        self.metrics_key = self.prometheus / "key"
        """With which Prometheus reads the platform's metrics: see rest.metrics."""

    def slot_lock(self, name: str) -> Path:
        """Lock file of one of the platform's own processes: web, a worker, the simulator."""
        return self.slots / f"{name}.lock"

    def node_lock(self, node_id: str) -> Path:
        """Lock file of the process that runs a node, or the learner. Operators choose node names, so these
        files have their own folder: a node called "web" is not the web process."""
        return self.slots / "nodes" / f"{node_id}.lock"

    def node_locks(self) -> list[Path]:
        """The lock files of all nodes that have run here, by name."""
        return sorted((self.slots / "nodes").glob("*.lock"))

    def create(self) -> None:
        """Create the folders, for their owner only; raise StartError if that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (
                self.keys,
                self.platform,
                self.slots / "nodes",
                self.celery_queue,
                self.celery_control,
            ):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.root / f".writable.{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StartError(
                f"cannot write to the data folder {self.root}: {error.strerror}; name another with "
                "DATA= or -data-dir"
            ) from error

    def database_kind(self) -> str:
        """Where the platform's last start had its database: "sqlite" or "server"; "" if no start noted it, as
        in earlier versions. Raises StartError."""
        return _line(self.database_note)

    def platform_id(self) -> str:
        """Id of this folder's platform; "" if none was started here. Raises StartError."""
        return _line(self.identity)

    def end_credentials(self) -> None:
        """Remove the file that says that the network is ready. On a disk that became read-only it stays: the
        network ends all the same, and the next start begins with removing it."""
        with suppress(OSError):
            self.credentials.unlink(missing_ok=True)

    def clear_celery(self) -> None:
        """Empty the file broker: messages of an earlier run must not be executed now.

        The desired states are in the database, so nothing is lost. Without this a stale message is executed
        by the next worker (measured with a `shutdown` 14 s old).
        """
        for folder in (self.celery_queue, self.celery_control):
            for path in folder.iterdir():
                path.unlink(missing_ok=True)


def _line(path: Path) -> str:
    """The only line of a file; "" without the file."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from error


def write_private_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    write_private(path, json.dumps(content, indent=2).encode() + b"\n", replace=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None if there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StartError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise StartError(f"{path} is damaged: not an object")
    return content
