"""The socket on which the learner announces its progress; only this user can reach it."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

SOCKET_PATH_MAX = 100
"""Bytes; sockaddr_un ends at 108 with its NUL, and ZeroMQ wants room for its own suffix."""
SOCKET_NAME = "feed.sock"


class FeedFolderError(OSError):
    """The runtime folder is not a folder of this user."""


def feed_address(data: Path) -> str:
    """The ZeroMQ address of the feed of the network in `data`; makes its folder (0700).

    The socket is in the data folder or, if that path is too long, in a folder below the system's
    temporary one that is named by user and path. Every process of a network computes the same address.
    """
    folder = data / "run"
    if len(os.fsencode(folder / SOCKET_NAME)) > SOCKET_PATH_MAX:
        name = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"dtvn-{os.getuid()}-{name}"
    _make_private(folder)
    return f"ipc://{folder / SOCKET_NAME}"


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FeedFolderError(f"{folder} is not a folder of this user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
