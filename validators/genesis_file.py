"""Reading a genesis file that somebody named: it may be a disk, or have no end at all."""

from __future__ import annotations

from pathlib import Path

from validators.ceremony import FILE_BYTES_MAX
from validators.genesis import GenesisError

__all__ = ["read_genesis_bytes"]


def read_genesis_bytes(path: Path) -> bytes:
    """What the file holds; raise OSError, or GenesisError when it is larger than any genesis."""
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise GenesisError(f"it is too large, over {FILE_BYTES_MAX} bytes")
    return data
