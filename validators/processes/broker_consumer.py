"""A worker's connection to the broker. An outage is one line, its end another; no worker and no node ends."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.consumer.consumer import CONNECTION_RETRY
from celery.worker.state import maybe_shutdown

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to reach the broker."""

logger = logging.getLogger("dtvn.broker")


def install_filter() -> None:
    """Drop Celery's own line about a lost connection, in the main process of a worker."""
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_not_reported_here)


def _not_reported_here(record: logging.LogRecord) -> bool:
    return not (isinstance(record.args, tuple) and CONNECTION_RETRY in record.args)


class BrokerConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, except for how it waits. Celery's waits up to 30 s between two attempts, logs each,
    and ends the worker, with the nodes in it, after a hundred."""

    _away = False

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, once it is established."""
        conn.ensure_connection(
            lambda error, _interval: self._report(error),
            interval_start=RETRY_INTERVAL,
            interval_step=0,
            interval_max=RETRY_INTERVAL,
            callback=self._meanwhile,
        )
        self.first_connection_attempt = False
        return conn

    def _meanwhile(self) -> None:
        """Called every second of the wait, in which no event loop sees that a child ended."""
        maybe_shutdown()
        self.pool.maintain_pool()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Called when a connection was refused for good, a login for example: tried again all the same."""
        self._pause_and_report(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Called when a connection was lost, or a queue could not be declared."""
        self._pause_and_report(exc)
        super().on_connection_error_after_connected(exc)

    def on_ready(self) -> None:
        """Called when reading from the queue has begun."""
        super().on_ready()
        if self._away:
            logger.warning("the broker answers again")
        self._away = False

    def _pause_and_report(self, error: Exception) -> None:
        if self._away:  # it answers, but not as needed: no attempt follows another at once
            time.sleep(RETRY_INTERVAL)
        self._report(error)

    def _report(self, error: Exception) -> None:
        if not self._away:
            logger.warning(
                "the broker %s is away: %s; running nodes continue, start requests wait",
                self.conninfo.as_uri(),
                str(error).strip().partition("\n")[0] or type(error).__name__,
            )
        self._away = True
