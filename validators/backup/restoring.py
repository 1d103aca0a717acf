"""Restores a data folder, a node or a platform from an archive that was verified before anything is written.

Files are written beside their place, servers are filled from there, then the files are moved into place, what
makes a start possible last: an interrupted restore leaves nothing that could be started. A restored node
follows without a vote (R11): see `copying`.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from dtvn.files.whole import sync_folder
from dtvn.node.layout import ClusterFolder, is_node_id, make_private
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony
from validators.backup.archive import extract, read, verify
from validators.backup.forms import BackupError, Manifest
from validators.backup.servers import Archive, dumps_of, fill
from validators.backup.sources import SECRET_KEY, STAMP, WITNESS, Source
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder

CONNECT_WAIT = 1.0
ACCOUNTS = ("platform/", SECRET_KEY, "keys/platform.json")
"""Files that a platform takes along to a new cluster."""
CLUSTER = ("cluster/", "keys/")
PLATFORM = "platform"
LOG = "log"
"""In a node's folder: all that is there after starts in vain."""
IDENTITY = "identity"
"""In a node's folder: without its files the node does not start."""
STARTING = ("keys/gateway.key", "keys/learner.key")
"""Files without which no platform starts: they come last, after its database."""


class RestoreRequest(msgspec.Struct, frozen=True):
    """Which part of an archive to restore: everything, one node, or the platform."""

    part: Literal["all", "node", "platform"] = "all"
    node: str = ""
    ledger_urls: dict[str, str] = {}
    """Node -> the server of its own to which its ledger goes, other than the archive says."""


def check(path: Path) -> Manifest:
    """Verify an archive, and that this program can use it; return its manifest. Raises BackupError."""
    manifest = verify(path)
    names = {each.path for each in manifest.files}
    nodes = {name.split("/")[1] for name in names if name.startswith("nodes/")}
    for node in sorted(nodes):
        if not is_node_id(node):
            raise BackupError(f"{path} is refused: {node!r} is not the name of a node.")
        if f"nodes/{node}/{STAMP}" not in names:
            raise BackupError(f"{path} is refused: it does not mark {node} as a node that has voted.")
    for copy in manifest.ledgers:
        if copy.name != LEARNER_SCHEMA and copy.name not in nodes:
            raise BackupError(f"{path} is refused: it holds a ledger of {copy.name!r}, and no such node.")
        if copy.name in nodes and f"nodes/{copy.name}/{WITNESS}" not in names:
            raise BackupError(f"{path} is refused: it does not mark the ledger of {copy.name} as a copy.")
        if copy.path not in names:
            raise BackupError(f"{path} is damaged: {copy.path} is missing.")
    _check_versions(path, manifest)
    return manifest


def restore(path: Path, manifest: Manifest, target: Source, request: RestoreRequest) -> list[str]:
    """Restore from an archive that `check` accepted; return the names of the restored nodes. Raises
    BackupError; then nothing was put in place, except what the message names."""
    folder = DataFolder(target.root)
    _refuse_running(folder, request)
    wanted = _wanted(manifest, target, request)
    names = [each.path for each in manifest.files if wanted(each.path)]
    if not names:
        named = request.node or ("the platform" if request.part == "platform" else "a cluster")
        raise BackupError(f"{path} holds nothing of {named}: see manage.py restore --check.")
    restored = sorted({name.split("/")[1] for name in names if name.startswith("nodes/")})
    genesis = _genesis(path, manifest)
    _refuse_living_members(genesis, manifest, restored)
    dumps = dumps_of(Archive(path, manifest, genesis), target, request.ledger_urls, names)
    try:
        target.root.parent.mkdir(parents=True, exist_ok=True)
        _check_space(manifest, names, target.root.parent)
        with _beside(target.root) as staged:
            extract(path, manifest, wanted, staged)
            fill(dumps, staged, genesis)
            try:
                _put(staged, target.root, request)
            except OSError as error:
                if not dumps:
                    raise
                kept = ", ".join(dump.schema for dump in dumps)
                raise BackupError(f"{_sentence(error, target)} On the server: schema {kept}.") from error
    except OSError as error:
        raise BackupError(_sentence(error, target)) from error
    return restored


def _sentence(error: OSError, target: Source) -> str:
    return f"{error.filename or target.root}: {error.strerror}."


def _wanted(manifest: Manifest, target: Source, request: RestoreRequest) -> Callable[[str], bool]:
    """Which files of the archive are restored; raise BackupError if their place is taken."""
    root = target.root
    if request.part == "all":
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise BackupError(f"{root} is not empty: restore into a new folder, or move this one away first.")
        return lambda _name: True
    if request.part == "node":
        place = ClusterFolder(root).nodes / request.node
        if place.exists() and (not place.is_dir() or any(each.name != LOG for each in place.iterdir())):
            raise BackupError(f"{place} exists: move it away first.")
        # Its ledger is not restored: the node takes the log from the other members, which run.
        ledger = f"nodes/{request.node}/ledger/"
        return lambda name: name.startswith(f"nodes/{request.node}/") and not name.startswith(ledger)
    if (root / "platform").is_dir() and any((root / "platform").iterdir()):
        raise BackupError(f"{root / 'platform'} is not empty: move it away first.")
    parts = ACCOUNTS if _continues(root, manifest) else ACCOUNTS + CLUSTER
    return lambda name: name.startswith(parts) and not (root / name).exists()


def _continues(root: Path, manifest: Manifest) -> bool:
    """Whether the folder holds a cluster that continues the archive's; raise BackupError if it holds an
    unrelated one."""
    path = ClusterFolder(root).genesis
    if not path.exists():
        return False
    try:
        genesis = load_genesis(path)
    except StartError as error:
        raise BackupError(str(error)) from error
    if g.cluster_id(genesis).hex() == manifest.cluster:
        return False
    continued = g.continued(genesis)
    if continued is None or continued.cluster.hex() != manifest.cluster:
        raise BackupError(
            f"{root} holds cluster {g.cluster_id(genesis).hex()[:16]}, and the archive is of "
            f"{manifest.cluster[:16]}: use another --data-dir."
        )
    return True


def _check_versions(path: Path, manifest: Manifest) -> None:
    """Raise BackupError if a newer program wrote the ledgers or the platform's database."""
    from django.db.migrations.loader import MigrationLoader

    from validators.ledger.models import SCHEMA_VERSION

    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    newer = [f"{app}.{name}" for app, name in manifest.migrations.items() if f"{app}.{name}" not in known]
    newer += [f"ledger schema {each.schema}" for each in manifest.ledgers if each.schema > SCHEMA_VERSION]
    if newer:
        raise BackupError(
            f"{path} was made by a newer program ({manifest.program}), which has {newer[0]}: restore it "
            "with that program."
        )


def _refuse_running(folder: DataFolder, request: RestoreRequest) -> None:
    """Raise BackupError while a process of a network uses the target."""
    if request.part == "node":
        if (holder := lock_holder(folder.node_lock(request.node))) is not None:
            raise BackupError(f"{request.node} runs on {folder.root} (process {holder}): stop it first.")
        return
    for lock in (folder.lock_file, *folder.slots.rglob("*.lock")):
        if (holder := lock_holder(lock)) is not None:
            raise BackupError(
                f"A network is running on {folder.root} (process {holder}): stop it first (make down)."
            )


def _refuse_living_members(genesis: g.Genesis, manifest: Manifest, restored: list[str]) -> None:
    """Raise BackupError if something listens at an address, of genesis or of the newest known epoch, of a
    member that would be restored: a second process with its key would convict it."""
    founding = {member.id: (member.host, member.port) for member in genesis.members}
    taken = {at for member, at in manifest.addresses.items() if member not in restored}
    for member in restored:
        known = {founding.get(member), manifest.addresses.get(member)} - taken
        for host, port in filter(None, known):
            # UnicodeError: a host that is no name at all
            with (
                suppress(OSError, UnicodeError),
                closing(socket.create_connection((host, port), CONNECT_WAIT)),
            ):
                raise BackupError(
                    f"{member} is alive: something listens at {host}:{port}. Stop it first, and never run a "
                    "member twice."
                )


def _genesis(path: Path, manifest: Manifest) -> g.Genesis:
    """The genesis in the archive; raise BackupError."""
    named = [each.path for each in manifest.files if each.path.endswith("/genesis.bin")]
    if not named:
        raise BackupError(f"{path} holds no genesis.")
    try:
        genesis = ceremony.open_genesis(read(path, named[0]))
    except g.GenesisError as error:
        raise BackupError(f"{path} holds a genesis that is not usable: {error}.") from error
    if g.cluster_id(genesis).hex() != manifest.cluster:
        raise BackupError(f"{path} is refused: its genesis is of another cluster than its manifest.")
    return genesis


def _check_space(manifest: Manifest, names: list[str], place: Path) -> None:
    sizes = {each.path: each.size for each in manifest.files}
    needed = sum(sizes[name] for name in names)
    if needed > shutil.disk_usage(place).free:
        raise BackupError(f"{place} has too little space: {needed} bytes are needed.")


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """A private folder on the target's disk, gone afterwards."""
    staged = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _put(staged: Path, root: Path, request: RestoreRequest) -> None:
    """Move what was written to its place: all of it at once, or what makes a start possible last."""
    if request.part == "all":
        with suppress(FileNotFoundError):
            root.rmdir()
        staged.rename(root)
        sync_folder(root.parent)
        return
    root.mkdir(mode=0o700, exist_ok=True)
    sync_folder(root.parent)
    if request.part == "node":
        make_private(root / "nodes")
        _put_node(staged / "nodes" / request.node, root / "nodes" / request.node)
        sync_folder(root / "nodes")
        sync_folder(root)
        return
    files = [path for path in staged.rglob("*") if path.is_file() and staged / PLATFORM not in path.parents]
    first = [file for file in files if file.relative_to(staged).as_posix() not in STARTING]
    _link(sorted(first), staged, root)
    if (staged / PLATFORM).is_dir():  # the target's is empty: see _wanted
        (staged / PLATFORM).rename(root / PLATFORM)
        sync_folder(root)
    _link(sorted(set(files) - set(first)), staged, root)


def _put_node(restored: Path, place: Path) -> None:
    """Move a node's files to its folder, the keys last. What is there is only a log, which a running platform
    may go on with or begin meanwhile: it stays where it is."""
    make_private(place)
    moved: list[Path] = []
    try:
        for each in sorted(restored.iterdir(), key=lambda path: path.name == IDENTITY):
            each.rename(place / each.name)
            moved.append(each)
    except OSError:
        for each in moved:
            (place / each.name).rename(each)
        raise
    sync_folder(place)


def _link(files: list[Path], staged: Path, root: Path) -> None:
    """Link files to their places, durably."""
    for file in files:
        place = root / file.relative_to(staged)
        make_private(place.parent)
        os.link(file, place)
    places = [root / file.relative_to(staged) for file in files]
    for folder in {each for place in places for each in place.parents if each.is_relative_to(root)}:
        sync_folder(folder)
