"""A platform without a node of its own: keys and genesis in a data folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dtvn.ceremony.founding import FoundingError
from dtvn.files.whole import write_private
from dtvn.net import encode_seed, public_key_of, read_seed
from dtvn.node.layout import ClusterFolder, make_private, why_not_joins_as
from dtvn.node.options import StartError, load_genesis_file
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Membership


class Attached(msgspec.Struct, frozen=True):
    """Public keys of a platform's principals by name: its gateway, then its learner."""

    gateway: tuple[str, bytes]
    learner: tuple[str, bytes]


def attach(file: Path, folder: ClusterFolder, name: str, sources: Path | None = None) -> Attached:
    """Make the keys of the platform `name` unless they exist, and install the sealed genesis in `file`.

    `sources`: a file of `members show --write`, if all founders are gone. An administrator adds the two
    principals. Raise FoundingError.
    """
    if why := why_not_joins_as(name):
        raise FoundingError(f"id {why}.")
    try:
        _, data = load_genesis_file(file)
        newest = None if sources is None else sources.read_bytes()
        if newest is not None:
            canonical.decode(Membership, newest)
        if folder.genesis.exists() and load_genesis_file(folder.genesis)[1] != data:
            raise FoundingError(f"{folder.genesis} belongs to another cluster: use another --data-dir.")
        folder.create()
        gateway = _key(folder.gateway_key, f"{name}-gateway")
        learner = _key(folder.learner_key, f"{name}-learner")
        if newest is not None:
            make_private(folder.learner)
            write_private(folder.learner_sources, newest, replace=True)
        if not folder.genesis.exists():
            write_private(folder.genesis, data)
    except (OSError, StartError, canonical.CanonicalError) as error:
        raise FoundingError(f"{error}".rstrip(".") + ".") from error
    return Attached(gateway, learner)


def _key(path: Path, wire: str) -> tuple[str, bytes]:
    if not path.exists():
        write_private(path, encode_seed(os.urandom(32), wire))
    return wire, public_key_of(read_seed(path))
