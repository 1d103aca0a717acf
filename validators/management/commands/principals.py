"""`manage.py principals list | add | rotate | limit | revoke`: the principals that may sign requests
(R15)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError, CommandParser

from dtvn.machine import commands
from dtvn.net import KeyFileError
from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES, Grant
from validators.management.teaching import ACTOR, TeachingCommand
from validators.services import network, principals
from validators.services.errors import ServiceError
from validators.services.principals import Changed, ShownPrincipal

OVERLAP_MAX = commands.OVERLAP_MAX // 1_000_000
"""Seconds."""

TEACH = f"""\
Principals sign requests, each with its key and its grants. Every validator checks them: a stolen key can do
only what its grants allow. Uses the gateway key of the platform's data folder (DTVN_DATA, ./data).

  manage.py principals list
  manage.py principals add gate-7 PEER-ID --grant default:gate --grant final:gate
  manage.py principals limit gate-7 --grant default:gate      replace its grants
  manage.py principals rotate gate-7 PEER-ID --overlap 30     the old key stays valid for 30 seconds
  manage.py principals rotate gateway                         the platform's own key: it makes a new one
  manage.py principals revoke gate-7

A grant is EVENT:CAPABILITY. EVENT {ANY_EVENT} means all events; a capability is one of
{", ".join(CAPABILITIES)}.
"""


class Command(TeachingCommand):
    """Exit status: 0 done, 1 refused or impossible (one sentence), 2 wrong usage."""

    help = "Show and change the principals that may sign requests."
    teaches = TEACH

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a parser for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        for name, text in VERBS.items():
            verb = verbs.add_parser(name, help=text)
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
                verb.add_argument("--grant", action="append", default=[], metavar="EVENT:CAPABILITY")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch."""
        try:
            getattr(self, "_" + options["verb"])(options)
        except (OSError, ValueError, KeyFileError, ServiceError) as error:
            raise CommandError(str(error)) from error
        finally:
            network.close()

    def _list(self, options: dict[str, Any]) -> None:
        for each in principals.list_principals():
            self._show(each)

    def _add(self, options: dict[str, Any]) -> None:
        key = principals.read_key(options["peer_id"])
        grants = [_grant(text) for text in options["grant"]]
        self._tell(principals.add_principal(options["name"], key, grants, actor=ACTOR))

    def _rotate(self, options: dict[str, Any]) -> None:
        name, overlap = options["name"], options["overlap"]
        if not 0 <= (overlap or 0.0) <= OVERLAP_MAX:  # rejects NaN too
            raise CommandError(f"--overlap must be from 0 to {OVERLAP_MAX} seconds")
        if principals.is_own(name) and not options["peer_id"]:
            longer = principals.OWN_OVERLAP if overlap is None else overlap
            self._tell(principals.rotate_own(overlap=longer, actor=ACTOR))
            return
        key = principals.read_key(options["peer_id"])
        self._tell(principals.rotate_principal(name, key, overlap=overlap or 0.0, actor=ACTOR))

    def _limit(self, options: dict[str, Any]) -> None:
        grants = [_grant(text) for text in options["grant"]]
        self._tell(principals.limit_principal(options["name"], grants, actor=ACTOR))

    def _revoke(self, options: dict[str, Any]) -> None:
        self._tell(principals.revoke_principal(options["name"], actor=ACTOR))

    def _tell(self, changed: Changed) -> None:
        self._show(changed.principal)
        self.stdout.write(f"decided at sequence {changed.sequence}")

    def _show(self, each: ShownPrincipal) -> None:
        grants = " ".join(f"{grant.event}:{grant.capability}" for grant in each.grants) or "follows the log"
        self.stdout.write(f"{each.name}  signs as {each.wire or 'none'}  {each.peer_id}  {grants}")


VERBS = {
    "list": "show all, with keys and grants",
    "add": "add a principal",
    "rotate": "replace the key of a principal",
    "limit": "replace the grants of a principal",
    "revoke": "revoke a principal",
}


def _grant(text: str) -> Grant:
    event, colon, capability = text.rpartition(":")
    if not colon:
        raise CommandError(f"{text!r} is not a grant: write EVENT:CAPABILITY")
    return Grant(event, capability)
