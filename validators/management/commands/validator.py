"""`manage.py validator`: one node in the foreground, with no broker, no migrate and no environment."""

from __future__ import annotations

import logging
import signal
import sys
from argparse import Namespace
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from setproctitle import setproctitle

from validators.node.alone import UsageError, prepare
from validators.node.flags import GoFlags
from validators.node.options import StartError
from validators.node.run import EXIT_FAILED, run_node

DESCRIPTION = """\
Run one validator node in the foreground until Ctrl-C or SIGTERM.

A node needs a key, and a genesis that lists the members; both are kept in
DATA-DIR/nodes/ID. There are three ways to them:

  made by `make up`   DATA-DIR already holds this node: only -id and -data-dir
  -genesis FILE       the real membership; the key is in DATA-DIR/nodes/ID/identity/node.key
  -dev-keys           keys derived from node names: anybody can derive them. For trying out only.
"""

EPILOG = """\
examples:
  one node that commits alone
    manage.py validator -dev-keys -total-nodes 1
  four nodes on this machine, one terminal each (k = 0, 1, 2, 3)
    manage.py validator -dev-keys -id nodek
  the same with ports of your own: each node is told the others
    manage.py validator -dev-keys -id node0 -port 5000 -bootstrap /ip4/127.0.0.1/tcp/5001/p2p/PEER-ID,...
  a node of the network that `make up` made (stop it there first)
    manage.py validator -data-dir ./data -id node0

exit: 0 stopped cleanly, 1 could not start or go on, 2 wrong usage, 3 another process runs this node
"""


def flags() -> GoFlags:
    """What the command takes."""
    parser = GoFlags(prog="manage.py validator", description=DESCRIPTION, epilog=EPILOG)
    parser.flag("id", default="node0", help="name of this node (default node0)")
    parser.flag(
        "data-dir", default="./data", metavar="folder", help="where it keeps everything (default ./data)"
    )
    parser.flag(
        "port",
        kind=int,
        help="TCP port for members and gateways (default: that of genesis; -dev-keys: 4001 + k)",
    )
    parser.flag("host", help="address to listen on (default: that of genesis; -dev-keys: 127.0.0.1)")
    parser.flag("genesis", metavar="file", help="the membership, as sealed by all parties")
    parser.switch("dev-keys", help="derive all keys from node names (anybody can): never for real tickets")
    parser.flag(
        "total-nodes", kind=int, default=4, help="members with -dev-keys: node0 to node(n-1) (default 4)"
    )
    parser.flag(
        "bootstrap",
        default="",
        metavar="list",
        help="multiaddrs of members that listen elsewhere than genesis says, separated by commas",
    )
    parser.switch("bootstrap-node", help="taken for compatibility: every member can be dialled")
    parser.switch("primary", help="taken for compatibility: the view decides who is primary")
    return parser


class Command(BaseCommand):
    help = "Run one validator node in the foreground."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Parse Go-style flags instead of Django's, and end the process with the node's exit code."""
        sys.exit(self.run(flags().parse(argv[2:])))

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """For `manage.py help validator`."""
        flags().print_help()

    def handle(self, *args: Any, **options: Any) -> None:
        """For call_command: options as on the command line, names with underscores."""
        given = vars(flags().parse([]))
        given.update({name: value for name, value in options.items() if name in given})
        code = self.run(Namespace(**given))
        if code:
            sys.exit(code)

    def run(self, options: Namespace) -> int:
        """The node's life; its exit code."""
        _log_to_stdout()
        try:
            folder, node_options = prepare(
                data_dir=Path(options.data_dir),
                node_id=options.id,
                port=options.port,
                host=options.host,
                genesis_file=Path(options.genesis) if options.genesis else None,
                dev_keys=options.dev_keys,
                total_nodes=options.total_nodes,
                bootstrap=options.bootstrap,
                tell=lambda text: print(text, flush=True),  # noqa: T201 - to the person
                warn=lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201 - to the person
            )
        except UsageError as error:
            print(error, file=sys.stderr)  # noqa: T201 - to the person at the terminal
            return 2
        except StartError as error:
            print(error, file=sys.stderr)  # noqa: T201 - to the person at the terminal
            return EXIT_FAILED
        stopping = _Stopping()
        setproctitle(f"dtvn validator {options.id} ({options.data_dir})")
        return run_node(folder.root, stopping.asked, options=node_options)


class _Stopping:
    """SIGTERM and SIGINT ask for an orderly end; a second SIGINT changes nothing, the end is near."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def asked(self) -> bool:
        """True once a signal came."""
        return self._asked

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def _log_to_stdout() -> None:
    """The node's lines are this command's output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-8s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
