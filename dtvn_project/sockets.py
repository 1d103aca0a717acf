"""WebSockets while the channel layer or the database is away: closed with 4503, never a traceback each."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, InterfaceError

__all__ = ["TRY_AGAIN_LATER", "ClosedWhileAway", "is_away"]

TRY_AGAIN_LATER = 4503
"""Close code: clients come back by themselves. 1013 would be its registered name, but daphne's WebSockets
(autobahn) let an application close with 1000 and 3000 to 4999 only."""

logger = logging.getLogger("dtvn.web")


class ClosedWhileAway:
    """ASGI: around everything that a socket needs, its session included."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI. A handshake is accepted first: only then can the client be told why it ends."""
        said: set[str] = set()

        async def noted(message: dict[str, Any]) -> None:
            said.add(message["type"])
            await send(message)

        async def heard() -> Any:
            message = await receive()
            said.add(message["type"])
            return message

        try:
            await self._application(scope, heard, noted)
        except Exception as error:
            if not is_away(error):
                raise
            reason = str(error).strip().partition("\n")[0]
            logger.warning("a client of %s was asked to come back later: %s", scope["path"][:200], reason)
            if said & {"websocket.close", "websocket.disconnect"}:
                return
            if "websocket.accept" not in said:
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


def is_away(error: Exception) -> bool:
    """Whether it is Redis, the database or the network below them; not asked by type, since Redis'
    errors are only known where Redis is used."""
    of_redis = any(kind.__module__.partition(".")[0] == "redis" for kind in type(error).__mro__)
    return of_redis or isinstance(error, OSError | DatabaseError | InterfaceError)
