"""`manage.py backup`: one archive of a data folder, while its network runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dtvn.waiting import saying
from validators.backup.forms import BackupError, Manifest
from validators.backup.sealing import SUFFIX, recipient_of, seal
from validators.management.teaching import TeachingCommand, add_data_folder

TEACH = """\
Write one archive of a data folder: the platform's database, every ledger, genesis and settings of its nodes.
The network may run; while it does, the newest operations are certified first. While the platform's server is
away, unset DATABASE_URL: the rest is backed up. The archive is readable by its owner only: it holds personal
data of ticket holders, and with --keys the keys that sign as these nodes. Logins are not in it.

  manage.py backup --keys                        # backup-CLUSTER-TIME.tar.gz in the current folder
  manage.py backup --keys --recipient age1...    # the same, encrypted for this key (age-keygen)
  manage.py restore --check FILE                 # verify an archive, without writing anything
  manage.py restore FILE --data-dir NEW          # restore it
"""


class Command(TeachingCommand):
    """Exit status: 0 done, 1 there is no archive (one sentence)."""

    help = "Back up a data folder into one verified archive."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_data_folder(parser)
        parser.set_defaults(data_dir=None)
        parser.add_argument(
            "--config",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="configuration file of a node: its data folder, the place of its ledger; repeatable",
        )
        parser.add_argument(
            "--out", type=Path, metavar="FILE", help="default: a new name in the current folder"
        )
        parser.add_argument(
            "--keys", action="store_true", help="with private keys: keep the archive encrypted"
        )
        parser.add_argument(
            "--recipient",
            default="",
            metavar="age1...",
            help="encrypt it for this public key of age; its private key need not be on this machine",
        )
        parser.add_argument(
            "--ledger", type=Path, help="folder of the only node's ledger, if its settings name another"
        )
        parser.add_argument("--no-ledgers", action="store_true", help="without ledgers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Back up."""
        from validators.backup.copying import back_up, check_place
        from validators.backup.covering import cover
        from validators.management.node_files import source_of

        try:
            source = source_of(options)
            recipient = recipient_of(options["recipient"]) if options["recipient"] else None
            out = options["out"] or new_name(source.genesis().name, sealed=recipient is not None)
            check_place(out)
            if not source.lacks_server:
                source.check_database()
            with saying("the cluster to certify its newest operations"):
                covered, reason = (0, "") if options["no_ledgers"] else cover(source)
            make = partial(
                back_up, source, keys=options["keys"], ledgers=not options["no_ledgers"], covered=covered
            )
            with saying("the copies and their verification"):
                if recipient is None:
                    manifest = make(out)
                else:
                    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as scratch:
                        plain = Path(scratch) / "plain.tar.gz"
                        manifest = make(plain)
                        seal(plain, out, recipient)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self._say(out, manifest, reason, ledgers=not options["no_ledgers"])
        self._say_what_it_holds(manifest, sealed=recipient is not None)

    def _say_what_it_holds(self, manifest: Manifest, *, sealed: bool) -> None:
        say = self.stdout.write
        if manifest.database:
            say("It holds guests, codes of tickets, and hashes of passwords and API keys; no logins.")
        if manifest.keys:
            say("It holds private keys: keep it offline, and delete older ones.")
        else:
            say("It holds no private keys: without them (--keys) no node and no platform can start from it.")
        if not sealed:
            say("It is not encrypted: whoever has the file reads all of that (--recipient encrypts it).")

    def _say(self, out: Path, manifest: Manifest, reason: str, *, ledgers: bool) -> None:
        say, warn = self.stdout.write, self.stderr.write
        say(f"{out}: {len(manifest.files)} files of cluster {manifest.cluster[:16]}, verified, mode 0600.")
        if manifest.lacks_database:
            none = "None was found; if it is on a server, set DATABASE_URL"
            warn(f"NOT in it: the platform's database. {none}.")
        for name in manifest.missing:
            elsewhere = "if there is one, name its settings (--config) or its server (DTVN_STORAGE_URL)"
            if name == "learner":
                elsewhere = "if it is on the platform's server, set DATABASE_URL"
            none = "None with a log was found, or its server does not answer"
            warn(f"NOT in it: the ledger of {name}. {none}; {elsewhere}.")
        if newest := manifest.certified:
            say(f"newest certified state: sequence {newest.certified}, in the ledger of {newest.name}")
        if manifest.covered:
            say("It covers everything acknowledged before this backup began.")
        elif ledgers:
            which = "after that state" if newest else "so far"
            why = reason or "no copied ledger has certified them"
            say(f"Operations acknowledged {which} are not covered: {why}.")


def new_name(cluster: str, *, sealed: bool = False) -> Path:
    """A file name of letters, digits, `.`, `_` and `-`, which no shell must quote: a cluster's name may
    hold spaces and colons. The time is ISO 8601 in its basic form."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", cluster).strip("-.")
    end = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz{SUFFIX if sealed else ''}"
    return Path("-".join(filter(None, ("backup", plain, end))))
