"""`manage.py move_ledger NODE`: what it does."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import CommandError

from dtvn.ledger import LedgerError, Location
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.ledger_place import find_place, keep_server, ledger_schema
from dtvn.node.options import NodeOptions, StartError, check_folder, load_genesis
from dtvn.protocol.host.ports import JournalError
from dtvn.waiting import saying
from dtvn.wording import counted
from validators.data_folder import environment
from validators.database_url import same_database
from validators.ledger import find_ledger
from validators.ledger.move import drop_left_over, move_ledger


def moved(options: dict[str, Any]) -> str:
    """Move the ledger; returns what was done as a sentence. Raises CommandError with one sentence."""
    data = ClusterFolder(options["data_dir"] or settings.DATA)
    own_url = environment.storage_url()
    if options["to_server"] and not own_url:
        raise CommandError("--to-server needs DTVN_STORAGE_URL=postgresql://user:password@host/database.")
    if (
        options["to_server"]
        and same_database(own_url, environment.database_url())
        and not options["into_platforms_database"]
    ):
        raise CommandError(
            "DTVN_STORAGE_URL names the platform's own database (DATABASE_URL), and members whose ledgers "
            "are there fail together with it: name another server, or say --into-platforms-database."
        )
    try:
        check_folder(data, options["node"])
        where = NodeOptions(ledger_folder=options["ledger"], platform_url=environment.database_url())
        with saying(f"the copy of {options['node']}'s ledger and its verification"):
            said = _move(data.node(options["node"]), where, own_url, to_server=options["to_server"])
    except (StartError, LedgerError, JournalError, ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    return said


def _move(folder: NodeFolder, where: NodeOptions, own_url: str, *, to_server: bool) -> str:
    """What was done, as a sentence."""
    genesis = load_genesis(folder.genesis)
    beside = Location(where.ledger_folder or folder.ledger)
    target = beside
    if to_server:
        target = Location(beside.folder, own_url, ledger_schema(genesis, folder.id))
    else:
        where = msgspec.structs.replace(where, own_url=own_url)
    source = find_place(find_ledger, folder, genesis, where).location
    if source == target:
        return _already_there(folder, source, where)
    copied = move_ledger(source, target, settle=lambda: keep_server(folder, target.url))
    said = f"{folder.id}: {counted(copied, 'row')} moved from {source.name} to {target.name}. Start it again."
    warning = find_place(
        find_ledger, folder, genesis, msgspec.structs.replace(where, own_url=target.url)
    ).warning
    return f"{said}\nWarning: {warning}." if warning else said


def _already_there(folder: NodeFolder, ledger: Location, where: NodeOptions) -> str:
    """Finishes an interrupted move."""
    others = [Location(ledger.folder)] if ledger.url else []
    if where.platform_url and not same_database(ledger.url, where.platform_url):
        schema = ledger_schema(load_genesis(folder.genesis), folder.id)
        others.append(Location(ledger.folder, where.platform_url, schema))
    dropped = [other.name for other in others if drop_left_over(ledger, other)]
    if dropped:
        return f"{folder.id}: its ledger is in {ledger.name}; what was left in {dropped[0]} is dropped."
    return f"{folder.id}: its ledger is in {ledger.name} already."
