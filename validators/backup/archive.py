"""The archive of a backup: a compressed tar of plain files, the manifest being the last.

`verify` reads a whole archive and writes nothing. `extract` checks each file again while it writes it. None
of them lets tarfile create anything: names are checked here, only plain files are accepted, and each is
created new, so no name, link or device in a forged archive can reach outside the target folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import msgspec

from dtvn.files.whole import sync_folder
from validators.backup.forms import FORMAT, FORMATS, BackupError, Entry, Manifest

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
CHUNK = 1024 * 1024
COMPRESSION = 1
"""Level of gzip, the lowest: ledgers are mostly signatures and hashes, which do not compress."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error)


class Writer:
    """Writes an archive, file by file."""

    def __init__(self, out: BinaryIO) -> None:
        self._tar = tarfile.open(  # noqa: SIM115 - closed by `close`
            fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=COMPRESSION
        )
        self.entries: list[Entry] = []

    def add(self, name: str, source: Path) -> None:
        """Add the content that a file has now; raises OSError."""
        with source.open("rb") as file:
            self._add(name, os.fstat(file.fileno()).st_size, file)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a file with this content."""
        self._add(name, len(content), io.BytesIO(content))

    def close(self, manifest: Manifest) -> None:
        """Add the manifest and end the archive."""
        self.add_bytes(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        self._tar.close()

    def _add(self, name: str, size: int, source: IO[bytes]) -> None:
        found = tarfile.TarInfo(name)
        found.size, found.mode = size, 0o600
        hashed = _Hashed(source)
        self._tar.addfile(found, hashed)  # type: ignore[arg-type]  # it reads, and nothing else is asked of it
        self.entries.append(Entry(name, size, hashed.digest.hexdigest()))


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self.digest.update(data)
        return data


def verify(path: Path) -> Manifest:
    """Read a whole archive; return its manifest if every file is as the manifest says. Writes nothing.
    Raises BackupError."""
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with _opened(path) as files:
        for member, content in files:
            if manifest is not None:
                raise BackupError(f"{path} is damaged: {member.name!r} follows its manifest.")
            if member.name == MANIFEST:
                manifest = _decode(path, content.read(MANIFEST_BYTES_MAX + 1))
                continue
            if member.name in found:
                raise BackupError(f"{path} is refused: it holds {member.name} twice.")
            size, digest = _drain(content, lambda _chunk: None)
            found[member.name] = Entry(member.name, size, digest)
    if manifest is None:
        raise BackupError(f"{path} is damaged: it ends without its manifest.")
    named = {each.path: each for each in manifest.files}
    for name in sorted(found.keys() ^ named.keys()):
        where = "not in its manifest" if name in found else "missing"
        raise BackupError(f"{path} is damaged: {name} is {where}.")
    for name, entry in named.items():
        if found[name] != entry:
            raise BackupError(f"{path} is damaged: {name} differs from its SHA-256.")
    return manifest


def extract(path: Path, manifest: Manifest, wanted: Callable[[str], bool], target: Path) -> None:
    """Write the files for whose names `wanted` is true below `target`, durably, for the owner only. Raises
    BackupError, also if the archive is no longer the one that `verify` read; OSError if they cannot be
    written."""
    named = {each.path: each for each in manifest.files}
    missing = {name for name in named if wanted(name)}
    target.mkdir(mode=0o700, exist_ok=True)
    with _opened(path) as files:
        for member, content in files:
            if member.name not in missing:
                continue
            missing.discard(member.name)
            if _write(content, target, member.name) != named[member.name]:
                raise BackupError(f"{path} was replaced while it was read: {member.name} differs.")
    if missing:
        raise BackupError(f"{path} was replaced while it was read: {min(missing)} is missing.")


def read(path: Path, name: str) -> bytes:
    """The content of one small file of an archive; raises BackupError."""
    with _opened(path) as files:
        for member, content in files:
            if member.name == name:
                return content.read(MANIFEST_BYTES_MAX)
    raise BackupError(f"{path} holds no {name}.")


def is_safe(name: str) -> bool:
    """Whether a name stays below its folder: plain components, none of which begins with a dot."""
    return all(_NAME.fullmatch(part) for part in name.split("/"))


def _write(content: IO[bytes], target: Path, name: str) -> Entry:
    place = target
    for part in PurePosixPath(name).parent.parts:
        above, place = place, place / part
        if not place.is_dir():
            place.mkdir(mode=0o700)
            sync_folder(above)
    file = target / name
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as writing:
        size, digest = _drain(content, writing.write)
        writing.flush()
        os.fsync(writing.fileno())
    sync_folder(place)
    return Entry(name, size, digest)


def _drain(content: IO[bytes], take: Callable[[bytes], object]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := content.read(CHUNK):
        size += len(chunk)
        digest.update(chunk)
        take(chunk)
    return size, digest.hexdigest()


def _decode(path: Path, content: bytes) -> Manifest:
    try:
        if len(content) > MANIFEST_BYTES_MAX:
            raise ValueError("it is too large")
        known = msgspec.json.decode(content)
        if isinstance(known, dict) and known.get("format") not in FORMATS:
            raise BackupError(
                f"{path} has the form {known.get('format')!r}, and this program reads {FORMAT}: restore it "
                "with the program that made it."
            )
        return msgspec.json.decode(content, type=Manifest)
    except ValueError as error:
        raise BackupError(f"{path} is damaged: its manifest does not decode: {error}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The plain files of an archive in their order; whatever makes it unreadable becomes a BackupError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        yield _members(path, file)


def _members(path: Path, file: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    try:
        with tarfile.open(fileobj=file, mode="r|gz") as tar:
            for member in tar:
                if not member.isreg():
                    raise BackupError(f"{path} is refused: {member.name!r} is not a plain file.")
                if not is_safe(member.name):
                    raise BackupError(f"{path} is refused: {member.name!r} is not a name of a backup's file.")
                content = tar.extractfile(member)
                if content is None:
                    raise BackupError(f"{path} is refused: {member.name!r} is not a plain file.")
                yield member, _Guarded(path, content)  # type: ignore[misc]  # as _Hashed
    except _UNREADABLE as error:
        raise BackupError(f"{path} is damaged, or no backup: {error}.") from error


class _Guarded:
    """The content of one file; damage becomes a BackupError."""

    def __init__(self, path: Path, content: IO[bytes]) -> None:
        self._path = path
        self._content = content

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        try:
            return self._content.read(size)
        except _UNREADABLE as error:
            raise BackupError(f"{self._path} is damaged: {error}.") from error
