"""The life of a node that is no member and keeps addresses only (`-bootstrap-node`; R45).

It listens, learns where those who ask it are, and tells others; it has no ledger, takes no part in consensus,
and dials nobody. It has no log either, so it knows who counts from the genesis alone: the members and
principals listed there may connect and have records, everybody else is refused. Those that came later name a
member with `-bootstrap`. No promise rests on it: a record is signed by its author, and who is told nothing
asks others.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import zmq
from nacl import bindings

from dtvn.net import RelayTransport, format_multiaddr, public_key_of, read_seed
from dtvn.node.heart import Beat
from dtvn.node.keys import peer_id
from dtvn.node.layout import NodeFolder
from dtvn.node.options import NodeOptions, StartError, load_genesis
from dtvn.node.overlay_port import NoDialling, OverlayPort
from dtvn.node.watcher import FORGED, line
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.messages import Gossip
from dtvn.protocol.consensus.verified import Inbound
from dtvn.protocol.host import INBOUND_MAX
from dtvn.protocol.wire import Envelope, kind_of, link_frame

LOOK_NS = 200_000_000
"""Nanoseconds between two looks at `should_stop`."""
BEAT_NS = 1_000_000_000
_GOSSIP = kind_of(Gossip(b""))


class BookNode:
    """Its links and its part in the overlay."""

    def __init__(self, root: Path, options: NodeOptions, logger: logging.Logger) -> None:
        """Raises StartError if it cannot listen."""
        folder = NodeFolder(root)
        genesis, seed = load_genesis(folder.genesis), read_seed(folder.key)
        host, port = options.bind or ("127.0.0.1", 0)
        self.id, self.cluster = folder.id, g.cluster_id(genesis)
        self._logger = logger
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self.links = RelayTransport(self._context, seed, genesis.members, listen=(host, port), wanted=())
        except (zmq.ZMQError, ValueError) as error:
            self._context.destroy(linger=0)
            why = os.strerror(error.errno or 0) if isinstance(error, zmq.ZMQError) else error
            raise StartError(f"Cannot listen on {host}:{port}: {why}.") from error
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self.overlay = OverlayPort(self.cluster, secret, self.id, options.overlay)
        self.overlay.follow(self.links, NoDialling())
        principals = {principal.name: principal.public_key for principal in genesis.principals}
        self.links.admit(principals)
        self.overlay.admit([member.public_key for member in genesis.members], principals.values())
        self.overlay.begin()
        self.multiaddr = format_multiaddr(*self.links.address, peer_id(public_key_of(seed)))

    @property
    def records(self) -> int:
        """How many records it keeps."""
        return len(self.overlay.overlay.book)

    def turn(self) -> None:
        """Take what came, and answer."""
        self.links.wait(LOOK_NS)
        now = Now(time.monotonic_ns(), time.time_ns())
        for item in self.links.receive(INBOUND_MAX):
            reason = self._take(item, now)
            if reason is not None and reason.value in FORGED:
                self.links.bad_frame(item.peer.name)
        for peer, body in self.overlay.turn(now):
            self.links.answer(peer, link_frame(Gossip(body)))

    def _take(self, item: Inbound, now: Now) -> Reason | None:
        """Take a frame. All but the overlay's are ignored: members that dial it send heads, say."""
        try:
            envelope = canonical.decode(Envelope, item.frame)
            if envelope.kind != _GOSSIP:
                return None
            body = canonical.decode(Gossip, envelope.body).body
        except canonical.CanonicalError:
            return Reason.MALFORMED
        return self.overlay.receive(item.peer, body, now)

    def close(self) -> None:
        """Close its links."""
        self.links.close()
        self._context.destroy(linger=0)


def run_book(
    root: Path,
    options: NodeOptions,
    should_stop: Callable[[], bool],
    beat: Beat | None,
    logger: logging.Logger,
) -> None:
    """Run the node until `should_stop()`. Raises StartError, KeyFileError."""
    node = BookNode(root, options, logger)
    fields = {"node_id": node.id, "cluster": node.cluster.hex()[:16], "endpoint": node.multiaddr}
    logger.info("%s", line("keeps_addresses", fields))
    beat_at = 0
    try:
        while not should_stop():
            node.turn()
            if beat is not None and time.monotonic_ns() >= beat_at:
                beat_at = time.monotonic_ns() + BEAT_NS
                beat({"node_id": node.id, "state": "book", "records": node.records})
        logger.info("%s", line("stopped", {"records": node.records}))
    finally:
        node.close()
