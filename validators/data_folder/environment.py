"""Turns environment variables into settings values.

Every setting that a deployment may change is an environment variable. The defaults need no server: SQLite
files and a file broker under one data folder.
"""

import fcntl
import hashlib
import json
import logging
import os
import secrets
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

from dtvn.files.whole import write_private
from dtvn.protocol.quorum import Mode
from validators.data_folder.addresses import FILE_BROKER, RABBITMQ
from validators.database_url import postgresql_database


class Variable(NamedTuple):
    """One variable that the platform reads; the table in docs/operate/configuration.md names each."""

    name: str
    default: str
    secret: bool = False


VARIABLES = (
    Variable("DTVN_DATA", "./data"),
    Variable("NODES", "4"),
    Variable("CONSENSUS", "pbft"),
    Variable("DTVN_HOST", "127.0.0.1"),
    Variable("PORT", "8080"),
    Variable("DATABASE_URL", "(SQLite files)"),
    Variable("CELERY_BROKER_URL", "(files)"),
    Variable("DTVN_ALLOWED_HOSTS", '""'),
    Variable("DTVN_WS_ORIGINS", '""'),
    Variable("DTVN_HTTPS", "0"),
    Variable("DTVN_KILL_SILENT_AFTER", "30"),
    Variable("DTVN_SECOND_FACTOR", "0"),
    Variable("DTVN_SESSION_HOURS", "12"),
    Variable("DTVN_TIME_ZONE", "UTC"),
    Variable("DTVN_EVENTS_CONFIG", "(by the number of members)"),
    Variable("DTVN_NODE_PORTS", "(4001, 9001 and free ones)"),
    Variable("DTVN_SECRET_KEY", "(DATA/secret.key)", secret=True),
    Variable("DTVN_KEY_SEED", "(public)", secret=True),
    Variable("DTVN_LOG_LEVEL", "INFO"),
    Variable("DTVN_LOG_FORMAT", "text"),
    Variable("DTVN_DEBUG", "0"),
)
"""Variables that an operator may set."""

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SECRET_KEY_FILE = "secret.key"  # noqa: S105 - a file name
SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of a named interface (netdevice(7))."""
BROKER_TIMEOUT = 3.0
"""Seconds that one call waits for the broker: one that hangs must not delay the supervision of the nodes."""
WILDCARD_HOSTS = {"0.0.0.0", "::", ""}  # noqa: S104 - recognised here, never a default


def data_folder() -> Path:
    """The folder with all data of this network (`DTVN_DATA`, default `./data`)."""
    return Path(os.environ.get("DTVN_DATA") or REPOSITORY / "data").expanduser().absolute()


def read_secret_key(data: Path) -> str:
    """Django's signing key: `DTVN_SECRET_KEY`, else the file in the data folder.

    Without either (a command that needs no sessions, like `manage.py validator`) the key is
    random and lives as long as the process, so there is never a known default.
    """
    if from_environment := os.environ.get("DTVN_SECRET_KEY"):
        return from_environment
    try:
        if key := (data / SECRET_KEY_FILE).read_text(encoding="ascii").strip():
            return key
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return secrets.token_urlsafe(64)
    return secrets.token_urlsafe(64)


def following(data: Path) -> dict[str, str] | None:
    """How the follower of a data folder was started, None if the folder is none of a follower. Read here, for
    settings, without what dtvn.node.following imports. Raises ImproperlyConfigured."""
    path = data / "cluster" / "follow.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except ValueError as error:
        raise ImproperlyConfigured(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"{path} is damaged: not an object")
    return found


def kill_silent_after() -> float:
    """Seconds after which a process that runs but sends no heartbeat is killed and restarted
    (`DTVN_KILL_SILENT_AFTER`)."""
    text = os.environ.get("DTVN_KILL_SILENT_AFTER") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 5.0 <= seconds <= 3_600.0:
        raise ImproperlyConfigured(f"DTVN_KILL_SILENT_AFTER={text} is not between 5 and 3600 seconds")
    return seconds


def session_idle() -> int:
    """Seconds after its last use at which a session ends (`DTVN_SESSION_HOURS`)."""
    text = os.environ.get("DTVN_SESSION_HOURS") or "12"
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0.25 <= hours <= 8_784.0:
        raise ImproperlyConfigured(f"DTVN_SESSION_HOURS={text} is not between 0.25 and 8784 hours")
    return int(hours * 3_600)


def consensus(text: str | None = None) -> Mode | None:
    """How the members of a cluster that is founded here are to agree, by `text` or the variable; None: as
    usual. Raises ImproperlyConfigured."""
    found = os.environ.get("CONSENSUS", "") if text is None else text
    if not found:
        return None
    try:
        return Mode(found)
    except ValueError as error:
        there = ", ".join(each.value for each in Mode)
        raise ImproperlyConfigured(f"CONSENSUS={found} is none of {there}") from error


def event_time_zone() -> str:
    """The time zone of events without one of their own (`DTVN_TIME_ZONE`)."""
    name = os.environ.get("DTVN_TIME_ZONE") or "UTC"
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImproperlyConfigured(
            f"DTVN_TIME_ZONE={name} is not a time zone such as Europe/Berlin"
        ) from error


def log_format() -> str:
    """`text` or `json`: how the platform's processes log (`DTVN_LOG_FORMAT`)."""
    name = os.environ.get("DTVN_LOG_FORMAT") or "text"
    if name not in ("text", "json"):
        raise ImproperlyConfigured(f"DTVN_LOG_FORMAT={name} is neither text nor json")
    return name


def database_url() -> str:
    """The platform's PostgreSQL (`DATABASE_URL`); "" for SQLite files."""
    return os.environ.get("DATABASE_URL", "")


def storage_url() -> str:
    """The PostgreSQL of a node's own ledger (`DTVN_STORAGE_URL`); "" if none is named."""
    return os.environ.get("DTVN_STORAGE_URL", "")


def storage_path() -> Path | None:
    """The folder of a node's own ledger (`DTVN_STORAGE_PATH`); None if none is named."""
    path = os.environ.get("DTVN_STORAGE_PATH", "")
    return Path(path) if path else None


def api_key() -> str:
    """The key that the APIs of platform and nodes require (`DTVN_API_KEY`); "" if none is named."""
    return os.environ.get("DTVN_API_KEY", "")


def node_ports() -> range | None:
    """The range from which ports of new nodes are chosen (`DTVN_NODE_PORTS=FIRST-LAST`); None if the default
    ports may be used. Raises ImproperlyConfigured."""
    text = os.environ.get("DTVN_NODE_PORTS")
    if not text:
        return None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 65_535):
        raise ImproperlyConfigured(f"DTVN_NODE_PORTS={text} is not a range of ports such as 20000-20999")
    return range(int(first), int(last) + 1)


def ensure_secret_key(data: Path) -> None:
    """Create the signing key file once, readable by its owner only from its first byte."""
    path = data / SECRET_KEY_FILE
    if not path.exists():
        with suppress(FileExistsError):  # another process was first: its file is kept
            write_private(path, secrets.token_urlsafe(64).encode("ascii"))


SQLITE_PATIENCE = 5
"""Seconds a statement waits for another writer; after that the answer is 503, never 500."""


def platform_sqlite(path: Path) -> dict[str, Any]:
    """The platform's database file: WAL, and writers take their lock at BEGIN."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": SQLITE_PATIENCE,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def learner_sqlite(path: Path) -> dict[str, Any]:
    """The learner's database file, opened read-only here: only the learner's process creates and writes it.

    mode=rw never creates an empty file in its place, query_only refuses every write (R28).
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{path.as_uri()}?mode=rw",
        "OPTIONS": {
            "uri": True,
            "timeout": SQLITE_PATIENCE,
            "init_command": "PRAGMA query_only=ON;",
        },
    }


POSTGRESQL_PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""libpq's bounds, in seconds (tcp_user_timeout: milliseconds), for a server that has disappeared; those in
the URL take precedence."""


def postgresql(url: str, *, schema: str, read_only: bool = False) -> dict[str, Any]:
    """A PostgreSQL alias confined to one schema by its search path."""
    database = postgresql_database(url, schema=schema)
    database["OPTIONS"] = POSTGRESQL_PATIENCE | database["OPTIONS"]
    if read_only:
        database["OPTIONS"]["options"] += " -c default_transaction_read_only=on"
    return {**database, "ENGINE": "validators.postgresql", "CONN_HEALTH_CHECKS": True}


def databases(data: Path) -> dict[str, dict[str, Any]]:
    """`default` holds the platform's tables, `learner` the verified copy of the log (R28).

    Each node process adds an alias of its own for its ledger at run time; see validators.ledger.
    """
    url = database_url()
    if not url:
        return {
            "default": platform_sqlite(data / "platform" / "platform.sqlite3"),
            "learner": learner_sqlite(data / "learner" / "ledger.sqlite3"),
        }
    return {
        "default": postgresql(url, schema="public"),
        "learner": postgresql(url, schema="learner", read_only=True),
    }


def broker(data: Path) -> tuple[str, dict[str, Any]]:
    """Celery's broker URL and transport options; files in the data folder unless told otherwise.

    RabbitMQ confirms that it has each message. With the file transport, producer and worker must both
    configure the same folder as inbox and outbox, and without a control folder the workers create their
    mailboxes in the current directory.
    """
    url = os.environ.get("CELERY_BROKER_URL") or "filesystem://localhost//"
    scheme = urlsplit(url).scheme
    if scheme in RABBITMQ:
        return url, {"confirm_publish": True, "read_timeout": BROKER_TIMEOUT, "write_timeout": BROKER_TIMEOUT}
    if scheme != FILE_BROKER:
        return url, {"socket_timeout": BROKER_TIMEOUT, "socket_connect_timeout": BROKER_TIMEOUT}
    queue = str(data / "celery" / "queue")
    return url, {
        "data_folder_in": queue,
        "data_folder_out": queue,
        "control_folder": str(data / "celery" / "control"),
        "polling_interval": 0.2,
    }


def allowed_hosts() -> list[str]:
    """Host names that this platform answers to: the Host header check is what stops DNS rebinding."""
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    bound = os.environ.get("DTVN_HOST", "")
    if bound and bound in WILDCARD_HOSTS:
        hosts += sorted({socket.gethostname(), *_own_addresses()})
    elif bound:
        hosts.append(f"[{bound}]" if ":" in bound else bound)
    hosts += [name.strip() for name in os.environ.get("DTVN_ALLOWED_HOSTS", "").split(",") if name.strip()]
    return list(dict.fromkeys(hosts))


def _own_addresses() -> set[str]:
    """IPv4 addresses of this machine's interfaces, and those that its host name resolves to."""
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asker.fileno(), SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            found.add(socket.inet_ntoa(answer[20:24]))
    try:
        resolved = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return found
    return found | {f"[{entry[4][0]}]" if ":" in str(entry[4][0]) else str(entry[4][0]) for entry in resolved}


def without_password(url: str) -> str:
    """A URL without its password, for a terminal and its log."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"{f'[{host}]' if ':' in host else host}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://{place}/"


def cookie_name(base: str, secret_key: str) -> str:
    """`base` with a mark of the platform: browsers share cookies between ports of a host, and several web
    processes of one platform share its cookies."""
    return f"{base}_{hashlib.sha256(f'cookies {secret_key}'.encode()).hexdigest()[:8]}"


class ExpectedAnswers(logging.Filter):
    """Keeps expected answers out of the error log: refusals (4xx), and "no quorum now" (503, 504)."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", 500)
        return status >= 500 and status not in {503, 504}


class ClientsThatLeft(logging.Filter):
    """Keeps asyncio's message about an unretrieved task out of the error log. It appears when a client hangs
    up right at the end of its request: Django's disconnect watcher has then ended, and no code retrieves its
    result."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return type(error).__name__ != "RequestAborted"
