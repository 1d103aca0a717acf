"""Checks the servers that the environment names once before any process starts: a wrong address gives one
clear line, instead of processes that end and restart in a loop."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.conf import settings

from dtvn.node.options import StartError
from dtvn_project import environment

PATIENCE = 3.0
"""Seconds for a connection and its greeting."""


def check_servers() -> None:
    """Raise StartError if the broker or the channel layer's Redis cannot be used now. The database is checked
    by the migration."""
    if not settings.CELERY_BROKER_URL.startswith(environment.FILE_BROKER):
        check_broker(settings.CELERY_BROKER_URL)
    if url := os.environ.get("REDIS_URL", ""):
        check_redis(url)


def check_broker(url: str) -> None:
    """One connection with Celery's own client; raise StartError."""
    from kombu.connection import Connection

    limits = {}
    if url.startswith(("redis", "sentinel")):
        limits = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}
    try:
        with Connection(url, connect_timeout=PATIENCE, transport_options=limits) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=PATIENCE)
    except KeyError as error:  # kombu's error for an unknown transport
        name = url.partition(":")[0]
        raise StartError(f"CELERY_BROKER_URL: unknown broker {name!r}") from error
    except Exception as error:  # every transport has errors of its own
        raise StartError(f"CELERY_BROKER_URL={shown(url)}: {_reason(error)}") from error


def check_redis(url: str) -> None:
    """One ping; raise StartError."""
    import redis

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
        with client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise StartError(f"REDIS_URL={shown(url)}: {_reason(error)}") from error


def shown(url: str) -> str:
    """A URL without its password, for a terminal and its log."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://{place}/"


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):  # its message may contain the URL with its password
        return "not a valid address"
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
