"""Makes the cluster certify everything that it acknowledged, before its ledgers are copied.

A cluster can be continued from a stable checkpoint only (R11), and up to one checkpoint interval of
acknowledged operations is above the newest one. So a backup first orders operations without effect until a
checkpoint is stable above everything that was acknowledged when it began.
"""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import CancelledError
from contextlib import closing

from django.conf import settings
from django.db import DatabaseError

from dtvn.files.epoch_changes import read_epoch_changes
from dtvn.gateway import Gateway, GatewayClosed, Overloaded
from dtvn.ledger import Location
from dtvn.machine import Barrier, build, reasons
from dtvn.net import KeyFileError
from dtvn.protocol.canonical import CanonicalError
from dtvn.waiting import look_until
from validators.backup import postgresql
from validators.backup.forms import BackupError
from validators.backup.sources import Source
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

ACTOR = "backup"
ANSWER_WAIT = 10.0
"""Seconds for each ordered operation."""
FILL_WAIT = 30.0
"""Seconds for the operations up to the next checkpoint, one after the other."""
STABLE_WAIT = 10.0
"""Seconds until a checkpoint above the last operation is stable in some ledger of this folder."""
_CERTIFIED = "SELECT coalesce(max(sequence), 0) FROM ledger_checkpoint WHERE length(frames) > 1"


def cover(source: Source) -> tuple[int, str]:
    """(sequence, "") if some ledger of this folder has certified everything acknowledged before this call,
    which has that sequence or a lower one; (0, why not) otherwise."""
    places = source.places
    if not places.genesis.exists() or not places.gateway_key.exists():
        return 0, "this folder has no platform that could have the cluster certify its newest operations"
    try:
        known = _epoch_changes(source)
        with Gateway.open(places.genesis, places.gateway_key, epoch_changes=known) as gateway:
            return _covered(source, gateway)
    except (Overloaded, GatewayClosed, CancelledError, TimeoutError):  # the last is an OSError
        return 0, "the cluster does not decide now"
    except (OSError, ValueError, KeyFileError, CanonicalError) as error:
        return 0, f"its gateway cannot be opened: {str(error).rstrip('.')}"


def _covered(source: Source, gateway: Gateway) -> tuple[int, str]:
    first = _order(gateway)
    if not first:
        return 0, "the cluster does not decide now"
    places = [each.location for each in source.ledgers(source.genesis()).values() if each is not None]
    interval = gateway.present.parameters.checkpoint_interval
    last = -(-first // interval) * interval
    if first < last:
        look_until(lambda: not 0 < _order(gateway) < last, FILL_WAIT, pause=0)
    if look_until(lambda: any(_certified(each) >= first for each in places), STABLE_WAIT, pause=0.1):
        return first, ""
    return 0, "no ledger of this folder has a stable checkpoint above the newest operations yet"


def _epoch_changes(source: Source) -> list[bytes]:
    """Epoch change proofs from a recovery, then from the learner: the founding members may all be gone."""
    known = read_epoch_changes(source.places.epoch_changes)
    if source.root != settings.DATA:
        return known
    try:
        return known + read.epoch_changes(LEARNER_ALIAS, after=len(known))
    except DatabaseError:
        return known


def _order(gateway: Gateway) -> int:
    """The sequence of an operation without effect; 0 if the cluster refuses it."""
    operation = build(Barrier(), actor=ACTOR, entry=gateway.present.members[0].id)
    since = time.monotonic()
    found = gateway.submit([operation]).result(ANSWER_WAIT)[0]
    while found.code != reasons.OK and time.monotonic() - since < ANSWER_WAIT:
        found = gateway.submit([operation]).result(ANSWER_WAIT)[0]
    return found.sequence if found.code == reasons.OK else 0


def _certified(place: Location) -> int:
    """Sequence of the newest stable checkpoint in a ledger that may be in use; 0 if it cannot be read."""
    try:
        if place.url:
            found = postgresql.rows(place.url, _CERTIFIED.replace("ledger_", f'"{place.schema}".ledger_'))
            return int(str(found[0][0]))
        if not place.database_file.exists():
            return 0
        location = f"{place.database_file.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(location, uri=True)) as opened:
            opened.execute("PRAGMA query_only=ON")
            return int(opened.execute(_CERTIFIED).fetchone()[0])
    except (BackupError, sqlite3.Error):
        return 0
