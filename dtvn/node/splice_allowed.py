"""Which keys may register at a splice: those of a genesis, of its command line, and of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dtvn.node.keys import public_key_of_peer_id
from dtvn.node.options import load_genesis

LINES_MAX = 10_000
PORT_MAX = 65_535


def read_allowed(text: str) -> dict[bytes, int]:
    """Ed25519 public keys with the port that each is to have (0: any), of `PEER-ID [PORT] [# comment]`;
    raise ValueError with a sentence that names the line."""
    allowed: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines()[:LINES_MAX], start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key, port = public_key_of_peer_id(words[0]), int(words[1]) if len(words) > 1 else 0
            if len(words) > 2 or not 0 <= port <= PORT_MAX:
                raise ValueError(f"{line.strip()!r} is not PEER-ID or PEER-ID PORT")
            if port and port in allowed.values():
                raise ValueError(f"port {port} has an owner already")
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        allowed[key] = port
    return allowed


class Allowed:
    """Call it for the keys that may register now, with their ports. The file is read again when it changes;
    one that cannot be read then changes nothing, and `trouble` says so."""

    def __init__(self, genesis: Iterable[Path], keys: Iterable[str], file: Path | None) -> None:
        """`genesis`: files whose members and principals may register. `keys`: peer ids. Raise ValueError,
        StartError or OSError."""
        self._fixed: dict[bytes, int] = {}
        for path in genesis:
            founded = load_genesis(path)
            self._fixed |= {member.public_key: 0 for member in founded.members}
            self._fixed |= {principal.public_key: 0 for principal in founded.principals}
        self._fixed |= read_allowed("\n".join(keys))
        self._file, self._stamp = file, (0, 0)
        self._all: Mapping[bytes, int] = self._fixed
        self.trouble = ""
        if file is not None:
            self._look(file)
            if self.trouble:
                raise ValueError(self.trouble)

    def __call__(self) -> Mapping[bytes, int]:
        """See the class."""
        if self._file is not None:
            self._look(self._file)
        return self._all

    def _look(self, file: Path) -> None:
        try:
            status = file.stat()
            if (stamp := (status.st_mtime_ns, status.st_size)) == self._stamp:
                return
            self._stamp = stamp
            self._all = self._fixed | read_allowed(file.read_text(encoding="utf-8"))
            self.trouble = ""
        except (OSError, ValueError) as error:
            self.trouble = f"{file} cannot be used: {error}"
