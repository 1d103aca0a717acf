"""`manage.py splice`: where nodes that cannot be dialled are dialled; runs anywhere, needs no cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

PORT_DEFAULT = 7_100
PORTS_DEFAULT = "7101-7199"
"""Below the ports that systems give to outgoing connections."""

Flags = dict[str, tuple[str, Callable[[str], Any], Any, str]]

PLACES: Flags = {
    "--data-dir": ("FOLDER", Path, Path("splice"), "its key and the ports that it gave away (./splice)"),
    "--host": ("ADDRESS", str, "0.0.0.0", "address to listen on (all)"),  # noqa: S104 - as it says
    "--port": ("PORT", int, PORT_DEFAULT, f"port of registrations ({PORT_DEFAULT})"),
    "--ports": ("LOW-HIGH", str, PORTS_DEFAULT, f"ports for nodes, one each ({PORTS_DEFAULT})"),
    "--public": ("IP", str, "", "address at which others dial this host, if nodes reach it at another one"),
}
ALLOWED: Flags = {
    "--genesis": ("FILE", Path, [], "its members and principals may register; may be repeated"),
    "--allow": ("PEER-ID", str, [], "this key may register; may be repeated"),
    "--allow-file": ("FILE", Path, None, "lines PEER-ID or PEER-ID PORT; read again when it changes"),
}
BOUNDS: Flags = {
    "--splices-a-key": ("N", int, None, "connections of one node at once (256)"),
    "--splices-an-address": ("N", int, None, "connections from one address at once (64)"),
    "--dials-a-second": ("N", float, None, "connections a second from one address, and to one node (10)"),
    "--mib-a-second": ("N", float, None, "MiB a second of one node, and of one address (64)"),
}
"""Flag to metavar, type, default and help; the bounds' defaults are in dtvn.net.splice_limits."""


class Command(BaseCommand):
    """Runs a splice (dtvn.net.splice) in the foreground."""

    help = (
        "Run a splice in the foreground until Ctrl-C or SIGTERM: nodes behind a NAT or a firewall register "
        "there with their keys (manage.py validator -via), and others dial them at a port of this host. It "
        "passes on ciphertext, and needs no database. Docs: operate/splice.md."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where it listens, who may register, and its bounds."""
        for flags in (PLACES, ALLOWED, BOUNDS):
            for flag, (meta, kind, default, text) in flags.items():
                action = "append" if default == [] else "store"
                parser.add_argument(flag, action=action, type=kind, default=default, metavar=meta, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it to its end."""
        import asyncio

        from dtvn.node.options import StartError
        from dtvn.node.splice_run import run_splice

        try:
            asyncio.run(run_splice(options, self._say))
        except StartError as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
