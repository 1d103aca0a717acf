"""Has all web processes read their rows at once when another process has changed them.

Only where the processes share a channel layer (`REDIS_URL`). What has changed is in the rows, which every web
process reads twice a second anyway, so a lost wake-up only costs that time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.db import transaction

GROUP = "dtvn.wake"
SEND_TIMEOUT = 1.0
"""Seconds that a sender waits for the channel layer."""
RETRY_AFTER = 10.0
"""Seconds without another attempt after the channel layer did not answer."""
RENEW_AFTER = 3_600.0
"""Seconds after which a listener joins its group again; the layer forgets members after a day."""

logger = logging.getLogger("dtvn.feed")
_away_until = 0.0


def wake_web_processes() -> None:
    """Wake the listeners once the present transaction is committed; never fails."""
    layer = _shared_layer()
    if layer is not None:
        transaction.on_commit(lambda: _send(layer))


async def wake_ups() -> AsyncIterator[None]:
    """One item for each wake-up; ends at once without a shared channel layer."""
    layer = _shared_layer()
    channel = ""
    while layer is not None:
        try:
            channel = channel or await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                async with asyncio.timeout(RENEW_AFTER):
                    await layer.receive(channel)
                yield
        except TimeoutError:
            continue
        except Exception as error:  # noqa: BLE001 - every layer has errors of its own
            logger.warning("the channel layer does not answer: %s", error)
            await asyncio.sleep(RETRY_AFTER)


def _shared_layer() -> Any:
    """The channel layer that other processes use too; None: it ends at this process."""
    layer = get_channel_layer()
    return None if type(layer) is InMemoryChannelLayer else layer


def _send(layer: Any) -> None:
    global _away_until
    if time.monotonic() < _away_until:
        return
    try:
        async_to_sync(_send_in_time)(layer)
    except Exception as error:  # noqa: BLE001 - every layer has errors of its own
        _away_until = time.monotonic() + RETRY_AFTER
        logger.warning("the channel layer does not answer: %s", error or type(error).__name__)


async def _send_in_time(layer: Any) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await layer.group_send(GROUP, {"type": "wake"})
