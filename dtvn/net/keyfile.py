"""Key files: a 32-byte Ed25519 seed as 64 hex digits, created so that only their owner can read them.

A second line may hold the name on the wire that belongs to a principal's rotated key.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from nacl import bindings

from dtvn.files.whole import write_private

SEED_SIZE = 32
FILE_BYTES_MAX = 256


class KeyFileError(Exception):
    """A key file that cannot be used; the text is a sentence that names the file, never its content."""


def public_key_of(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a seed."""
    return bindings.crypto_sign_seed_keypair(seed)[0]


def read_seed(path: Path) -> bytes:
    """The 32-byte seed in `path`; raise KeyFileError if it is absent, malformed, or open to others."""
    return read_named_seed(path)[0]


def read_named_seed(path: Path) -> tuple[bytes, str]:
    """The seed in `path` and the name on its second line ("" without that line); raise KeyFileError."""
    try:
        with open(path, "rb", opener=_open_no_link) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise KeyFileError(
            f"The key file {path} is open to others (mode {mode:04o}): chmod 600 it, and make a new "
            "key if anybody may have read it."
        )
    try:
        digits, _, name = text.decode("ascii").strip().partition("\n")
        seed = bytes.fromhex(digits)
    except ValueError as error:
        raise KeyFileError(f"The key file {path} does not hold {2 * SEED_SIZE} hex digits.") from error
    if len(seed) != SEED_SIZE:
        raise KeyFileError(f"The key file {path} does not hold {2 * SEED_SIZE} hex digits.")
    return seed, name.strip()


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def encode_seed(seed: bytes, name: str = "") -> bytes:
    """The content of a key file, as `read_named_seed` reads it."""
    return "".join(f"{line}\n" for line in (seed.hex(), name) if line).encode("ascii")


def ensure_seed(path: Path) -> bytes:
    """The seed in `path`. An absent file gets a random seed, unless another process creates it first."""
    if not path.exists():
        with suppress(FileExistsError):
            write_private(path, encode_seed(os.urandom(SEED_SIZE)))
    return read_seed(path)
