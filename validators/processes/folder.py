"""The data folder: its layout, its lock, and files that are private from their first byte."""

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from validators.processes.errors import StartError

CREDENTIALS = "credentials.json"


class DataFolder:
    """Paths below one data folder. Making the object touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.credentials = root / CREDENTIALS
        self.lock_file = root / "up.lock"
        self.keys = root / "keys"
        self.cluster = root / "cluster"
        self.nodes = root / "nodes"
        self.learner = root / "learner"
        self.platform = root / "platform"
        self.slots = root / "run" / "slots"
        self.key_changes = root / "run" / "keys.changed"
        """Grows by a byte when an API key changed: see services.api_keys."""
        self.celery_queue = root / "celery" / "queue"
        self.celery_control = root / "celery" / "control"
        self.static = root / "static"
        self.prometheus = root / "prometheus"
        """Where Prometheus finds the nodes and the platform (file_sd_config)."""

    def slot_lock(self, name: str) -> Path:
        """Lock file of one of the platform's own processes: web, a worker, the simulator."""
        return self.slots / f"{name}.lock"

    def node_lock(self, node_id: str) -> Path:
        """Lock file of whoever runs a node, or the learner. People name nodes, so these have a folder to
        themselves: a node called "web" is not the web process."""
        return self.slots / "nodes" / f"{node_id}.lock"

    def create(self) -> None:
        """Make the folders, for their owner only; raise StartError where that is not possible."""
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
                f"cannot write to the data folder {self.root}: {error.strerror}; name another with DATA="
            ) from error

    def clear_celery(self) -> None:
        """Empty the file broker: what an earlier life left there must not be executed now.

        Wishes are in the database, so nothing is lost. Without this a stale message is executed by
        the next worker (measured with a `shutdown` 14 s old).
        """
        for folder in (self.celery_queue, self.celery_control):
            for path in folder.iterdir():
                path.unlink(missing_ok=True)


class FolderLock:
    """Held by the one `up` of a data folder, for as long as its process lives."""

    def __init__(self, folder: DataFolder) -> None:
        self._descriptor = os.open(folder.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """True when this process holds the folder now."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            raise
        return True


def write_private_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that nobody else may read, complete or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StartError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise StartError(f"{path} is damaged: not an object")
    return content
