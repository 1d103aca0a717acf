"""A PostgreSQL server's URL: as an entry of Django's DATABASES, and compared with another; and the server's
errors in one line."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

POSTGRESQL_PORT = "5432"
THIS_HOST = frozenset({"", "localhost", "127.0.0.1", "::1"})


def postgresql_database(url: str, *, schema: str) -> dict[str, Any]:
    """The database that `url` names, confined to one schema by its search path. The URL's query string holds
    connection options."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    options["options"] = f"-c search_path={schema}"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }


def same_database(one: str, other: str) -> bool:
    """Whether two URLs name the same database: host, port and name are equal, whichever user connects. All
    names of this host count as one; others are compared as written, without DNS; "" names no database."""
    return bool(one and other) and (one == other or _named(one) == _named(other))


def same_server(one: str, other: str) -> bool:
    """Whether two URLs name databases of one server, as `same_database` compares hosts and ports."""
    return bool(one and other) and _named(one)[:-1] == _named(other)[:-1]


def _named(url: str) -> tuple[str, ...]:
    from psycopg import ProgrammingError  # only with a server: it takes 0.1 s of every command otherwise
    from psycopg.conninfo import conninfo_to_dict

    try:
        known = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError:
        return url, ""
    host = (known.get("host") or known.get("hostaddr", "")).lower()
    port = known.get("port") or POSTGRESQL_PORT
    place = "localhost" if host in THIS_HOST else host
    return known.get("service", ""), place, port, known.get("dbname") or known.get("user", "")


def first_line(error: BaseException) -> str:
    """What a database's error says, without its hints, which follow in lines of their own."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
