"""The file in which a recovery leaves the hand-overs of ended epochs in a data folder (R11).

After a recovery all members have new keys, so a process that knows only the old keys reaches no member. The
platform's gateway and learner read the hand-overs from this file and verify them like any other hand-over.
"""

from __future__ import annotations

from pathlib import Path

from dtvn.protocol import canonical
from dtvn.protocol.genesis.ceremony import FILE_BYTES_MAX

__all__ = ["encode_handovers", "read_handovers"]


def encode_handovers(handovers: tuple[bytes, ...]) -> bytes:
    """Encode hand-overs, from the first epoch on, as the content of the file."""
    return canonical.encode(handovers)


def read_handovers(path: Path) -> list[bytes]:
    """The encoded hand-overs in a file; [] if the file does not exist. Raises OSError, CanonicalError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return []
    if len(data) > FILE_BYTES_MAX:
        raise canonical.CanonicalError(f"hand-overs of {len(data)} bytes are none")
    return list(canonical.decode(tuple[bytes, ...], data))
