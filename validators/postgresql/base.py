"""Connections whose statements end with OperationalError once their server is silent (see `breaker`)."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from django.db.backends.postgresql import base
from django.utils.asyncio import async_unsafe
from psycopg.conninfo import make_conninfo

from validators.postgresql.breaker import CircuitBreaker

SUSPECTED_AFTER = 0.5
"""Seconds without a word after which a statement, or an attempt to connect, makes its breaker ask; the same
statement suspects again after twice the time."""
OF_DJANGO = ("context", "cursor_factory", "prepare_threshold", "client_encoding")
"""Parameters of a connection that do not matter to whether the server answers."""

Step = TypeVar("Step")
Result = TypeVar("Result")


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that stops waiting once its breaker is open; it is closed then."""

    breaker: CircuitBreaker

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Any:
        """psycopg's own bound on connecting is two seconds or more."""
        return watched(super()._connect_gen(conninfo), cls.breaker)

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        """See psycopg; raises OperationalError once the server is silent."""
        try:
            return super().wait(watched(gen, self.breaker), *arguments, **named)
        except ServerSilentError:
            self.pgconn.finish()  # its answer may still come, and would be taken for that of another
            raise


class ServerSilentError(psycopg.OperationalError):
    """The server keeps its connections and answers nothing."""

    def __init__(self) -> None:
        super().__init__("the server does not answer")


def watched(gen: Generator[Step, Any, Result], breaker: CircuitBreaker) -> Generator[Step, Any, Result]:
    """psycopg's generator `gen`, which is told every 0.1 s that there is no word yet."""
    ready, since, patience = None, breaker.clock(), SUSPECTED_AFTER
    while True:
        if not ready and breaker.is_open:
            gen.close()
            raise ServerSilentError
        try:
            step = gen.send(ready)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        ready = yield step
        now = breaker.clock()
        if ready:
            since, patience = now, SUSPECTED_AFTER
        elif now - since >= patience:
            breaker.suspect()
            patience *= 2


@lru_cache(maxsize=8)
def connections_to(server: str) -> type[WatchedConnection]:
    """The connections that share one breaker; `server`: a libpq connection string."""

    def answers() -> bool:
        try:
            psycopg.connect(server, connect_timeout=2).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return True  # a refusal; and who is gone is for the statement to find
        return True

    return type("Connection", (WatchedConnection,), {"breaker": CircuitBreaker(answers)})


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with watched connections; it knows neither a pool nor `isolation_level`."""

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> WatchedConnection:
        """See Django."""
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        server = {name: value for name, value in conn_params.items() if name not in (*OF_DJANGO, "options")}
        return connections_to(make_conninfo("", **server)).connect(**conn_params)
