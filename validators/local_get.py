"""GET from a server on this machine: the platform itself, a node's API, a node's metrics."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

NO_ANSWER = (OSError, http.client.HTTPException)
BODY_BYTES_MAX = 4 * 1024 * 1024


class Reply(NamedTuple):
    """Any HTTP response: a refusal is one too."""

    status: int
    body: bytes
    """Its first bytes, as many as were asked for."""


def get(
    host: str,
    port: int,
    path: str,
    *,
    patience: float,
    headers: Mapping[str, bytes] | None = None,
    most: int = BODY_BYTES_MAX,
) -> Reply:
    """The response, directly, without a proxy from the environment. `patience`: seconds for the connection,
    and for each part of the response. `most`: bytes that are read of its body. Raises one of NO_ANSWER."""
    with closing(http.client.HTTPConnection(host, port, timeout=patience)) as connection:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.read(most) if most else b"")
