"""Reads a genesis file, up to a size limit: the path that an operator gave may name a disk or a pipe."""

from __future__ import annotations

from pathlib import Path

from dtvn.protocol.genesis import Genesis
from dtvn.protocol.genesis.ceremony import FILE_BYTES_MAX, check_size, open_genesis


def read_genesis(path: Path) -> Genesis:
    """The genesis in a file, sealed by all its members unless it is of a demonstration cluster; raise OSError
    or GenesisError."""
    return open_genesis(read_genesis_bytes(path))


def read_genesis_bytes(path: Path) -> bytes:
    """The content of the file; raise OSError, or GenesisError if it is larger than any genesis."""
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    check_size(data)
    return data
