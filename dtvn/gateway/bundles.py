"""Makes signed bundles out of operations, and dates those that their callers left undated. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dtvn.gateway.calls import Part
from dtvn.gateway.log_clock import LogClock, dated
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.host.ports import Signer
from dtvn.protocol.wire import Envelope


class Made(msgspec.Struct, frozen=True):
    """A bundle that is ready to be sent."""

    request: bytes
    """messages.bundle_digest."""
    frame: bytes
    operations: tuple[m.Operation, ...]
    valid_for: int
    """Nanoseconds from now on for which some operation is valid."""


class Bundles:
    """Signs for one principal. `client`: see Collector."""

    def __init__(self, principal: str, client: bytes, signer: Signer, clock: LogClock) -> None:
        self._principal = principal
        self._client = client
        self._signer = signer
        self._clock = clock
        self._envelopes = msgspec.msgpack.Decoder(Envelope)

    def make(
        self,
        epoch: int,
        session: tuple[int, int],
        number: int,
        done_below: int,
        waited_for: Iterable[tuple[tuple[m.Operation, ...], int]],
        now: Now,
    ) -> Made:
        """A bundle of these operations. `waited_for`: (operations, nanoseconds that their caller still
        waits); see messages.Bundle for the rest."""
        found: list[m.Operation] = []
        for operations, wait in waited_for:
            until = self._clock.until(now, wait)
            found += [dated(operation, until) for operation in operations]
        bundle = m.Bundle(
            epoch=epoch,
            principal=self._principal,
            client=self._client,
            session=session,
            number=number,
            done_below=done_below,
            operations=tuple(found),
        )
        frame = self._signer.sign(bundle)
        return Made(
            request=m.bundle_digest(self._envelopes.decode(frame).body),
            frame=frame,
            operations=bundle.operations,
            valid_for=self._clock.left(now, max(operation.valid_until for operation in found)),
        )


def waited_for(parts: Iterable[Part], now: Now) -> list[tuple[tuple[m.Operation, ...], int]]:
    """The operations of each part, and the nanoseconds that its caller still waits."""
    return [(part.operations, part.call.deadline - now.monotonic) for part in parts]
