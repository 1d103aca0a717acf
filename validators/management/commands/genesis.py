"""`manage.py genesis VERB`: a cluster founded by several parties, recovered, and continued. This is its
parser; the work is in validators.management.founding, which --help does not import."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from dtvn.protocol import genesis as g
from validators.management import genesis_parsers as parsers
from validators.management.teaching import TeachingCommand, add_data_folder

TEACH = """\
Found a cluster of several parties. No key leaves the host it was made on; the parties exchange one file
(by mail or USB stick) that holds nothing secret.

  1. one party proposes
       manage.py genesis init --name "Cup final" --members 4 --out cup.genesis
  2. each party joins on its own host, with its own data folder, and passes the file on
       manage.py genesis join cup.genesis --data-dir ./data --id venue --host venue.example --port 4001 \\
           --grant issue --grant operate --grant gate --grant admin
  3. when all have joined, each party checks and seals it; files that differ are merged
       manage.py genesis show cup.genesis
       manage.py genesis seal cup.genesis from-promoter.genesis --data-dir ./data
  4. the last seal completes the file; all others get it back and install it; then each starts
       manage.py genesis install cup.genesis --data-dir ./data
       make up DATA=./data           (or only the node: manage.py validator -data-dir ./data -id venue)

How the members agree is sealed too, and nothing changes it later. PBFT, the default, is for parties that
do not trust each other: of 3f + 1 members f may lie. `init --consensus raft` is for machines that trust
each other, as those of one party do: five members survive two crashes (with PBFT one), and three of them
decide, with a phase less. But it is crash-only: a lying member is not tolerated, and one is enough to have
a ticket admitted twice. Compare: manage.py quorum 5, and manage.py quorum 5 --consensus raft

A cluster in which no principal may issue, admit or administer is sealed only --without-grants.
All members together can grant it later: manage.py genesis grant --help

If a cluster can never decide again, a new one continues it: `genesis continue --help`.

Compare the cluster id that `show` prints over a second channel (read it out on the phone):
a party that seals it confirms that exactly these members decide.

If too many members lost their disks to decide anything: manage.py genesis recover --help
"""


class Command(TeachingCommand):
    """Exit status: 0 done, 1 it cannot be done (one sentence), 2 wrong usage. `show`: 1 when not sealed."""

    help = "Found a cluster of several parties: init, join, seal, show; recover or continue it."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        one = verbs.add_parser("init", help="propose a cluster: name and parameters, no members yet")
        parsers.add_terms(one)
        parsers.add_consensus(one)
        two = verbs.add_parser("join", help="make this party's keys and add its signed record")
        two.add_argument("file", type=Path)
        add_data_folder(two)
        two.add_argument("--id", required=True, help="name of this party's node")
        two.add_argument("--host", required=True, help="host name or address at which the others reach it")
        two.add_argument("--port", type=int, required=True, help="its TCP port")
        two.add_argument(
            "--no-platform", action="store_true", help="join with a node only: no gateway, no learner"
        )
        two.add_argument(
            "--grant",
            action="append",
            type=grant,
            default=[],
            metavar="[EVENT:]CAPABILITY",
            help=f"ask that this party's gateway may {', '.join(g.CAPABILITIES)} (in one event); may be "
            "repeated. Default: none, so that no party can admit tickets by itself",
        )
        two.add_argument("--out", type=Path, metavar="FILE", help="default: the same file")
        _add_seal(verbs)
        last = verbs.add_parser("install", help="install the file that all have sealed")
        last.add_argument("file", type=Path)
        add_data_folder(last)
        alone = verbs.add_parser("attach", help="make the keys of a platform without a node of its own")
        alone.add_argument("file", type=Path, help="the genesis file, sealed by all")
        add_data_folder(alone)
        alone.add_argument("--id", required=True, help="name of this platform")
        alone.add_argument(
            "--sources",
            type=Path,
            metavar="FILE",
            help="file of `members show --write`",
        )
        four = verbs.add_parser("show", help="show its content, its seals and the faults it tolerates")
        four.add_argument("file", type=Path)
        parsers.add_recover(verbs)
        parsers.add_continue(verbs)
        parsers.add_grant(verbs, grant)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        from validators.management.founding import Verbs

        Verbs(self.stdout, self.stderr).run(options)


def grant(text: str) -> g.Grant:
    """A grant of the command line, see genesis.grant_of."""
    try:
        return g.grant_of(text)
    except g.GenesisError as error:
        raise ArgumentTypeError(str(error)) from error


def _add_seal(verbs: Any) -> None:
    seal = verbs.add_parser("seal", help="merge files and sign; install the genesis when all have signed")
    seal.add_argument("file", type=Path)
    seal.add_argument("others", type=Path, nargs="*", help="the other parties' copies of the file")
    add_data_folder(seal)
    seal.add_argument("--merge-only", action="store_true", help="merge files without signing")
    seal.add_argument("--out", type=Path, metavar="FILE", help="default: the same file")
    seal.add_argument(
        "--state", type=Path, metavar="FILE", help="state file of a cluster that continues another"
    )
    seal.add_argument(
        "--without-grants",
        action="store_true",
        help="seal although no principal may issue, admit or administer",
    )
    parsers.add_old_chain(seal)
