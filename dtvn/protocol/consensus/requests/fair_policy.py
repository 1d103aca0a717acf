"""The policy of this network: shares of the pool, principals in turn, a monitored primary (R20, R30, R32)."""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import UNOPENED, Bundle
from dtvn.protocol.consensus.request_key import Key
from dtvn.protocol.consensus.requests.batching import Batching
from dtvn.protocol.consensus.requests.clients import Clients
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.requests.primary_monitor import PrimaryMonitor
from dtvn.protocol.consensus.requests.throughput import Throughput, work_of
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Peer, Verified, VerifiedBatch, VerifiedBundle


class FairPolicy(Policy):
    """Joins the client table, the pool, the choice of a batch and the monitor of the primary."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.pool = Pool(
            operations_max=state.config.pool_operations_max,
            bytes_max=state.config.pool_bytes_max,
            client_share=state.config.pool_client_share,
            batch_operations_max=state.config.batch_operations_max,
        )
        self.throughput = Throughput()
        self.clients = Clients(state, self.pool, self.throughput)
        self.batching = Batching(state, self.pool, self.throughput, self.clients)
        self.primary_monitor = PrimaryMonitor(state, self.pool)

    def refuse_bundle(self, message: Bundle) -> Reason | None:
        """See Policy."""
        return self.clients.refuse_bundle(message)

    def on_bundle(self, verified: Verified[Bundle]) -> None:
        """See Policy."""
        self.clients.on_bundle(verified)

    def on_refused(self, message: Bundle, digest: bytes, peer: Peer, reason: Reason) -> None:
        """See Policy."""
        self.clients.on_refused(message, digest, peer, reason)

    def requeue(self, bundles: Iterable[VerifiedBundle]) -> None:
        """See Policy."""
        self.clients.requeue(bundles)

    def waiting(self) -> Iterable[VerifiedBundle]:
        """See Policy."""
        return [item.bundle for item in self.pool]

    def size(self) -> tuple[int, int]:
        """See Policy."""
        return len(self.pool), self.pool.operations

    def oldest_wait(self) -> int | None:
        """See Policy."""
        oldest = self.pool.oldest()
        return None if oldest is None else oldest.arrived

    def oldest_key(self) -> Key | None:
        """See Policy."""
        oldest = self.pool.oldest()
        return None if oldest is None else oldest.key

    def waits(self, key: Key) -> bool:
        """See Policy."""
        return self.pool.get(key) is not None

    def forward_waiting(self) -> None:
        """See Policy."""
        self.clients.forward_waiting(0)

    def tick(self) -> None:
        """See Policy. Forwards again after T / 2, since a forward may be lost."""
        self.clients.drop_settled()
        oldest, half = self.pool.oldest(), self.state.timeouts.timeout // 2
        if oldest is not None and self.state.now.monotonic >= oldest.arrived + half:
            self.clients.forward_waiting(half)

    def lead(self) -> None:
        """See Policy."""
        self.pool.lead()

    def follow(self) -> None:
        """See Policy."""
        self.pool.follow()

    def has_unproposed(self) -> bool:
        """See Policy."""
        return self.pool.waiting_operations > 0

    def ready_at(self, in_flight: int) -> int | None:
        """See Policy."""
        return self.batching.ready_at(in_flight)

    def next_batch(self) -> list[VerifiedBundle]:
        """See Policy."""
        return self.batching.next_batch()

    def on_executed(self, sequence: int, batch: VerifiedBatch) -> None:
        """See Policy. The waiting times of the requests count for or against the primary (R32)."""
        leave = self.clients.leave_pool
        waited = [leave(bundle) for bundle in batch.bundles]
        opened = {each.bundle.principal for each in batch.bundles if each.bundle.session == UNOPENED}
        if opened:
            self.pool.on_opened(opened, self.state.now.monotonic)
        if not self.state.is_primary:
            for principal in {each.bundle.principal for each in batch.bundles}:
                self.pool.active_clients.executed(principal, self.state.now.monotonic)
        operations = sum([len(bundle.bundle.operations) for bundle in batch.bundles])
        work = work_of(operations, len(batch.bundles))
        self.throughput.on_executed(work, self.state.now.monotonic, waiting=len(self.pool) > 0)
        self.primary_monitor.on_executed(sequence, work, waited)

    def on_answered(self, request: bytes, frame: bytes) -> None:
        """See Policy."""
        self.clients.on_answered(request, frame)

    def on_entered(self) -> None:
        """See Policy."""
        self.primary_monitor.begin()

    def on_left(self, *, slow: bool) -> None:
        """See Policy."""
        self.pool.follow()
        self.primary_monitor.on_left(slow=slow)

    def shift(self, gap: int) -> None:
        """See Policy."""
        self.primary_monitor.shift(gap)
        self.throughput.shift(gap)

    def primary_fault(self) -> str | None:
        """See Policy."""
        return self.primary_monitor.cause()
