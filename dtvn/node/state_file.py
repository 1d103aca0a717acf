"""A file with the last certified state of a cluster: its head, then the state piece by piece (R11).

The file is written whole or not at all, and read as a stream: only one piece is in memory for any
state's size. It holds nothing secret, and nothing in it is trusted: q signatures under the old cluster's
epoch chain prove the head, and the head proves each group (proof.continuation, machine.continued_state).
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dtvn.files.whole import whole_file
from dtvn.machine.continued_state import Piece, StateError, proved_items
from dtvn.proof import ProofError, read_chain
from dtvn.proof.continuation import FORMAT, StateHead, certified, read_head
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.quorum import Mode
from dtvn.recovery import HEAD_BYTES, not_wanted

MAGIC = FORMAT.encode("ascii") + b"\n"
PIECE_BYTES_MAX = 20 * 1024 * 1024
"""Size limit of a piece, and of the head: an epoch chain has at most 16 MiB, an undivided group 8."""
_LENGTH = struct.Struct(">I")


class StateFileError(Exception):
    """A state file that cannot be used; the text is one sentence for the operator."""


class StateFile:
    """A state file whose head is proved. `continued`: the entry for it in a new genesis; `mode`: how the old
    cluster agreed, and the new one must (R44)."""

    def __init__(self, path: Path, head: StateHead, continued: g.Continued, mode: Mode) -> None:
        self.path = path
        self.head = head
        self.continued = continued
        self.mode = mode

    def items(self) -> Iterator[tuple[Item, ...]]:
        """The items of the state in groups, each proved; may be called again. Raises StateFileError."""
        continued = self.continued
        try:
            with self.path.open("rb") as file:
                file.seek(len(MAGIC))
                _frame(file)
                yield from proved_items(
                    continued.cluster, self.head.manifest, continued.state_root, _pieces(file)
                )
        except OSError as error:
            raise StateFileError(f"{self.path} cannot be read: {error.strerror}.") from error
        except (StateError, canonical.CanonicalError) as error:
            raise StateFileError(
                f"{self.path} is not the state of sequence {continued.sequence} that was signed: {error}."
            ) from error


def open_state(path: Path) -> StateFile:
    """Read the head and check it, signatures included; raise StateFileError."""
    try:
        with path.open("rb") as file:
            begin = file.read(HEAD_BYTES)
            if not begin.startswith(MAGIC):
                raise StateFileError(f"{path} {not_wanted(begin, FORMAT, 'how it begins')}")
            file.seek(len(MAGIC))
            head = read_head(_frame(file) or b"")
        return StateFile(path, head, certified(head), read_chain(head.chain).mode)
    except OSError as error:
        raise StateFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (ProofError, StateError) as error:
        raise StateFileError(f"{path} proves no state: {error}.") from error


def write_state(path: Path, head: StateHead, pieces: Iterable[Piece]) -> None:
    """Write a state file whole or not at all; raise StateFileError, also if the file exists already."""
    with _new_file(path) as file:
        file.write(MAGIC)
        _put(file, head)
        for piece in pieces:
            _put(file, piece)


def copy_state(source: Path, target: Path) -> None:
    """Copy a state file whole or not at all; raise StateFileError."""
    with _new_file(target) as file, source.open("rb") as other:
        shutil.copyfileobj(other, file)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A state file to write, whole or not at all; raise StateFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, mode=0o666) as file:
            yield file
    except FileExistsError as error:
        raise StateFileError(f"{path} already exists: choose another file.") from error
    except OSError as error:
        raise StateFileError(f"{path} cannot be written: {error.strerror}.") from error


def _put(file: BinaryIO, value: Any) -> None:
    data = canonical.encode(value)
    file.write(_LENGTH.pack(len(data)) + data)


def _frame(file: BinaryIO) -> bytes | None:
    """The next frame, None at the end; raise StateError if it is cut off or too large."""
    begin = file.read(_LENGTH.size)
    if not begin:
        return None
    size = _LENGTH.unpack(begin)[0] if len(begin) == _LENGTH.size else PIECE_BYTES_MAX + 1
    data = file.read(size) if size <= PIECE_BYTES_MAX else b""
    if len(data) != size:
        raise StateError("it is cut off, or no state file")
    return data


def _pieces(file: BinaryIO) -> Iterator[Piece]:
    while (data := _frame(file)) is not None:
        number, items = canonical.decode(_Piece, data)
        yield number, items


_Piece: Any = tuple[int, tuple[Item, ...]]
