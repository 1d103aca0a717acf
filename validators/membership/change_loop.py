"""The part of `up` that changes the membership: carries out the requested changes step by step (R36)."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections, connections

from dtvn.api.errors import Unavailable
from validators.database_url import first_line
from validators.membership import changes, newcomers
from validators.membership.change_request import newest_epoch
from validators.services import evidence, network

logger = logging.getLogger("dtvn.members")

LOOK_INTERVAL = 0.3
"""Seconds between two checks for work."""
LEAVERS_EVERY = 10
"""Checks between two searches for our members that an epoch has removed."""
EVIDENCE_EVERY = 200
"""Checks between two collections of evidence from the members: a minute."""


def run_changes(stop: threading.Event) -> None:
    """Run until told to stop. Never gives up: a stored change is retried with the same bytes."""
    complained = ""
    look = 0
    while not stop.wait(LOOK_INTERVAL):
        look += 1
        try:
            close_old_connections()
            if changes.turn() is None:
                network.close()  # an idle gateway would query every member's status once a second
                if look % LEAVERS_EVERY == 0:
                    _look_for_leavers()
                if look % EVIDENCE_EVERY == 0 and evidence.collect_now_and_then():
                    logger.warning("there is new evidence against a member: see the admin")
            complained = ""
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            if (reason := first_line(error)) != complained:
                logger.warning("members: %s: %s", type(error).__name__, reason)
            complained = reason
    network.close()
    connections.close_all()


def _look_for_leavers() -> None:
    if not newcomers.suspects():
        return
    try:
        for node_id in newcomers.note_leavers(newest_epoch(network.gateway())):
            logger.warning("%s is no longer a member: stopping it", node_id)
    except Unavailable:
        return
