"""A PostgreSQL server's URL as an entry of Django's DATABASES, and the server's errors in one line."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


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


def first_line(error: BaseException) -> str:
    """What a database's error says, without its hints, which follow in lines of their own."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
