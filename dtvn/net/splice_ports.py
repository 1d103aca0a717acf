"""Which port of a splice belongs to which key: the same one for ever, kept in a small file."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path

import msgspec

from dtvn.files.whole import write_private


class NoPort(Exception):
    """All ports are given away; the text is a sentence."""


class PortBook:
    """Gives ports of the range `low` to `high`. `file`: where they are kept; None: nowhere.

    A port is never given to another key while its owner may still register, since others dial it there.
    """

    def __init__(self, low: int, high: int, file: Path | None = None) -> None:
        """Raise ValueError for a damaged file or an empty range."""
        if not 1 <= low <= high <= 65_535:
            raise ValueError(f"{low}-{high} is not a range of ports")
        self._range = range(low, high + 1)
        self._file = file
        self._of: dict[bytes, int] = {}
        if file is not None and file.exists():
            try:
                kept = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
                self._of = {bytes.fromhex(key): port for key, port in kept.items()}
            except (msgspec.MsgspecError, ValueError) as error:
                raise ValueError(f"{file} does not hold the splice's ports: {error}") from error

    def assign(
        self, key: bytes, wanted: int, allowed: Container[bytes], pinned: Mapping[bytes, int] | None = None
    ) -> int:
        """The port of a key: `pinned` by the operator, else the one that it has, else `wanted` if that is
        free, else the lowest free one, also of a key that may not register any more. Raise NoPort."""
        pins = pinned or {}
        if key in pins:
            return pins[key]
        own = self._of.get(key, 0)
        if own in self._range and own not in pins.values():
            return own
        taken = {port: owner for owner, port in self._of.items()}
        candidates = [wanted, *self._range] if wanted in self._range else list(self._range)
        tests: list[Callable[[int], bool]] = [
            lambda port: port not in taken,
            lambda port: taken[port] not in allowed,
        ]
        for fits in tests:
            for port in candidates:
                if port not in pins.values() and fits(port):
                    self._keep(key, port, taken.get(port))
                    return port
        raise NoPort(f"all {len(self._range)} ports of this splice belong to other nodes")

    def _keep(self, key: bytes, port: int, former: bytes | None) -> None:
        if former is not None:
            del self._of[former]
        self._of[key] = port
        if self._file is not None:
            kept = {owner.hex(): port for owner, port in sorted(self._of.items())}
            write_private(self._file, msgspec.json.encode(kept), replace=True)
