"""`manage.py validator`: one node in the foreground; needs no broker, no migrate and no environment."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from types import FrameType

import msgspec
from setproctitle import setproctitle

from dtvn.node.flags import GoFlags
from dtvn.node.logs import configure_logging, node_logger
from dtvn.node.options import StartError, UsageError
from dtvn.node.settings import SETTINGS, Settings, settings_of
from validators.management.go_command import GoCommand

DESCRIPTION = """\
Run one validator node in the foreground until Ctrl-C or SIGTERM.

A node needs a key and a genesis that lists the members; both are kept in
DATA-DIR/nodes/ID. There are three ways to get them:

  made by `make up`   DATA-DIR already holds this node: only -id and -data-dir
  -genesis FILE       the real membership; the key is in DATA-DIR/nodes/ID/identity/node.key
  -dev-keys           keys derived from node names, which anyone can derive. For trials only.
"""

EPILOG = """\
examples:
  one node that decides alone
    manage.py validator -dev-keys -total-nodes 1
  four nodes on this machine, one terminal each (k = 0, 1, 2, 3)
    manage.py validator -dev-keys -id nodek
  the same with your own ports: one member that knows the others is enough
    manage.py validator -dev-keys -id node1 -port 5001 -bootstrap /ip4/127.0.0.1/tcp/5000/p2p/PEER-ID
  a node of a network made by `make up` (stop it there first)
    manage.py validator -data-dir ./data -id node0

Flags override the environment (DTVN_NODE_ID, DTVN_METRICS_PORT, ...), which overrides the file of -config,
which overrides defaults. manage.py config --show prints each value and its source.

exit: 0 stopped cleanly, 1 could not start or continue (another process runs this node, say), 2 wrong usage
"""


def flags() -> GoFlags:
    """The flags of the command."""
    parser = GoFlags(prog="manage.py validator", description=DESCRIPTION, epilog=EPILOG)
    validator_flags(parser)
    parser.switch(
        "others-are-gone",
        help="in a cluster that tolerates no liar: members that do not answer are lost for good, and this "
        "disk is the newest that this node ever had; kept in the ledger until the next stable checkpoint "
        "(docs/operate/runbook.md, DtvnNodeNotVoting)",
    )
    return parser


def validator_flags(parser: GoFlags) -> None:
    """Add every flag of the table, and the one that names a configuration file."""
    parser.flag(
        "config",
        metavar="file",
        help="YAML file with any of these settings; flags and environment override it",
    )
    for setting in SETTINGS:
        if not setting.flag:
            continue
        if setting.switch:
            parser.switch(setting.flag, default=None, help=setting.text)
        else:
            default = f" (default {setting.shown_default})" if setting.shown_default else ""
            parser.flag(setting.flag, metavar="value", help=setting.text + default)


class Command(GoCommand):
    help = "Run one validator node in the foreground."
    flags = staticmethod(flags)

    def run(self, options: Namespace) -> int:
        """Runs the node to its end; returns its exit code."""
        from dtvn.node.garbage import BetweenTurns
        from dtvn.node.run import (  # the whole engine: not for --help
            EXIT_FAILED,
            EXIT_FENCED,
            EXIT_UNREACHABLE,
            run_node,
        )
        from dtvn.node.start import get_ready
        from validators.ledger import find_ledger, open_ledger

        try:
            settings = settings_of(vars(options), os.environ)
            configure_logging(settings)
            folder, node_options = get_ready(
                settings,
                os.environ,
                tell=_teller(settings),
                warn=lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201 - to the operator
            )
            node_logger(folder.root)  # a data folder on a read-only file system is refused here
        except UsageError as error:
            print(error, file=sys.stderr)  # noqa: T201 - to the operator at the terminal
            if str(error).startswith("-"):  # a wrong flag: show usage; not for a variable or a file
                flags().print_usage_on_stderr()
            return 2
        except StartError as error:
            print(error, file=sys.stderr)  # noqa: T201 - to the operator at the terminal
            return EXIT_FAILED
        node_options = msgspec.structs.replace(node_options, others_are_gone=options.others_are_gone)
        stopping = _Stopping()
        setproctitle(f"dtvn validator {folder.id} ({settings['node.data_dir']})")
        code = run_node(
            folder.root,
            stopping.asked,
            open_ledger=open_ledger,
            find_ledger=find_ledger,
            options=node_options,
            garbage=BetweenTurns(),
        )
        # A worker slot distinguishes a ledger that is in use or cannot be reached from other failures; the
        # contract has 1 for all.
        return EXIT_FAILED if code in (EXIT_FENCED, EXIT_UNREACHABLE) else code


def _teller(settings: Settings) -> Callable[[str], None]:
    """Prints plain text to an operator at a terminal; logs a line in the usual format if a program reads the
    output."""
    if settings["logging.format"] == "json":
        return logging.getLogger("dtvn.validator").info
    return lambda text: print(text, flush=True)  # noqa: T201 - to the operator


class _Stopping:
    """SIGTERM and SIGINT request an orderly end; a second SIGINT has no further effect."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def asked(self) -> bool:
        """True once a signal was received."""
        return self._asked

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
