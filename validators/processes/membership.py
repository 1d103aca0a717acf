"""The part of `up` that changes the membership: one step after the other of what was asked (R36)."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections, connections

from tickets.services import network
from tickets.services.errors import Unavailable
from validators.services import changes, evidence, newcomers
from validators.services.membership import newest_epoch

__all__ = ["run"]

logger = logging.getLogger("dtvn.members")

LOOK_INTERVAL = 0.3
"""Seconds between two looks for something to do."""
LEAVERS_EVERY = 10
"""Looks between two searches for members of ours that an epoch left out."""
EVIDENCE_EVERY = 200
"""Looks between two collections of what members have seen others do: a minute."""


def run(stop: threading.Event) -> None:
    """Until told to stop. Never gives up: what is stored is tried again, with the same bytes."""
    complained = ""
    look = 0
    while not stop.wait(LOOK_INTERVAL):
        look += 1
        try:
            close_old_connections()
            if changes.turn() is None:
                network.close()  # an idle gateway would ask every member how it is, once a second
                if look % LEAVERS_EVERY == 0:
                    _look_for_leavers()
                if look % EVIDENCE_EVERY == 0 and evidence.collect_now_and_then():
                    logger.warning("there is new evidence against a member: see the admin")
            complained = ""
        except Exception as error:  # noqa: BLE001 - said, and tried again
            if str(error) != complained:
                logger.warning("members: %s: %s", type(error).__name__, error)
            complained = str(error)
    network.close()
    connections.close_all()


def _look_for_leavers() -> None:
    if not newcomers.suspects():
        return
    try:
        for node_id in newcomers.note_leavers(newest_epoch(network.gateway())):
            logger.warning("%s is no member any more: it is to stop", node_id)
    except Unavailable:
        return
