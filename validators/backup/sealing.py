"""Encrypts an archive for one recipient, whose private key is elsewhere, and opens it with that key.

The form is age (age-encryption.org/v1), by pyrage: one line names a recipient, and a stream is encrypted as
it is read. gpg was not taken: its keyring and its trust in keys are settings of a user's account, which a
nightly job must first be given.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage

from dtvn.files.whole import whole_file
from validators.backup.forms import BackupError

MAGIC = b"age-encryption.org/v1\n"
SUFFIX = ".age"
SECRET = "AGE-SECRET-KEY-"  # noqa: S105 - how a line of an identity file begins


def recipient_of(text: str) -> pyrage.x25519.Recipient:
    """The recipient whose public key this is (age1...). Raises BackupError."""
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise BackupError(f"{text} is no recipient of age: one begins with age1 (age-keygen).") from error


def seal(plain: Path, out: Path, recipient: pyrage.x25519.Recipient) -> None:
    """Encrypt an archive into the new file `out`. Raises BackupError."""
    try:
        with plain.open("rb") as reading, whole_file(out) as writing:
            pyrage.encrypt_io(reading, writing, [recipient])
    except FileExistsError as error:
        raise BackupError(f"{out} exists already: name another file.") from error
    except (OSError, pyrage.EncryptError) as error:
        raise BackupError(f"{out} cannot be written: {error}.") from error


@contextmanager
def opened(path: Path, identity: Path | None) -> Iterator[Path]:
    """The plain archive of a file that may be encrypted; a decrypted copy is beside it, for its owner only,
    and gone afterwards. Raises BackupError."""
    if not _is_sealed(path):
        yield path
        return
    if identity is None:
        raise BackupError(f"{path} is encrypted: name the file with its key (--identity).")
    keys = _identities(identity)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as scratch:
        plain = Path(scratch) / path.name.removesuffix(SUFFIX)
        descriptor = os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with path.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
                pyrage.decrypt_io(reading, writing, keys)
        except (OSError, pyrage.DecryptError) as error:
            if isinstance(error, OSError) and error.strerror:
                raise BackupError(f"{path} cannot be decrypted beside it: {error.strerror}.") from error
            raise BackupError(f"{path} does not open with {identity}, or is damaged: {error}.") from error
        yield plain


def _is_sealed(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error


def _identities(path: Path) -> list[pyrage.x25519.Identity]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines if line.startswith(SECRET)]
    except (OSError, ValueError, pyrage.IdentityError) as error:
        raise BackupError(f"{path} cannot be read as keys of age: {error}.") from error
    if not found:
        raise BackupError(f"{path} holds no key of age: a line of it begins with {SECRET}.")
    return found
