"""Counters of one link: plain integers, read by status and metrics."""

from __future__ import annotations

import time

import msgspec


class LinkCounters(msgspec.Struct):
    """Counters of one peer since this process started."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    dropped_outbound: int = 0
    """Frames never sent: the bounded queue was full or the peer was not connected."""
    dropped_inbound: int = 0
    """Frames read but not handed on: the peer's inbound queue was full or the peer is muted."""
    connects: int = 0
    connected_at: int = 0
    """Unix seconds of the newest connection; 0: no connection so far."""
    disconnects: int = 0
    handshake_failures: int = 0
    bad_frames: int = 0
    """Frames the door refused as forged or malformed."""
    mutes: int = 0
    """Times this peer was muted for bad frames."""

    def note_connect(self) -> None:
        """Count a connection that was made just now."""
        self.connects += 1
        self.connected_at = int(time.time())
