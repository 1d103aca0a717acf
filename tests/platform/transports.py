"""Twisted transports in memory, for tests of the web process's connections."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.testing import StringTransport

BUFFER = 65_536
"""Bytes of a real transport's buffer, beyond which its producer is told to pause."""


class HalfClosing(StringTransport):
    """A TCP transport can end its own direction alone."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        """See twisted."""
        self.half_closed = True


class Unread(HalfClosing):
    """One whose client reads only when the test says so."""

    def __init__(self) -> None:
        super().__init__(lenient=True)

    def unregisterProducer(self) -> None:
        """See twisted: a real one may have none."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """See twisted."""
        super().write(data)
        if self.producer is not None and len(self.value()) > BUFFER:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See twisted."""
        self.write(b"".join(data))

    def is_read(self) -> None:
        """The client takes all."""
        self.clear()
        self.producer.resumeProducing()
