"""Kombu's file system broker, with atomic creation of message files.

Kombu's own channel creates a message's file under its final name and writes the content afterwards. A worker
that reads in between takes an empty file, loses the message and fails (seen once in a run under load). Here
the file gets its final name only after it is written.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Writes to a `.part` file and renames it. Reads like its parent class, which ignores files with that
    suffix."""

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        whole = os.path.join(self.data_folder_out, name)
        part = f"{whole}.part"
        try:
            with open(part, "x", encoding="utf-8") as file:
                file.write(dumps(payload))
            os.replace(part, whole)
        except OSError as error:
            with suppress(OSError):
                os.unlink(part)
            raise ChannelError(f"cannot write a message in {self.data_folder_out}: {error}") from error


class Transport(filesystem.Transport):
    """The transport that `filesystem:` in a broker's URL selects here."""

    Channel = Channel
