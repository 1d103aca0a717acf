"""`manage.py members VERB`: its parser; the work is in validators.management.members, which --help does not
import."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from validators.data_folder.folder import DataFolder
from validators.management.teaching import TeachingCommand, add_data_folder, begin_again

TEACH = """\
Change the members of the cluster, one at a time. A newcomer first follows the log, then it votes.

  add a member
    on its host        manage.py members prepare --data-dir ./data --id n5 --genesis cup.genesis
                       prints its peer id; the key stays on that host
    an administrator   manage.py members add n5 PEER-ID --host HOST --port PORT
    on its host        manage.py validator -data-dir ./data -id n5 -api-port 0     follows the log, then votes
                       (an administrator without a platform: `members enlist n5 PEER-ID` first, then `add`
                       with --liveness-proof DATA/nodes/n5/identity/alive.bin of its host, at most 30 s old)
  remove a member      manage.py members remove n2
  replace a member     manage.py members replace n2 n5 PEER-ID --host HOST --port PORT --liveness-proof FILE
  rotate a key         on the host of n2   manage.py members next-key --data-dir ./data --id n2
                       an administrator    manage.py members rotate n2 PEER-ID
  change an address    on the host of n2   manage.py members moved --id n2 --host HOST --port PORT; restart it
                       an administrator    manage.py members move n2 --host HOST --port PORT

  parameters         manage.py members parameters view_timeout=900000

With `make up` the platform makes nodes and keys itself: omit PEER-ID.

  add a member       manage.py members add n5
  replace a member   manage.py members replace n2 n5
  rotate a key       manage.py members rotate n2
  list changes       manage.py members changes
  cancel a change    manage.py members cancel 7     only until it is sent to the cluster

Each change first shows the tolerated faults before and after, and asks; --yes confirms. The data
folder is the platform's own (DTVN_DATA, ./data) unless --data-dir names another.
"""


VERBS = {
    "show": "show the members and the faults they tolerate",
    "prepare": "on a newcomer's host: make its key",
    "enlist": "allow a newcomer to follow the log",
    "add": "make a newcomer a member",
    "remove": "remove a member",
    "replace": "replace a member with a newcomer",
    "next-key": "on a member's host: make its next key",
    "rotate": "change to a member's next key",
    "moved": "on a member's host: the address at which it is reached now",
    "move": "have a member's new address ordered",
    "parameters": "change parameters",
    "changes": "list the changes requested on this platform, newest first",
    "cancel": "cancel a change that was not sent yet",
}


class Command(TeachingCommand):
    """Exit status: 0 done, 1 refused or impossible (one sentence), 2 wrong usage, 130 Ctrl-C at the
    question."""

    help = "Show and change the members of the cluster."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        for name, text in VERBS.items():
            verb = verbs.add_parser(name, help=text)
            add_data_folder(verb)
            if name in ("prepare", "next-key", "moved"):
                verb.add_argument("--id", required=True, help="the node")
            if name == "prepare":
                verb.add_argument(
                    "--genesis", type=Path, required=True, help="the genesis file, sealed by all"
                )
                verb.add_argument(
                    "--sources", type=Path, help="members to fetch the log from: the file of `show --write`"
                )
            if name == "show":
                verb.add_argument(
                    "--write", type=Path, metavar="FILE", help="write the members to this file, for `prepare`"
                )
            if name in ("remove", "replace", "rotate", "move"):
                verb.add_argument("leaves", metavar="ID", help="the member")
            if name in ("enlist", "add", "replace"):
                verb.add_argument("newcomer", metavar="NEW-ID")
            if name == "enlist":
                verb.add_argument("peer_id", metavar="PEER-ID", help="as printed on its host")
            if name in ("add", "replace", "rotate"):
                verb.add_argument(
                    "peer_id", metavar="PEER-ID", nargs="?", help="default: the platform makes the key"
                )
            if name in ("add", "replace", "move", "moved"):
                verb.add_argument("--host", required=name in ("move", "moved"))
                verb.add_argument("--port", type=int, required=name in ("move", "moved"))
            if name in ("add", "replace"):
                verb.add_argument(  # --word: the option's name until this release, accepted in it
                    "--liveness-proof",
                    "--word",
                    type=Path,
                    metavar="FILE",
                    help="the newcomer's liveness proof",
                )
            if name == "parameters":
                verb.add_argument("set", metavar="NAME=NUMBER", nargs="+")
            if name == "cancel":
                verb.add_argument(
                    "number", metavar="NUMBER", type=int, help="number of the change in `changes`"
                )
            if name in ("add", "remove", "replace", "rotate", "move", "parameters"):
                verb.add_argument("--yes", action="store_true", help="do not ask for confirmation")
            if name == "remove":
                verb.add_argument("--allow-small", action="store_true", help="allow fewer than four members")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb; on a folder of another platform than DTVN_DATA's, as that platform."""
        folder = options["data_dir"].expanduser().absolute()
        if folder.resolve() != settings.DATA.resolve() and DataFolder(folder).identity.exists():
            begin_again(self, folder)
        from validators.management.members import Verbs

        Verbs(self.stdout).run(options)
