"""One party's side of a genesis by several parties: keys in its data folder, its record, its seal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nacl import bindings

from dtvn.files.genesis import read_genesis_bytes
from dtvn.files.whole import write_private
from dtvn.net import KeyFileError, encode_seed, public_key_of, read_seed
from dtvn.node.layout import ClusterFolder, NodeFolder, is_node_id, why_not_joins_as
from dtvn.node.options import StartError, load_genesis, load_genesis_file
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.wire import ED25519


class FoundingError(Exception):
    """A step of the ceremony that cannot be done; the text is one sentence for the operator."""


def read_file(path: Path) -> c.Ceremony:
    """The ceremony in a file, all its signatures checked; raise FoundingError."""
    try:
        return c.decode(read_genesis_bytes(path))
    except OSError as error:
        raise FoundingError(f"{path} cannot be read: {error.strerror}.") from error
    except g.GenesisError as error:
        raise FoundingError(f"{path} is not an unfinished genesis: {error}.") from error


def write_file(path: Path, ceremony: c.Ceremony, *, replace: bool) -> None:
    """Write a ceremony whole or not at all; it holds nothing secret."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, c.encode(ceremony), replace=replace)
    except FileExistsError as error:
        raise FoundingError(f"{path} already exists; choose another file with --out.") from error
    except OSError as error:
        raise FoundingError(f"{path} cannot be written: {error.strerror}.") from error


def join(
    ceremony: c.Ceremony,
    folder: ClusterFolder,
    *,
    node_id: str,
    host: str,
    port: int,
    principals: dict[str, tuple[g.Grant, ...]],
    out: Path | None = None,
    replace: bool = False,
) -> c.Ceremony:
    """Create this party's keys below `folder` unless they exist, add its signed record to the ceremony, and
    write that to `out`, if given.

    `principals`: the party's own gateway and learner by role (`gateway`, `learner`), with the grants it
    asks for; their names are prefixed by the node's. Raise FoundingError, and leave no new files behind.
    """
    if is_node_id(node_id) and (why := why_not_joins_as(node_id, made_here=False)):
        raise FoundingError(f"id {why}.")
    with _explained(folder):
        _check_joins(folder, ceremony.terms)
        c.check_address(node_id, host, port)
        node = folder.node(node_id)
        # No file is created before every check has passed.
        seeds = _seeds(node, folder, principals)
        record = _record(ceremony.terms, [*seeds.values()], (node_id, host, port), principals)
        joined = c.with_record(ceremony, record)
        with _taken_back(_folders(folder, node, out)) as made:
            folder.create()
            node.create()
            _write_seeds(seeds, made)
            if out is not None:
                _write_joined(out, joined, made, replace=replace)
        return joined


def own_member(ceremony: c.Ceremony, folder: ClusterFolder) -> str | None:
    """Id of the member whose key is in `folder`; None if no member's key is there."""
    for record in ceremony.records:
        member = record.party.member
        key = folder.node(member.id).key
        if key.exists() and public_key_of(read_seed(key)) == member.public_key:
            return member.id
    return None


def seal(ceremony: c.Ceremony, folder: ClusterFolder, *, without_grants: bool = False) -> c.Ceremony:
    """The ceremony with the seal of the member whose key is in `folder`.

    Raise FoundingError, and sign nothing, if the folder already serves another cluster (one key would belong
    to two clusters), or if no principal could issue, admit or administer, unless `without_grants`.
    """
    with _explained(folder):
        node_id = own_member(ceremony, folder)
        if node_id is None:
            raise FoundingError(
                f"{folder.root} holds no key of a member in this file: run `genesis join` first."
            )
        genesis = c.founded(ceremony)
        _check_serves(folder, node_id, genesis)
        if (unheld := lacking_sentence(ceremony)) and not without_grants:
            raise FoundingError(
                f"In this genesis {unheld}: begin again with `init` and `join --grant`, or seal it so with "
                "--without-grants."
            )
        seed = read_seed(folder.node(node_id).key)
        signature = _sign(seed, c.seal_bytes(genesis))
        return c.with_seal(ceremony, c.Seal(member=node_id, signature=signature))


def lacking_sentence(ceremony: c.Ceremony) -> str:
    """What no principal may do under this genesis, "" if nothing is lacking: the end of a sentence."""
    listed = ", ".join(f"{c.NEEDED[each]} ({each})" for each in c.lacking(ceremony))
    return f"no principal may {listed}" if listed else ""


def install(ceremony: c.Ceremony, folder: ClusterFolder) -> list[Path]:
    """Write the sealed file where this party's node and platform start from it; return the files written.

    Raise FoundingError if it is not sealed by all members, if the folder holds no member's key, or if it is
    of another cluster.
    """
    data = c.encode(ceremony)
    with _explained(folder):
        c.open_genesis(data)
        if own_member(ceremony, folder) is None:
            raise FoundingError(f"{folder.root} holds no key of a member in this file: use its --data-dir.")
        targets = _targets(folder, own_member(ceremony, folder))
        for target in targets:
            if target.exists() and load_genesis_file(target)[1] != data:
                raise FoundingError(f"{target} belongs to another cluster: use another --data-dir.")
        written = [target for target in targets if not target.exists()]
        for target in written:
            write_private(target, data)
        return written


@contextmanager
def _explained(folder: ClusterFolder) -> Iterator[None]:
    """Turn what goes wrong in a step of the ceremony into a FoundingError."""
    try:
        yield
    except OSError as error:
        raise FoundingError(f"{folder.root} cannot be used: {error.strerror}.") from error
    except (KeyFileError, StartError, ValueError) as error:  # GenesisError is a ValueError
        raise FoundingError(f"{error}".rstrip(".") + ".") from error


def _targets(folder: ClusterFolder, node_id: str | None) -> list[Path]:
    return [folder.genesis] if node_id is None else [folder.genesis, folder.node(node_id).genesis]


def _check_serves(folder: ClusterFolder, node_id: str, genesis: g.Genesis) -> None:
    for target in _targets(folder, node_id):
        if target.exists() and g.cluster_id(load_genesis(target)) != g.cluster_id(genesis):
            raise FoundingError(f"{target} belongs to another cluster: use another --data-dir.")


def _check_joins(folder: ClusterFolder, terms: c.Terms) -> None:
    """Raise FoundingError, before any key is created, if the folder already serves another cluster."""
    if not folder.genesis.exists():
        return
    genesis, data = load_genesis_file(folder.genesis)
    if genesis.demo or c.decode(data).terms != terms:
        raise FoundingError(f"{folder.genesis} belongs to another cluster: use another --data-dir.")


def _sign(seed: bytes, data: bytes) -> bytes:
    return ED25519.sign(bindings.crypto_sign_seed_keypair(seed)[1], data)


# --- joining ------------------------------------------------------------------------------------------


def _seeds(node: NodeFolder, folder: ClusterFolder, roles: Iterable[str]) -> dict[Path, bytes]:
    """Seeds by path, the member's first: those of existing key files, and new ones not written yet."""
    files = {"gateway": folder.gateway_key, "learner": folder.learner_key}
    paths = [node.key, *(files[role] for role in sorted(roles))]
    new = bindings.crypto_sign_SEEDBYTES
    return {path: read_seed(path) if path.exists() else os.urandom(new) for path in paths}


def _record(
    terms: c.Terms,
    seeds: list[bytes],
    place: tuple[str, str, int],
    principals: dict[str, tuple[g.Grant, ...]],
) -> c.Record:
    """`seeds`: the member's, then those of the principals by role; `place`: id, host and port."""
    node_id, host, port = place
    keys = [public_key_of(seed) for seed in seeds]
    listed = tuple(
        g.Principal(f"{node_id}-{role}", key, principals[role])
        for role, key in zip(sorted(principals), keys[1:], strict=True)
    )
    member = g.Member(id=node_id, public_key=keys[0], host=host, port=port)
    party = c.Party(terms=terms.digest, member=member, principals=listed)
    return c.Record(party=party, signatures=tuple(_sign(seed, c.party_bytes(party)) for seed in seeds))


def _folders(folder: ClusterFolder, node: NodeFolder, out: Path | None) -> list[Path]:
    """The folders that joining creates if absent, each after its parent."""
    shared = [folder.cluster, folder.nodes, folder.keys]
    own = [node.root, node.identity, node.ledger, node.log]
    outer = [] if out is None else [*reversed(out.parents)]
    return [*reversed(folder.root.parents), folder.root, *shared, *own, *outer]


@contextmanager
def _taken_back(folders: list[Path]) -> Iterator[list[Path]]:
    """If the body fails, remove the files that it added to the list, and those of the folders that did not
    exist before, unless they hold other files."""
    absent = [folder for folder in folders if not folder.exists()]
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.unlink()
        for folder in reversed(absent):
            with suppress(OSError):
                folder.rmdir()
        raise


def _write_seeds(seeds: dict[Path, bytes], made: list[Path]) -> None:
    for path, seed in seeds.items():
        if not path.exists():
            write_private(path, encode_seed(seed))
            made.append(path)


def _write_joined(out: Path, joined: c.Ceremony, made: list[Path], *, replace: bool) -> None:
    try:
        write_file(out, joined, replace=replace)
    except FoundingError:
        # The file may be there and only not be durable yet: a record in use must not lose its keys.
        with suppress(FoundingError):
            if read_file(out) == joined:
                made.clear()
        raise
