"""One platform per database, and one run of it at a time: `up` takes this lease before it touches any row.

Theory of operation. The database's row `Platform` and the data folder hold the same random id, so another
platform is refused however long the first one has been stopped. The row also names the run with the lease,
which renews it every RENEW_INTERVAL. A lease is free when its run ended in order, when its process is gone
and was on this machine, or LEASE after its last renewal. A run that finds another one in the row ends: its
host was paused for so long that it was replaced. An outage of the database alone ends nothing.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.db import DatabaseError, IntegrityError, close_old_connections, connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from dtvn.files.whole import write_private
from dtvn.node.options import StartError
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import process_lives
from validators.database_url import first_line
from validators.models import Platform
from validators.processes import preparation

RENEW_INTERVAL = 3.0
"""Seconds between two renewals."""
LEASE = timedelta(seconds=15)
"""How long a lease lasts after its last renewal."""
ROW = 1
ROWS = Platform.objects.filter(pk=ROW).defer("secret_fingerprint")
"""The row, by the columns of its first version: tables are brought to this version under the lease."""


class PlatformLease:
    """The lease of one run of `up` on the database of the platform in `folder`."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._run = secrets.token_hex(16)
        self._ended = threading.Event()
        self.platform_id = ""
        """Id of the platform; "" until the lease is taken."""
        self.lost = ""
        """Why this run must end; empty while it has the lease."""

    def take(self) -> None:
        """Take the lease and go on renewing it; raise StartError in one line if the database belongs to
        another platform or is not the one on a server that this folder used, or another run has the lease."""
        if self._folder.database_kind() == "server" and not environment.database_url():
            note = self._folder.database_note
            raise StartError(
                "this platform's database is on a server: set DATABASE_URL "
                f"(or remove {note} to begin an empty one here)"
            )
        try:
            made = Platform._meta.db_table in connection.introspection.table_names()
            row = (ROWS.first() if made else None) or self._make_row()
            self._check_identity(row)
            self._take(row)
        except DatabaseError as error:
            raise StartError(f"the platform's database: {first_line(error)}") from error
        self.platform_id = row.platform_id
        self._note_database()
        threading.Thread(target=self._renew_until_ended, name="platform-lease", daemon=True).start()

    def release(self) -> None:
        """Free the lease, if this run has it: another run may take it at once."""
        self._ended.set()
        with suppress(DatabaseError):  # then it ends by its time
            self._row().update(run="")

    def _make_row(self) -> Platform:
        """Write the platform's id to the data folder, then create the row: after a crash in between, the next
        start creates the row with this id. Returns the row, another platform's if that was first."""
        preparation.migrate()  # the table may be of an earlier version, or missing
        known = self._folder.platform_id() or secrets.token_hex(16)
        self._remember(known)
        try:
            return Platform.objects.create(pk=ROW, platform_id=known)
        except IntegrityError:  # another platform was first
            return ROWS.get()

    def _check_identity(self, row: Platform) -> None:
        if row.platform_id == self._folder.platform_id():
            return
        if connection.vendor == "sqlite":  # that file is in this folder, and nobody else's
            self._remember(row.platform_id)
            return
        raise StartError(
            f"the platform's database belongs to another platform (cluster {row.cluster[:12] or 'none yet'}, "
            f"last run on {row.host} with the data folder {row.folder}): set another DATABASE_URL; if "
            f"{self._folder.root} replaces that folder, write {row.platform_id} to {self._folder.identity}"
        )

    def _take(self, row: Platform) -> None:
        free = Q(run="") | Q(renewed_at__lt=Now() - LEASE)
        if is_gone(row.process):
            free |= Q(run=row.run)
        if not self._take_if(free) and not self._take_from_the_future(row):
            raise StartError(
                f"this platform runs on {row.host} with the data folder {row.folder}: stop it there; if it "
                f"was killed, try again in {LEASE.seconds} s"
            )

    def _take_if(self, free: Q) -> bool:
        """Take the lease if its row fulfils the condition; return whether it did."""
        taken = Platform.objects.filter(free, pk=ROW).update(
            run=self._run,
            process=this_process(),
            host=os.uname().nodename,
            folder=str(self._folder.root),
            renewed_at=Now(),
        )
        return bool(taken)

    def _take_from_the_future(self, row: Platform) -> bool:
        """Take a lease that was renewed before the database's clock was set back, unless its run lives and
        renews it meanwhile."""
        future = Q(run=row.run, renewed_at__gt=Now() + LEASE)
        if not Platform.objects.filter(future, pk=ROW).exists():
            return False
        self._ended.wait(2 * RENEW_INTERVAL)
        return self._take_if(future)

    def renew(self) -> None:
        """Renew the lease, or set `lost`."""
        if not self._row().update(renewed_at=Now()) and not self._ended.is_set():
            row = ROWS.first()
            taker = "no run" if row is None else f"one on {row.host} with the data folder {row.folder}"
            self.lost = f"the platform's database now belongs to another run: {taker}"

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(RENEW_INTERVAL) and not self.lost:
            try:
                self.renew()
            except DatabaseError:  # reported by reconcile, which accesses it every second
                close_old_connections()

    def _row(self) -> QuerySet[Platform]:
        return Platform.objects.filter(pk=ROW, run=self._run)

    def _note_database(self) -> None:
        """Commands beside this run have an environment of their own, which may lack the server."""
        kind = "server" if environment.database_url() else "sqlite"
        if self._folder.database_kind() != kind:
            with suppress(OSError):  # the note is advice
                write_private(self._folder.database_note, f"{kind}\n".encode("ascii"), replace=True)

    def _remember(self, platform_id: str) -> None:
        write_private(self._folder.identity, platform_id.encode("ascii") + b"\n", replace=True)


def this_process() -> str:
    """A name of this process that no other process of any machine, container or time has: boot id, namespace
    of process ids, process id, and start in clock ticks since the boot. "" if the system does not tell."""
    place = _process_ids_of()
    return f"{place} started {os.getpid()} {_begun(os.getpid())}" if place else ""


def is_gone(process: str) -> bool:
    """Whether a process that `this_process` named has ended, as far as this machine can tell."""
    place, _, told = process.partition(" started ")
    if not told or place != _process_ids_of():
        return False
    pid, _, begun = told.partition(" ")
    return not process_lives(int(pid)) or _begun(int(pid)) != begun


def _process_ids_of() -> str:
    """Boot id and namespace, within which a process id names the same process as here; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _begun(pid: int) -> str:
    """Start of a process in clock ticks since the boot (field 22 of /proc/PID/stat, proc(5)); "" if there is
    no such process."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return told.rpartition(")")[2].split()[19]
