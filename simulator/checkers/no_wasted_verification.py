"""Is no signature verified that a cheap check would have made unnecessary? (R5; P15)

The world's doors ask the core's own `wants` before every signature check; the host has asked it already, so
the answer must be yes. The function is the product's as it was when this module was loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus.messages import Head
from dtvn.protocol.consensus.verified import Header, Inbound, Verified
from dtvn.protocol.wire import Door, Envelope, Keys, Scheme
from simulator.frame_cache import AskedKeys, FrameCache, Result, keep
from simulator.violation import Violation

wants = Replica.wants
LOOK_EVERY = 8
"""Frames between two checks."""


class WatchedDoor(Door):
    """The product's door, which also reports unnecessary signature checks, and takes results from `reading`
    instead of computing them twice in one world."""

    def __init__(
        self,
        cluster: bytes,
        keys: Keys,
        frame_cache: FrameCache,
        *,
        scheme: Scheme,
        statements_max: int,
        sampled: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._asked = AskedKeys(keys)
        super().__init__(cluster, self._asked, scheme=scheme, statements_max=statements_max, sampled=sampled)
        self.core: Any = None
        """The core that this door serves."""
        self.name = ""
        self._frame_cache = frame_cache
        self._frames = 0

    def peek(self, inbound: Inbound) -> Header:
        """See Door."""
        headers = self._frame_cache.headers
        known = headers.get(inbound.frame)
        if known is not None and known.peer is inbound.peer:
            return known
        return keep(headers, inbound.frame, super().peek(inbound))

    def _decode(self, frame: bytes) -> tuple[Envelope, Any]:
        decoded = self._frame_cache.decoded
        return decoded.get(frame) or keep(decoded, frame, super()._decode(frame))

    def _check(self, key: bytes | None, envelope: Envelope, signer: str) -> None:
        signed = self._frame_cache.signed
        if key is None or (key, envelope) not in signed:
            super()._check(key, envelope, signer)
            if key is not None:
                keep(signed, (key, envelope), True)

    def verify(self, header: Header) -> Verified[Any]:
        """See Door."""
        self._frames += 1
        of_host = isinstance(header.message, Head)  # its host refuses it, not its core
        if self._frames % LOOK_EVERY == 0 and isinstance(self.core, Replica) and not of_host:
            reason = wants(self.core, header)
            if reason is not None:
                kind = type(header.message).__name__
                raise Violation(
                    "no-wasted-verification", f"{self.name} verifies a {kind} that it refuses: {reason.value}"
                )
        if self.sampled is not None:
            return super().verify(header)  # a result for members, who check all, is another one
        known = self._frame_cache.results.get(header.frame)
        if (
            known is not None
            and known.peer is header.peer
            and known.statements_max == self.statements_max
            and self._asked.agree(known.asked)
        ):
            return known.verified
        self._asked.asked.clear()
        verified = super().verify(header)
        asked = tuple(self._asked.asked)
        keep(
            self._frame_cache.results, header.frame, Result(header.peer, self.statements_max, asked, verified)
        )
        return verified
