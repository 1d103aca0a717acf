"""`manage.py restore`: a data folder, a node or a platform out of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser

from dtvn.node.layout import ClusterFolder
from dtvn.protocol import quorum
from dtvn.waiting import saying
from validators.backup.forms import BackupError, Manifest
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.management.teaching import TeachingCommand, add_data_folder

TEACH = """\
Restore from an archive of `manage.py backup`. The whole archive is verified before anything is written; a
folder that is not empty, and a network that runs, are refused.

  manage.py restore --check FILE                          # only verify, and show what it holds
  manage.py restore FILE --data-dir NEW                   # everything
  manage.py restore FILE --data-dir ./data --node node3   # one node that lost its disk, while the others run
  manage.py restore FILE --data-dir ./data --platform     # the platform, with its keys

A ledger on a server of its own returns to the one that the archive names (with keys), or DTVN_STORAGE_URL, or
--ledger-url; one that settings kept elsewhere (storage.path) to its node's folder: take that setting back.

A restored node never votes where it may have voted since the backup: it follows first (R11). If so many
members are restored that the rest cannot decide, a new cluster continues theirs: the command says how.
"""


class Command(TeachingCommand):
    """Exit status: 0 done, 1 nothing was restored (one sentence)."""

    help = "Restore a data folder, a node or a platform from a backup."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("file", type=Path)
        add_data_folder(parser)
        parser.add_argument(
            "--ledger-url",
            action="append",
            default=[],
            metavar="NODE=FILE",
            help="restore this node's ledger to the PostgreSQL server whose URL is in the file",
        )
        parser.add_argument(
            "--identity", type=Path, metavar="FILE", help="private key of age, for an encrypted archive"
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="only verify the archive")
        what.add_argument(
            "--node", default="", metavar="ID", help="only this node; it takes the log from the others"
        )
        what.add_argument(
            "--platform", action="store_true", help="only the platform: database, keys, cluster files"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore."""
        from validators.backup.restoring import RestoreRequest, check, restore
        from validators.backup.sealing import opened
        from validators.backup.sources import Source

        path, root = options["file"], options["data_dir"].absolute()
        request = RestoreRequest("node", options["node"]) if options["node"] else RestoreRequest()
        if options["platform"]:
            request = RestoreRequest("platform")
        urls = ledger_urls(options["ledger_url"])
        if urls and request.part != "all":
            raise CommandError("--ledger-url is for a restore of everything, without --node and --platform.")
        request = msgspec.structs.replace(request, ledger_urls=urls)
        target = Source(root, environment.database_url(), environment.storage_url())
        try:
            with opened(path, options["identity"]) as plain:
                with saying(f"the verification of {path}"):
                    manifest = check(plain)
                self.stdout.write("\n".join(described(path, manifest)))
                if options["check"]:
                    return
                with saying(f"the files of {path} to be written to {root}"):
                    restored = restore(plain, manifest, target, request)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("\n".join(advice(path, root, manifest, restored, ledgers=request.part == "all")))


def ledger_urls(words: list[str]) -> dict[str, str]:
    """Node -> URL in its file, of words NODE=FILE; raise CommandError."""
    found: dict[str, str] = {}
    for word in words:
        node, _, file = word.partition("=")
        if not (node and file):
            raise CommandError(f"--ledger-url {word}: name a node and a file, NODE=FILE.")
        try:
            found[node] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise CommandError(f"--ledger-url {word}: {file} cannot be read: {error}.") from error
        if not found[node].startswith(("postgresql://", "postgres://")):
            raise CommandError(
                f"--ledger-url {word}: the file must hold postgresql://user:password@host/database."
            )
    return found


def described(path: Path, manifest: Manifest) -> list[str]:
    """Lines about an archive that was verified."""
    none = "not in it, none was found" if manifest.lacks_database else "none"
    kept = {"": none, "sqlite": "SQLite", "postgresql": "PostgreSQL"}[manifest.database]
    lines = [
        f"{path}: verified, {len(manifest.files)} files, made {manifest.made_at} by {manifest.program}",
        f"cluster      {manifest.name} {manifest.cluster}",
        f"members      {', '.join(manifest.members)}",
        f"keys         {'yes' if manifest.keys else 'no'}",
        f"database     {kept}",
    ]
    places = {"platform": ", on the platform's server", "own": ", on a server of its own"}
    lines += [
        f"ledger       {each.name}: up to sequence {each.executed}, certified up to {each.certified}"
        f"{places.get(each.place, '')}"
        for each in manifest.ledgers
    ]
    return lines + [f"ledger       {name}: not in it, none was found" for name in manifest.missing]


def advice(path: Path, root: Path, manifest: Manifest, restored: list[str], *, ledgers: bool) -> list[str]:
    """What was restored, and what to do now."""
    lines = [f"{root}: restored."]
    if not manifest.keys:
        lines.append("The archive holds no private keys: put them back before you start anything.")
    members = [name for name in restored if name in manifest.members]
    if not members:
        return [
            *lines,
            "API keys that were revoked since the backup are valid again. Next: start it (make up).",
        ]
    needed = quorum.quorum(len(manifest.members), manifest.mode)
    left = len(manifest.members) - len(members)
    lines.append(
        f"{', '.join(members)}: to follow without voting, since later votes under the same key are unknown."
    )
    if left >= needed:
        later = f"It votes again automatically while {needed} other members vote."
        return [*lines, f"Next: start it ({_start(root, members[0])}). {later}"]
    lines.append(
        f"{len(members)} of {len(manifest.members)} members are restored here, and {needed} must vote: these "
        "can decide nothing any more."
    )
    if not ledgers or manifest.certified is None:
        return [*lines, "Next: manage.py genesis recover --help, or restore everything into a new folder."]
    return [*lines, *_continue(path, root, manifest)]


def _start(root: Path, node: str) -> str:
    """How a restored node is started. `make up` refuses a folder in use, and one without the platform's
    cluster files."""
    if lock_holder(DataFolder(root).lock_file) is not None:
        return f"in the admin, or POST /api/v1/nodes/{node}/start"
    if ClusterFolder(root).genesis.exists():
        return f"make up DATA={root}"
    only = f"manage.py validator -data-dir {root} -id {node}"
    return f"{only}; or restore the platform too, with --platform, and make up DATA={root}"


def _continue(path: Path, root: Path, manifest: Manifest) -> list[str]:
    """The steps to a cluster that continues the restored one."""
    newest = manifest.certified
    if newest is None:
        return []
    new, on_server = f"{root}-continued", manifest.database == "postgresql"
    whose = "--learner" if newest.name == "learner" else f"--id {newest.name}"
    found = (
        [f"  manage.py genesis continue demo cluster.state --data-dir {new}"]
        if manifest.demo
        else [
            "  manage.py genesis continue init cluster.state ...   (then join, seal: genesis continue --help)"
        ]
    )
    lost = f"What was acknowledged after sequence {newest.certified} is not in it"
    covered = ", but everything from before the backup is" * (0 < manifest.covered <= newest.certified)
    return [
        "Next, if the other members are lost too: found a cluster that continues it.",
        f"{lost}{covered}: a ticket admitted later can be admitted again.",
        f"  manage.py genesis continue save --data-dir {root} {whose} --out cluster.state",
        "  manage.py genesis continue show cluster.state",
        *found,
        *["  export DATABASE_URL=...   (an empty database: the copy fills this one)"] * on_server,
        f"  manage.py restore {path} --data-dir {new} --platform",
        f"  make up DATA={new}",
    ]
