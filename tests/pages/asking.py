"""Runs an action of an admin list as a person does: asked first, it is confirmed with what was told."""

from __future__ import annotations

from typing import Any

from django.test import Client


def confirmed(admin: Client, address: str, sent: dict[str, Any]) -> Any:
    """The page after the action, with what the page of its question told, if it asks one."""
    asked: Any = admin.post(address, sent, follow=True)
    if "consequence" not in (asked.context or {}):
        return asked
    return admin.post(address, sent | {"confirmed": "yes", "told": asked.context["consequence"]}, follow=True)
