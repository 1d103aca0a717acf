"""Kombu's broker in files, with messages that appear whole.

Its own channel creates a message's file under the final name and writes afterwards: a worker that looks in
between takes an empty file away, loses the message and falls over it (seen once in a loaded run). Here the
file gets its name when it is written.
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

__all__ = ["Channel", "Transport"]


class Channel(filesystem.Channel):
    """Reads as its parent does, which passes over names that end otherwise."""

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
    """What `filesystem:` in a broker's URL means here."""

    Channel = Channel
