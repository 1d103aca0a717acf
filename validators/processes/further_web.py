"""`manage.py web`: another web process of a platform that `make up` runs, on this host or another one.

It needs the platform's database, broker and secret key, and on a data folder of its own the files FILES. Run
as `python -m validators.processes.further_web`, with everything in the environment.
"""

from __future__ import annotations

import logging
import os
import sys

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")
    django.setup()

from django.db import DatabaseError, connection
from setproctitle import setproctitle

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis
from validators.data_folder import environment, tcp_ports
from validators.data_folder.folder import DataFolder
from validators.database_url import first_line
from validators.models import Platform
from validators.processes import output, preparation, servers, web
from validators.services.platform import fingerprint

FILES = ("cluster/genesis.bin", "keys/gateway.key")
"""In the data folder, as in that of `make up`; and `secret.key`, unless DTVN_SECRET_KEY is set."""

logger = logging.getLogger("dtvn.web")

OTHER_KEY = (
    "the secret key is not that of the platform on {row.host}: set DTVN_SECRET_KEY as for make up, or copy "
    "its secret.key"
)

LOOPBACK_NODES = (
    "the nodes listen at %s of %s: from this host pages show and nothing can be decided, unless they have "
    "moved since"
)
"""No refusal: `members move` may have given them other addresses than genesis has."""


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit with 1 and one line if that is not possible."""
    folder, host, port = DataFolder(environment.data_folder()), os.environ["DTVN_HOST"], os.environ["PORT"]
    try:
        folder.create()
        check(folder)
        servers.check_servers()
        listener = tcp_ports.listen(host, int(port))
        preparation.collect_static(folder)
    except StartError as error:
        output.refuse("web", str(error))
        sys.exit(1)
    setproctitle(f"dtvn web {port} ({folder.root})")
    logger.info("serving %s:%s", host, port)
    with listener:
        web.serve(listener.fileno())


def check(folder: DataFolder) -> None:
    """Raise StartError unless folder and settings are those of a platform that was started."""
    try:
        made = Platform._meta.db_table in connection.introspection.table_names()
        row = Platform.objects.first() if made else None
    except DatabaseError as error:
        raise StartError(f"the platform's database: {first_line(error)}") from error
    if row is None:
        raise StartError(
            "no platform was started on this database: run make up first, with the same DATABASE_URL and "
            "DTVN_DATA"
        )
    secret_key = environment.read_secret_key(folder.root)
    other = row.secret_fingerprint not in ("", fingerprint(row.platform_id, secret_key))
    if (row.folder, row.host) == (str(folder.root), os.uname().nodename):
        if other:
            raise StartError(OTHER_KEY.format(row=row))
        return
    if not os.environ.get("CELERY_BROKER_URL"):
        raise StartError(f"CELERY_BROKER_URL is not set: files do not reach the workers on {row.host}")
    secret = folder.root / environment.SECRET_KEY_FILE
    if not os.environ.get("DTVN_SECRET_KEY") and not secret.exists():
        raise StartError(f"set DTVN_SECRET_KEY as for make up, or copy its secret.key to {secret}")
    if other:
        raise StartError(OTHER_KEY.format(row=row))
    if not row.cluster:
        return
    for name in FILES:
        if not (folder.root / name).exists():
            raise StartError(f"{folder.root / name} is missing: copy it from {row.folder} on {row.host}")
    founded = load_genesis(ClusterFolder(folder.root).genesis)
    found = genesis.cluster_id(founded).hex()
    if found != row.cluster:
        raise StartError(f"{folder.root} has cluster {found[:12]}, and the platform has {row.cluster[:12]}")
    if row.host != os.uname().nodename and all(each.host == tcp_ports.LOOPBACK for each in founded.members):
        logger.warning(LOOPBACK_NODES, tcp_ports.LOOPBACK, row.host)


if __name__ == "__main__":
    main()
