"""Django's sessions in the database, with `models.Session` as their table (SESSION_ENGINE)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib.auth import SESSION_KEY as USER
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpRequest
from django.utils import timezone

from validators.sessions.models import Session

DEVICE, USED = "device", "used"
"""Entries of a session: whose it is as {"name", "address", "began"}; when it was last used, Unix seconds."""
NOTED_EVERY = 60
"""Seconds between two notes of the use of a session: each is a write."""


class SessionStore(DatabaseStore):
    """See Django."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """See Django."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """See Django."""
        return _described(cast(Session, super().create_model_instance(data)), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        """See Django."""
        return _described(cast(Session, await super().acreate_model_instance(data)), data)


def _described(made: Session, data: dict[str, Any]) -> Session:
    """A row with what its session says of its user and device."""
    device = data.get(DEVICE, {})
    made.user_id = int(data[USER]) if USER in data else None
    made.device, made.address = device.get("name", ""), device.get("address", "")
    made.began_at = datetime.fromtimestamp(device["began"], UTC) if device else None
    made.used_at = timezone.now()
    return made


def begin(request: HttpRequest, address: str) -> None:
    """Note where a session begins; `address` is the client's."""
    name = request.headers.get("User-Agent", "")[:200]
    request.session[DEVICE] = {
        "name": "".join(letter for letter in name if letter.isprintable()),
        "address": address,
        "began": int(time.time()),
    }
    request.session[USED] = int(time.time())


def note_use(session: SessionBase) -> bool:
    """Whether the use of this session is to be written now, with which its idle time begins anew; then the
    session is changed."""
    if not session.accessed or DEVICE not in session or time.time() - session.get(USED, 0) < NOTED_EVERY:
        return False
    session[USED] = int(time.time())
    return True
