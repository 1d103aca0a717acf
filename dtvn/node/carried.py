"""What a Process leaves to the one that takes its place in the next epoch, within the same operating-system
process: open ledger, executed state and links, so that a new epoch costs no restart (R35)."""

from __future__ import annotations

from typing import Any

import zmq

from dtvn.ledger import NodeLedger
from dtvn.machine import TicketApplication
from dtvn.net import RelayTransport, ZmqTransport
from dtvn.node.feed_publisher import FeedPublisher
from dtvn.node.overlay_port import OverlayPort
from dtvn.protocol.host import OwnClock


class Carried:
    """Belongs to the next process once that is built; else `run` closes it."""

    def __init__(
        self,
        *,
        ledger: NodeLedger,
        application: TicketApplication,
        context: zmq.Context[Any],
        links: ZmqTransport | RelayTransport,
        exporter: Any = None,
        figures: Any = None,
        publisher: FeedPublisher | None = None,
        overlay: OverlayPort | None = None,
        start: bytes = b"",
        own_clock: OwnClock | None = None,
    ) -> None:
        self.ledger = ledger
        self.application = application
        """The state after the last sequence of the epoch, equal to the ledger's rows."""
        self.context = context
        self.links = links
        self.exporter = exporter
        self.figures = figures
        """metrics.Exporter and metrics.Figures of a member; None: it was none. They read a Process."""
        self.publisher = publisher
        self.start = start
        """Random bytes of this process (R44); b"": it was no member."""
        self.overlay = overlay
        """The overlay, which knows the links and the address book."""
        self.own_clock = own_clock
        """A member's clock, which may hold back a step; None: it was none."""

    def close_links(self) -> None:
        """End the links: the next process has another key or address, or links of another kind."""
        if not self.context.closed:
            self.links.close()
            self.context.destroy(linger=0)

    def close(self) -> None:
        """Close everything, the ledger and its lock included."""
        self.close_links()
        for each in (self.exporter, self.publisher, self.ledger):
            if each is not None:
                each.close()
