"""`manage.py principals list | add | rotate | limit | revoke`: its parser; the work is in
validators.management.principals, which --help does not import."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES
from validators.management.teaching import TeachingCommand, add_data_folder, begin_again

TEACH = f"""\
Principals sign requests, each with its key and its grants. Every validator checks them: a stolen key can do
only what its grants allow. Uses the gateway key of the platform's data folder (DTVN_DATA, ./data).

  manage.py principals list
  manage.py principals add gate-7 PEER-ID --grant default:gate --grant final:gate
  manage.py principals limit gate-7 --grant default:gate      replace its grants
  manage.py principals rotate gate-7 PEER-ID --overlap 30     the old key stays valid for 30 seconds
  manage.py principals rotate gateway                         the platform's own key: it makes a new one
  manage.py principals revoke gate-7

A grant is EVENT:CAPABILITY, or CAPABILITY alone for all events ({ANY_EVENT}); a capability is one of
{", ".join(CAPABILITIES)}.
"""


VERBS = {
    "list": "show all, with keys and grants",
    "add": "add a principal",
    "rotate": "replace the key of a principal",
    "limit": "replace the grants of a principal",
    "revoke": "revoke a principal",
}


class Command(TeachingCommand):
    """Exit status: 0 done, 1 refused or impossible (one sentence), 2 wrong usage."""

    help = "Show and change the principals that may sign requests."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        for name, text in VERBS.items():
            verb = verbs.add_parser(name, help=text)
            add_data_folder(verb)
            if name != "list":
                verb.add_argument("name", metavar="NAME")
            if name == "add":
                verb.add_argument(
                    "peer_id", metavar="PEER-ID", help="its public key, as printed on its own host"
                )
            if name == "rotate":
                verb.add_argument("peer_id", metavar="PEER-ID", nargs="?", default="")
                verb.add_argument("--overlap", type=float, help="seconds for which the old key stays valid")
            if name in ("add", "limit"):
                verb.add_argument("--grant", action="append", default=[], metavar="[EVENT:]CAPABILITY")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb, as the platform of the folder."""
        folder = options["data_dir"].expanduser().absolute()
        if folder.resolve() != settings.DATA.resolve():
            begin_again(self, folder)
        from validators.management.principals import Verbs

        Verbs(self.stdout).run(options)
