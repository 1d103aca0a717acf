"""The file in which a recovery leaves the epoch change proofs of ended epochs in a data folder (R11).

After a recovery all members have new keys, so a process that knows only the old keys reaches no member. The
platform's gateway and learner read the epoch change proofs from this file and verify them like any other
epoch change proof.
"""

from __future__ import annotations

from pathlib import Path

from dtvn.protocol import canonical
from dtvn.protocol.genesis.ceremony import FILE_BYTES_MAX


def encode_epoch_changes(epoch_changes: tuple[bytes, ...]) -> bytes:
    """Encode epoch change proofs, from the first epoch on, as the content of the file."""
    return canonical.encode(epoch_changes)


def read_epoch_changes(path: Path) -> list[bytes]:
    """The encoded epoch change proofs in a file; [] if the file does not exist. Raises OSError,
    CanonicalError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return []
    if len(data) > FILE_BYTES_MAX:
        raise canonical.CanonicalError(f"a file of {len(data)} bytes holds no epoch change proofs")
    return list(canonical.decode(tuple[bytes, ...], data))
