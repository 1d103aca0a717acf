"""Kombu's file system broker, with atomic creation of message files.

Kombu's own channel creates a message's file under its final name and writes the content afterwards. A worker
that reads in between takes an empty file, loses the message and fails (seen once in a run under load). Here
the file gets its final name only after it is written, durably.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

from dtvn.files.whole import whole_file


class Channel(filesystem.Channel):
    """Writes messages by `whole_file`. Reads like its parent class, which ignores its temporary files."""

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        try:
            with whole_file(Path(self.data_folder_out, name), replace=True) as file:
                file.write(dumps(payload).encode())
        except OSError as error:
            raise ChannelError(f"cannot write a message in {self.data_folder_out}: {error}") from error


class Transport(filesystem.Transport):
    """The transport that `filesystem:` in a broker's URL selects here."""

    Channel = Channel
