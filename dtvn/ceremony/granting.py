"""Grants by all members together (R15): the file that they sign on their own hosts, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from nacl import bindings

from dtvn.files.whole import write_private
from dtvn.machine import GrantPrincipal, GrantStatement, statement_bytes
from dtvn.machine.fields import Signature
from dtvn.net import read_seed
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.wire import ED25519

FORMAT = "dtvn-grant-1"
FILE_BYTES_MAX = 64 * 1024


class GrantError(Exception):
    """A step that cannot be done; the text is one sentence for the operator."""


class GrantFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A statement and the signatures so far; it holds no secrets."""

    format: str
    cluster: bytes
    statement: GrantStatement
    signatures: tuple[tuple[bytes, Signature], ...] = ()
    """(public key, signature), ascending by key."""


def read_grant(path: Path) -> GrantFile:
    """The file, all its signatures checked; raise GrantError."""
    try:
        data = path.read_bytes()
        file = canonical.decode(GrantFile, data[: FILE_BYTES_MAX + 1])
    except OSError as error:
        raise GrantError(f"{path} cannot be read: {error.strerror}.") from error
    except canonical.CanonicalError as error:
        raise GrantError(f"{path} is not a grant to sign: {error}.") from error
    if file.format != FORMAT or len(data) > FILE_BYTES_MAX:
        raise GrantError(f"{path} is not a grant to sign.")
    said = statement_bytes(file.cluster, file.statement)
    if not all(ED25519.verify(key, said, signature) for key, signature in file.signatures):
        raise GrantError(f"{path} holds a signature of another statement.")
    return file


def write_grant(path: Path, file: GrantFile, *, replace: bool) -> None:
    """Write the file whole; raise GrantError."""
    try:
        write_private(path, canonical.encode(file), replace=replace)
    except FileExistsError as error:
        raise GrantError(f"{path} already exists; choose another file with --out.") from error
    except OSError as error:
        raise GrantError(f"{path} cannot be written: {error.strerror}.") from error


def signed(file: GrantFile, key: Path) -> GrantFile:
    """The file with the signature of the member whose key is in the file `key`; raises KeyFileError."""
    public, secret = bindings.crypto_sign_seed_keypair(read_seed(key))
    signature = ED25519.sign(secret, statement_bytes(file.cluster, file.statement))
    return _with(file, [(public, signature)])


def merged(file: GrantFile, others: Iterable[GrantFile]) -> GrantFile:
    """The file with the signatures of other copies; raise GrantError if one is of another statement."""
    for other in others:
        if (other.cluster, other.statement) != (file.cluster, file.statement):
            raise GrantError("The files hold different statements: sign copies of one file.")
        file = _with(file, other.signatures)
    return file


def missing(file: GrantFile, now: Membership) -> list[str]:
    """Ids of the members of this epoch that must still sign."""
    keys = dict(file.signatures)
    return [member.id for member in now.members if member.public_key not in keys]


def command(file: GrantFile, now: Membership) -> GrantPrincipal:
    """The command to order; raise GrantError unless all members of this epoch signed."""
    if file.statement.epoch != now.epoch:
        raise GrantError(
            f"The members signed in epoch {file.statement.epoch}; epoch {now.epoch} has begun: sign again."
        )
    if absent := missing(file, now):
        raise GrantError(f"{', '.join(absent)} must still sign: all members are needed.")
    keys = dict(file.signatures)
    return GrantPrincipal(file.statement, tuple(keys[member.public_key] for member in now.members))


def _with(file: GrantFile, more: Iterable[tuple[bytes, bytes]]) -> GrantFile:
    known = {**dict(file.signatures), **dict(more)}
    return msgspec.structs.replace(file, signatures=tuple(sorted(known.items())))
