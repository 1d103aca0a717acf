"""`manage.py supervisor`: the platform as the Go DTVN's supervisor, with its flags."""

from __future__ import annotations

import os
import socket
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from dtvn.node.flags import GoFlags
from dtvn.node.options import UsageError
from validators.data_folder.tcp_ports import PORT_MAX
from validators.management.go_command import GoCommand

DESCRIPTION = """\
Run a network from its API and dashboard: no node runs at first, POST /api/v1/cluster/start starts them.

Without a key anyone who can reach the port may call the API, except pages of other sites. A cluster that
DATA-DIR already holds is listed as stopped; a start with another number of nodes moves it to
DATA-DIR/earlier and founds a new one.

With a key any host name (Host header) is accepted. Without one only this machine's own names and
addresses are, to prevent DNS rebinding; DTVN_ALLOWED_HOSTS=name,name adds more.
"""
EPILOG = """\
exit: 0 stopped cleanly, 1 could not start, 2 wrong usage
"""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - as in the Go DTVN
STATIC_PLACES = ("web/static", "../../web/static", "../web/static")
MODULE = "validators.processes.supervisor_mode"


def flags() -> GoFlags:
    """The flags of the command."""
    parser = GoFlags(prog="manage.py supervisor", description=DESCRIPTION, epilog=EPILOG)
    parser.flag("web-port", kind=int, default=8080, help="port of API, WebSocket and pages (default 8080)")
    parser.flag("web-addr", default=EVERYWHERE, help="address to listen on (default 0.0.0.0)")
    parser.flag(
        "data-dir",
        default=None,
        help="data folder, created if missing (default $DTVN_DATA, or ./data)",
    )
    parser.flag("validator", default="", help="accepted for compatibility; must exist if given")
    parser.flag("simulator", default="", help="accepted for compatibility")
    parser.flag("static-dir", default="", help="front end to serve in place of the built-in pages")
    parser.flag("auto-start", kind=int, default=0, help="nodes to start at once (default 0)")
    parser.flag("api-key", default="", help="key that the API requires (default $DTVN_API_KEY, or none)")
    return parser


def environment_of(options: Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment for the network's processes; raise UsageError naming the flag that is wrong."""
    from validators.services.cluster import CLUSTER_NODES_MAX  # imports models, which a parser needs not

    if not 1 <= options.web_port <= PORT_MAX:
        raise UsageError(f"-web-port {options.web_port} is not between 1 and {PORT_MAX}")
    if not 0 <= options.auto_start <= CLUSTER_NODES_MAX:
        raise UsageError(f"-auto-start {options.auto_start} is not between 0 and {CLUSTER_NODES_MAX}")
    if options.data_dir == "":
        raise UsageError("-data-dir is empty")
    try:
        socket.getaddrinfo(options.web_addr or None, options.web_port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"-web-addr {options.web_addr} is not an address: {error}") from error
    data = Path(options.data_dir or environ.get("DTVN_DATA") or "./data")
    said = {
        "DTVN_SUPERVISOR": "1",
        "DTVN_DATA": str(data.expanduser().absolute()),
        "DTVN_HOST": options.web_addr or EVERYWHERE,
        "PORT": str(options.web_port),
        "DTVN_AUTO_START": str(options.auto_start),
        "DTVN_STATIC_DIR": static_directory(options.static_dir),
        "DTVN_API_KEY": options.api_key or environ.get("DTVN_API_KEY", ""),
    }
    return {**environ, **said}


def static_directory(given: str) -> str:
    """The front end's folder, "" for our own pages; raise UsageError if the folder does not exist."""
    if given:
        if not Path(given).is_dir():
            raise UsageError(f"-static-dir {given} is not a folder")
        return str(Path(given).absolute())
    found = (Path(place) for place in STATIC_PLACES if (Path(place) / "index.html").is_file())
    return next((str(place.absolute()) for place in found), "")


class Command(GoCommand):
    help = "Run a network from its API and dashboard."
    flags = staticmethod(flags)

    def run(self, options: Namespace) -> int:
        """Django read its settings before the flags were parsed, so the process is executed anew with all of
        them in its environment."""
        try:
            environ = environment_of(options, os.environ)
        except UsageError as error:
            flags().error(str(error))
        if options.validator and not Path(options.validator).is_file():
            print(f"-validator {options.validator}: no such file", file=sys.stderr)  # noqa: T201
            return 1
        if options.simulator and not Path(options.simulator).is_file():
            print(f"WARNING: -simulator {options.simulator}: no such file", file=sys.stderr)  # noqa: T201
        sys.stdout.flush()
        os.chdir(settings.BASE_DIR)
        return os.execve(sys.executable, [sys.executable, "-m", MODULE], environ)  # noqa: S606 - this program
