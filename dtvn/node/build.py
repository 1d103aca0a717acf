"""The composition root of a node: the only place where its objects are created and connected.

Order of a node's start: key, genesis, ledger (under its lock), context and sockets, core restored from
the ledger; only then does it listen to peers. Created after fork, in the process that runs the node.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import zmq

from dtvn.ledger import Location, NodeLedger, OpenLedger
from dtvn.net import ZmqTransport, read_seed
from dtvn.node.api_helper import ApiHelper
from dtvn.node.carried import Carried
from dtvn.node.continuing import begin
from dtvn.node.epochs import as_genesis, membership_of, own_place
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import NodeFolder
from dtvn.node.ledger_place import warn_of_neighbours
from dtvn.node.metrics import Exporter
from dtvn.node.moved import moved_to
from dtvn.node.node import Node
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions, StartError, load_genesis
from dtvn.node.promise import check_promise
from dtvn.protocol import genesis as g
from dtvn.protocol import quorum
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.quorum import Mode


def build_node(
    root: Path,
    logger: logging.Logger,
    options: NodeOptions,
    open_ledger: OpenLedger,
    inherited: tuple[VerifiedBundle, ...] = (),
    api: ApiHelper | None = None,
    carried: Carried | None = None,
) -> Node | NonMember:
    """Build what runs in folder `root` in the epoch of its ledger, as a member or not. `inherited`: requests
    from the epoch before; `carried`: all else from there, which the caller closes if this fails. `api`
    receives the node's status. Raises StartError, LedgerError, KeyFileError, JournalError."""
    folder = NodeFolder(root)
    genesis = load_genesis(folder.genesis)
    read_seed(folder.key)
    stamp = VotedStamp(folder.identity)
    with ExitStack() as opened:
        if carried is None:
            place = options.ledger or Location(options.ledger_folder or folder.ledger)
            ledger = open_ledger(
                place,
                cluster_id=g.cluster_id(genesis),
                expect_existing=stamp.present,
                witnessed=g.mode(genesis) is Mode.RAFT,
            )
            opened.callback(ledger.close)
        else:
            ledger = carried.ledger
        membership = membership_of(ledger, genesis)
        index, seed, fresh = own_place(folder, membership, ledger.vote_again)
        begin(ledger, genesis, folder.continued, member=index is not None)
        common: dict[str, Any] = {"ledger": ledger, "api": api, "logger": logger, "carried": carried}
        process: Node | NonMember
        if index is None:
            if options.others_are_gone:
                raise StartError("-others-are-gone is only for members: this node is not a member now.")
            process = NonMember(folder, genesis, membership, seed=seed, **common)
        else:
            _check_member(folder, options, ledger, genesis, membership, logger)
            reachable = _in_epoch(folder, options, genesis, membership)
            context, transport = _linked(as_genesis(genesis, membership), index, seed, reachable, carried)
            opened.callback(context.destroy, linger=0)
            opened.callback(transport.close)
            process = Node(
                genesis=genesis,
                membership=membership,
                index=index,
                seed=seed,
                inherited=inherited,
                folder=folder,
                stamp=VotedStamp(folder.identity) if fresh else stamp,
                context=context,
                transport=transport,
                exporter=_exporter(options, api, logger, carried),
                options=options,
                **common,
            )
        opened.pop_all()
    return process


def _check_member(
    folder: NodeFolder,
    options: NodeOptions,
    ledger: NodeLedger,
    genesis: g.Genesis,
    membership: Membership,
    logger: logging.Logger,
) -> None:
    """Refuse what a member must not run with; raise StartError."""
    check_promise(folder, membership)
    warn_of_neighbours(ledger, genesis, membership, folder.id, logger)
    if options.others_are_gone:
        _say_others_are_gone(ledger, membership)


def _exporter(
    options: NodeOptions, api: ApiHelper | None, logger: logging.Logger, carried: Carried | None
) -> Exporter:
    """The exporter of the epoch before, or another one."""
    if carried is not None and carried.exporter is not None:
        return carried.exporter
    return Exporter(options.metrics, logger, None if api is None else api.figures)


def _linked(
    genesis: g.Genesis, index: int, seed: bytes, options: NodeOptions, carried: Carried | None
) -> tuple[zmq.Context[Any], ZmqTransport]:
    """The links of a member: those of the epoch before, if its key and address are the same."""
    if carried is not None:
        links = carried.links
        if isinstance(links, ZmqTransport) and links.keeps(genesis, index, seed, options.bind):
            links.follow(genesis, index, options.addresses)
            return carried.context, links
        carried.close_links()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        return context, _listen(context, genesis, index, seed, options)
    except BaseException:
        context.destroy(linger=0)
        raise


def _say_others_are_gone(ledger: NodeLedger, membership: Membership) -> None:
    """Store the operator's statement that the other members are gone; raise StartError unless f = 0 (R11). In
    a Raft cluster it says that this disk is the newest one, although its witness does not (R44)."""
    count = len(membership.members)
    if membership.mode is Mode.RAFT:
        if ledger.created:
            raise StartError(
                "-others-are-gone is for a member that has its newest ledger; this one is empty."
            )
        ledger.vote_again()
        return
    if quorum.faults(count, membership.mode) > 0:
        raise StartError(
            f"-others-are-gone is for clusters that tolerate no liar; this one has {count} members and "
            "needs no such word."
        )
    ledger.say_others_are_gone()


def _in_epoch(
    folder: NodeFolder, options: NodeOptions, genesis: g.Genesis, membership: Membership
) -> NodeOptions:
    """The options with addresses by this epoch's member indices instead of those of genesis. A node listens
    at the address kept since it moved, else at its address in this epoch, unless the operator gave another
    one than that in genesis."""
    found = {
        place: address
        for index, address in options.addresses.items()
        if (place := membership.find(genesis.members[index].id)) is not None
    }
    own = next((member for member in genesis.members if member.id == folder.id), None)
    bind = options.bind
    if options.via is not None:
        bind = options.via.address
    elif bind is None or (own is not None and bind == (own.host, own.port)):
        bind = moved_to(folder)
    return msgspec.structs.replace(options, addresses=found, bind=bind)


def _listen(
    context: zmq.Context[Any],
    genesis: g.Genesis,
    index: int,
    seed: bytes,
    options: NodeOptions,
) -> ZmqTransport:
    addresses: Mapping[int, tuple[str, int]] = options.addresses
    try:
        behind = options.via is not None
        links = ZmqTransport(
            context, genesis, index, seed, bind=options.bind, addresses=addresses, local=behind
        )
        if options.via is not None:
            options.via.serve(links.local_port)
        return links
    except ValueError as error:
        raise StartError(f"{error}.") from error
    except zmq.ZMQError as error:
        host, port = options.bind or (genesis.members[index].host, genesis.members[index].port)
        raise StartError(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
