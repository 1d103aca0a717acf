"""Where a node's ledger is: beside the node, or on the server that the node's own setting names."""

from __future__ import annotations

import logging

import msgspec

from dtvn.files.whole import write_private
from dtvn.ledger import FindLedger, FoundLedger, NodeLedger
from dtvn.node.layout import NodeFolder
from dtvn.node.options import NodeOptions, StartError, load_genesis
from dtvn.node.watcher import line
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Membership


def ledger_schema(genesis: g.Genesis, name: str) -> str:
    """The schema of a replica's ledger on a server, named by cluster and replica."""
    plain = "".join(character if character.isalnum() else "_" for character in name.lower())
    return f"ledger_{g.cluster_id(genesis).hex()[:12]}_{plain}"[:63]


def own_server(folder: NodeFolder) -> str:
    """The URL in the node's folder; "" if there is none. Raises StartError."""
    try:
        return folder.ledger_url.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise StartError(f"{folder.ledger_url} cannot be read: {error}.") from error


def keep_server(folder: NodeFolder, url: str) -> None:
    """Store the node's own server, readable by its owner only; "": none. Raises OSError."""
    if url:
        write_private(folder.ledger_url, f"{url}\n".encode(), replace=True)
    else:
        folder.ledger_url.unlink(missing_ok=True)


def find_place(
    find_ledger: FindLedger, folder: NodeFolder, genesis: g.Genesis, options: NodeOptions
) -> FoundLedger:
    """Where the ledger of the node in `folder` is, or begins; a server named in its folder counts as its own
    setting. Raises StartError, LedgerError."""
    return find_ledger(
        options.ledger_folder or folder.ledger,
        node=folder.id,
        schema=ledger_schema(genesis, folder.id),
        own_url=options.own_url or own_server(folder),
        platform_url=options.platform_url,
    )


def place_ledger(
    folder: NodeFolder, options: NodeOptions, find_ledger: FindLedger, logger: logging.Logger
) -> NodeOptions:
    """The options with the place of the ledger; logs the warning of `find_place`. Raises as find_place."""
    found = find_place(find_ledger, folder, load_genesis(folder.genesis), options)
    if found.warning:
        logger.warning("%s", line("ledger_with_platform", {"reason": found.warning}))
    return msgspec.structs.replace(options, ledger=found.location)


def warn_of_neighbours(
    ledger: NodeLedger, genesis: g.Genesis, membership: Membership, own: str, logger: logging.Logger
) -> None:
    """Warn of members whose ledgers are on this node's server: they fail together, while f counts each
    alone."""
    names = {
        ledger_schema(genesis, member.id): member.id for member in membership.members if member.id != own
    }
    found = sorted(names[schema] for schema in ledger.on_same_server(names))
    if found:
        reason = f"the ledgers of {', '.join([own, *found])} are on one server: they fail together with it"
        logger.warning("%s", line("ledgers_share_server", {"reason": reason}))
