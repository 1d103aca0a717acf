"""The choice of the next batch, and how much may be in flight (R20, R30).

A batch goes out at once when nothing is in flight, else when it is full or has waited `batch_delay`.

While several principals are active, batches are small and little is in flight: each principal waits for the
others' requests that execute before its own, and a batch of all waiting requests would consist mostly of
those of the principal with the most requests (R30).
"""

from __future__ import annotations

from dtvn.protocol.consensus.requests.clients import Clients
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.requests.throughput import LEAST, Throughput
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBundle

SECOND = 1_000_000_000
ROUND_TRIPS = 2
"""Besides LEAST, as much may be in flight as is executed during this many round trips. A proposal takes one
and a half round trips to its execution; more work would only wait in the members' queues, ahead of other
principals' requests."""
NEAR = 5_000_000
"""Nanoseconds of a round trip not counted for ROUND_TRIPS: members on one site spend them in queues for their
processors, and more work in flight would only make those queues longer."""
LONG_WAIT = 4
"""Once all recently active principals have waited for T / LONG_WAIT, requests go out as fast as the pipeline
takes them, since small batches cost throughput. A principal with many open requests waits long because of
them, and cannot lift the limit by that alone (0168)."""
TOLD_WAIT = 8
"""Requests also go out as fast as the pipeline takes them once a request that other members wait for has
waited here for T / TOLD_WAIT: those members find a primary slow above a quarter of T. Only as many of a
principal's requests count as those members expect at once (`Pool.note_told`)."""


class Batching:
    """Decides when the next batch is ready, and which requests are in it."""

    def __init__(self, state: State, pool: Pool, throughput: Throughput, clients: Clients) -> None:
        self.state = state
        self.pool = pool
        self.throughput = throughput
        self.clients = clients

    def ready_at(self, in_flight: int) -> int | None:
        """Monotonic time when the next batch may be proposed, with `in_flight` sequences not executed yet;
        None if that depends on more than time."""
        state, pool = self.state, self.pool
        arrived = pool.oldest_waiting()
        if arrived is None:
            return None
        room = self._room()
        if in_flight and room is not None and pool.work - pool.waiting_work >= room:
            return None
        if (
            in_flight == 0
            or pool.waiting_operations >= state.config.batch_operations_max
            or pool.waiting_bytes >= state.config.batch_bytes_max
            or (room is not None and pool.waiting_work >= LEAST)
        ):
            return state.now.monotonic
        return arrived + state.config.batch_delay

    def next_batch(self) -> list[VerifiedBundle]:
        """Takes the next batch from the pool, without requests that the state settled while they waited."""
        config = self.state.config
        room = self._room()
        work = None if room is None else max(LEAST, room // config.pipeline)
        taken = self.pool.take(config.batch_operations_max, config.batch_bytes_max, work)
        return [item.bundle for item in taken if not self.clients.answer_if_settled(item.bundle)]

    def _room(self) -> int | None:
        """Units of work that may be in flight; None if only the pipeline limits them."""
        state = self.state
        if not self.pool.active_clients.several(state.now.monotonic):
            return None
        now, timeout = state.now.monotonic, state.timeouts.base
        all_wait, told = self.pool.active_clients.all_wait_since(now), self.pool.told_since()
        if all_wait is not None and now - all_wait > timeout // LONG_WAIT:
            return None
        if told is not None and now - told > timeout // TOLD_WAIT:
            return None
        rate = self.throughput.rate() or 0
        far = max(0, state.round_trips.shortest() - NEAR)
        return LEAST + rate * ROUND_TRIPS * far // SECOND
