"""`manage.py follow`: a follower of a cluster on this host, from one address; its parser."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from validators.management.teaching import TeachingCommand, add_data_folder, begin_again
from validators.processes.output import refuse

TEACH = """\
Follow a cluster: keep a verified copy of its tickets on this host, and show it. A follower decides nothing
and changes nothing; each entry that it shows is proved by the members, no matter which peer passed it on.

  1. manage.py follow --from MULTIADDR --name NAME
     makes this host's key and prints its peer id, then waits.
  2. The organiser, who has the platform, admits that key (no grant is needed to follow):
     manage.py principals add NAME PEER-ID
  3. The follower goes on by itself: it takes the genesis from that peer, whose key MULTIADDR names, then a
     proved state, then the log. Its pages are at http://HOST:PORT; user and password are in
     DATA-DIR/credentials.json.

MULTIADDR is of a member or of another follower that listens: /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID, as
`manage.py members show` and `manage.py follow` print it. It is needed once: later any peer will do. With
--listen other followers may take the log from this one (a relay); without it this one is a leaf.

Each page says how old it is: "as of 3 s ago" means that f + 1 members said then that their log was not longer
than this copy. More than 15 s is shown in amber, more than 60 s in red, and /ready then answers 503.
"""


class Command(TeachingCommand):
    """Exit status: 0 stopped, 1 refused or impossible (one sentence), 2 wrong usage."""

    help = "Follow a cluster on this host: a verified copy of its tickets, and pages that show it."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--from", dest="start", metavar="MULTIADDR", default="", help="peer to ask first (first start)"
        )
        parser.add_argument(
            "--cluster",
            metavar="ID",
            default="",
            help="the cluster's id, or how it begins; others are refused",
        )
        parser.add_argument("--name", default="", help="this follower's name as a principal (host's name)")
        parser.add_argument(
            "--listen",
            metavar="ADDRESS:PORT",
            default=None,
            help="where other followers reach this host: it becomes a relay",
        )
        parser.add_argument(
            "--via",
            metavar="MULTIADDR",
            default=None,
            help="a splice: it becomes a relay though nobody can dial this host",
        )
        parser.add_argument(
            "--writes-at", metavar="URL", default=None, help="where people change something, for its pages"
        )
        parser.add_argument(
            "--no-pages", action="store_true", default=None, help="no web process: only the copy"
        )
        parser.add_argument(
            "--pages", dest="no_pages", action="store_false", default=None, help="pages again"
        )
        parser.add_argument("--host", default=None, help="of its pages (127.0.0.1)")
        parser.add_argument("--port", default=None, help="of its pages (8080)")
        add_data_folder(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, wait to be admitted, follow."""
        folder = options["data_dir"].expanduser().absolute()
        try:
            if folder != settings.DATA:
                begin_again(self, folder)
            os.environ["DTVN_DATA"] = str(folder)
            from validators.management.following import run  # not for --help

            code = run(folder, options)
        except CommandError as error:
            refuse("follow", str(error))
            code = 1
        sys.exit(code)
