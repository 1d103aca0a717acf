"""The ends of epochs as a recovery leaves them in a data folder (R11).

All members have new keys then, so nobody who knows only the old ones reaches any of them: the platform's
gateway and its learner are told here. What the file says is verified like every other hand-over.
"""

from __future__ import annotations

from pathlib import Path

from validators import canonical
from validators.ceremony import FILE_BYTES_MAX

__all__ = ["encode_handovers", "read_handovers"]


def encode_handovers(handovers: tuple[bytes, ...]) -> bytes:
    """The file's content: encoded HandOvers from genesis on."""
    return canonical.encode(handovers)


def read_handovers(path: Path) -> list[bytes]:
    """Those in a file; none where there is none. Raises OSError, CanonicalError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return []
    if len(data) > FILE_BYTES_MAX:
        raise canonical.CanonicalError(f"hand-overs of {len(data)} bytes are none")
    return list(canonical.decode(tuple[bytes, ...], data))
