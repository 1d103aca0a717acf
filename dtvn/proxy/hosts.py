"""An ASGI application that answers only to its own names.

A page in a browser may name any host, whose address its own name server gives as 127.0.0.1: the browser then
takes the agent behind this proxy for a part of that page (DNS rebinding). Only the Host header tells.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from dtvn.proxy.forward import refuse
from dtvn.proxy.middleware import App, Scope
from dtvn.proxy.passages import Receive, Send

ANY = "*"
"""In place of a name: every host is answered."""
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?\Z")


class AllowHosts:
    """Passes on requests to an address, to localhost, or to a name that is allowed; others get 421."""

    def __init__(self, app: App, names: Iterable[str] = ()) -> None:
        """`names`: host names without ports; of them `*` allows all. Raises ValueError for other texts."""
        self._app = app
        self._names = {_checked(name) for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] != "http" or ANY in self._names or (len(given) == 1 and self._own(given[0])):
            await self._app(scope, receive, send)
            return
        said = "This server answers to addresses, localhost and the names of --allow-host, not to {}."
        named = given[0].decode("latin-1") if given else "a request without Host"
        await refuse(send, 421, "HOST_NOT_ALLOWED", said.format(named))

    def _own(self, given: bytes) -> bool:
        found = _HOST.match(given.decode("latin-1").lower())
        if found is None:
            return False
        name = found[1].removesuffix(".")
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _address(name)


def _address(name: str) -> bool:
    """Whether a host is an IP address: no name server is asked for it, so no page can take it over."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _checked(name: str) -> str:
    found = _HOST.match(name)
    if name != ANY and (found is None or found[1] != name or not re.fullmatch(r"[\w.-]+", name)):
        raise ValueError(f"{name!r} is no name of a host, without scheme and port")
    return name.lower().removesuffix(".")
