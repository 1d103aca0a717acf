"""Closes WebSockets with 4503 while the database is away, without a traceback for each."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, InterfaceError

from validators.database_url import first_line

TRY_AGAIN_LATER = 4503
"""Close code after which clients reconnect. The registered code would be 1013, but daphne's WebSockets
(autobahn) let an application close only with 1000 and 3000 to 4999."""

logger = logging.getLogger("dtvn.web")


class ClosedWhileAway:
    """ASGI wrapper around the whole socket application, including its session."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI. A handshake is accepted first: only then can the client be told the reason for
        closing."""
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
        except (OSError, DatabaseError, InterfaceError) as error:
            logger.warning(
                "a client of %s was asked to come back later: %s", scope["path"][:200], first_line(error)
            )
            if said & {"websocket.close", "websocket.disconnect"}:
                return
            if "websocket.accept" not in said:
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
