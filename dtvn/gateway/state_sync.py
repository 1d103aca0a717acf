"""StateSynchronizer: state that no log orders, kept alike by nodes (contract, section 4; R46).

Each node writes signed items of its own and exchanges items with its peers by one of four protocols
(`dtvn.sync`). How to use it: docs/use/python-client.md; what the protocols cost:
docs/understand/synchronisation.md.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Self

from dtvn.events.config import CircuitBreakerConfig, StateSyncConfig
from dtvn.gateway.owed import OwedSummary
from dtvn.gateway.owed_notes import OwedNote
from dtvn.gateway.state_peers import Asker, Peers, StateSyncError
from dtvn.gateway.state_store import NodeState, now_us
from dtvn.gateway.state_values import StateSnapshot, StateVersion, SyncStatus
from dtvn.sync import ItemError, Outcome, Resolver, Session, Sessions, Settings, SyncError, SyncProtocol

__all__ = ["StateSynchronizer"]

logger = logging.getLogger(__name__)

ROUND_TIMEOUT = 30.0
"""Seconds for one call of `sync_state`."""
LOOK = 0.1
"""Seconds between two looks whether this node stops."""
EXPIRY_INTERVAL = 60.0
PARALLEL_MAX = 8
"""Peers that are asked at a time."""
BREAKER = CircuitBreakerConfig(name="state-sync")


class StateSynchronizer:
    """The state of one node and its exchanges with others. Threads may share it.

    `nodes`: node id -> Ed25519 public key of all nodes whose items count, this one included. `peers` carries
    its questions; in the other direction, the receiver of a question calls `answer`.
    """

    def __init__(
        self,
        node_id: str,
        seed: bytes,
        cluster: bytes,
        nodes: Mapping[str, bytes],
        *,
        peers: Peers | None = None,
        config: StateSyncConfig = StateSyncConfig(),  # noqa: B008 - frozen
        breaker: CircuitBreakerConfig = BREAKER,
        resolver: Resolver | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """`seed`: this node's 32-byte Ed25519 seed. `cluster`: 32 bytes that name the state: items of
        another are refused. `resolver`: for `custom`. `chance`: chooses peers and pauses. Raises ValueError
        for a seed that is not the node's, and for `custom` without a resolver."""
        names = {key: name for name, key in nodes.items()}
        self._config = config
        self._state = NodeState(cluster, seed, names, config.conflict_resolution, resolver)
        if self._state.node_id != node_id:
            raise ValueError(f"node_id: the seed is that of {self._state.node_id!r}, not {node_id!r}")
        self._peers = peers
        self._keys = dict(nodes)
        settings = Settings(config.batch_size, config.enable_compression)
        self._sessions = Sessions(self._state.store, settings)
        self._chance = chance or random.Random()  # noqa: S311 - who is asked first is no secret
        self._lock = threading.Lock()
        """Around the state and the sessions; never held while a peer is asked."""
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._loop: threading.Thread | None = None
        self._asker: Asker | None = None
        if peers is not None:
            stopping = self._stopping.wait
            attempts = config.max_retries
            self._asker = Asker(peers, attempts=attempts, breaker=breaker, wait=stopping, chance=self._chance)
        self.owing: Callable[[], Iterable[OwedSummary]] | None = None
        """What is owed a judgement here: told to the others in each round. A validator sets it."""
        self._last_sync: int | None = None
        self._counts = Outcome()
        self._synced = self._failed = 0

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Synchronise every `sync_interval` from now on; raise StateSyncError if it does already."""
        with self._lock:
            if self._loop is not None:
                raise StateSyncError("the synchroniser runs already")
            self._stopping.clear()
            self._loop = threading.Thread(target=self._run, name="state-sync", daemon=True)
            self._loop.start()

    def stop(self) -> None:
        """End the background exchanges, if any run."""
        with self._lock:
            loop, self._loop = self._loop, None
        self._stopping.set()
        self._wake.set()
        if loop is not None:
            loop.join()
        self._stopping.clear()  # `sync_state` may still be called

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- values ----------------------------------------------------------------------------------

    def set_state(self, key: str, value: Any) -> StateVersion:
        """Write a value, whatever JSON can say, and return what the key now has. Under gossip peers get it
        at once, in the background. Raises ItemError if it is too large."""
        with self._lock:
            found = self._state.put(key, value)
        self._changed()
        return found

    def get_state(self, key: str) -> StateVersion | None:
        """The value of a key by `conflict_resolution`, of what all nodes wrote; None if there is no value."""
        with self._lock:
            return self._state.get(key)

    def delete_state(self, key: str) -> None:
        """Delete a key that any node wrote: its tombstone travels as values do."""
        with self._lock:
            self._state.delete(key)
        self._changed()

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter, whose value is what all nodes added; returns its value here."""
        with self._lock:
            found = self._state.increment(key, by)
        self._changed()
        return found

    def get_counter(self, key: str) -> int:
        """The value of a counter."""
        with self._lock:
            return self._state.counter(key)

    def add_member(self, key: str, element: str) -> None:
        """Add to a set."""
        with self._lock:
            self._state.add(key, element)
        self._changed()

    def remove_member(self, key: str, element: str) -> None:
        """Remove from a set what is seen here: what another node adds meanwhile stays."""
        with self._lock:
            self._state.remove(key, element)
        self._changed()

    def get_members(self, key: str) -> frozenset[str]:
        """The elements of a set."""
        with self._lock:
            return self._state.members(key)

    def get_owed(self) -> dict[str, list[OwedNote]]:
        """Node id -> the runs that it judged alone and for which the members owe a judgement, oldest
        first."""
        with self._lock:
            return self._state.owed()

    def get_snapshot(self, validation_state: dict[str, Any] | None = None) -> StateSnapshot:
        """A copy of all items, with a checksum."""
        with self._lock:
            return self._state.snapshot(validation_state or {})

    def apply_snapshot(self, snapshot: StateSnapshot | None) -> int:
        """Merge a snapshot in, and say how many items were new: keys that it has not are kept, conflicts are
        resolved. Raises StateSyncError, and changes nothing, without one or if it was altered."""
        if snapshot is None:
            raise StateSyncError("snapshot: None is none")
        try:
            with self._lock:
                return self._state.apply(snapshot)
        except SyncError as error:
            raise StateSyncError(str(error)) from error

    # --- exchanges -------------------------------------------------------------------------------

    def answer(self, node_id: str, body: bytes) -> bytes:
        """The answer to another node's question, for the caller to carry; raise SyncError if it is none.
        The carrier vouches for `node_id`."""
        with self._lock:
            return self._sessions.answer(self._keys.get(node_id, b""), body, now_us())

    def sync_state(self) -> None:
        """Exchange with all peers now, in parallel; raise StateSyncError if more than half of them failed,
        or not all were done in ROUND_TIMEOUT seconds."""
        self._tell_owed()
        self._round(self._peers.active() if self._peers else ())

    def get_sync_status(self) -> SyncStatus:
        """Figures since this object was made."""
        with self._lock:
            store = self._state.store
            last = self._last_sync
            return SyncStatus(
                running=self._loop is not None,
                protocol=self._config.protocol,
                state_version=store.highest,
                items=len(store),
                checksum=store.root.hex(),
                last_sync=None if last is None else last / 1_000_000,
                lag=None if last is None else max(0.0, (now_us() - last) / 1_000_000),
                sync_count=self._synced,
                error_count=self._failed,
                conflict_count=self._state.conflicts(),
                changes=self._state.changes,
                bytes_sent=self._counts.bytes_sent,
                bytes_received=self._counts.bytes_received,
                node_status={name: state.name for name, state in self._asker.states().items()}
                if self._asker
                else {},
            )

    def _changed(self) -> None:
        due = self._config.protocol is SyncProtocol.SNAPSHOT and self._threshold_reached()
        if due or self._config.protocol is SyncProtocol.GOSSIP:
            self._wake.set()

    def _threshold_reached(self) -> bool:
        with self._lock:
            return self._state.changes >= self._config.snapshot_threshold

    def _run(self) -> None:
        """The background: a round every interval and whenever something calls for one."""
        expire_at = time.monotonic() + EXPIRY_INTERVAL
        while not self._stopping.is_set():
            self._wake.wait(self._config.sync_interval)
            self._wake.clear()
            if self._stopping.is_set():
                return
            if time.monotonic() >= expire_at:
                expire_at = time.monotonic() + EXPIRY_INTERVAL
                with self._lock:
                    self._state.store.expire(now_us())
            try:
                self._tell_owed()
                self._round(self._chosen())
            except StateSyncError as error:
                logger.warning("state synchronisation: %s", error)
            except Exception:  # a program's own `owing` or `peers`: the next round may work
                logger.exception("state synchronisation: a round failed")

    def _tell_owed(self) -> None:
        if self.owing is None:
            return
        waiting = list(self.owing())
        try:
            with self._lock:
                self._state.tell_owed(waiting)
        except ItemError as error:  # this node holds as many items as it may
            logger.warning("state synchronisation: %s", error)

    def _chosen(self) -> list[str]:
        """Whom a background round asks."""
        names = list(self._peers.active()) if self._peers else []
        protocol = self._config.protocol
        if protocol is SyncProtocol.GOSSIP:
            return self._chance.sample(names, min(self._config.gossip_fanout, len(names)))
        if protocol is SyncProtocol.SNAPSHOT and not self._threshold_reached():
            return []
        return names

    def _round(self, names: Iterable[str]) -> None:
        """One exchange with each of these peers; raises StateSyncError as `sync_state` does."""
        chosen = list(names)
        if not chosen:
            return
        push = self._config.protocol is SyncProtocol.SNAPSHOT and self._threshold_reached()
        with self._lock:
            changes = self._state.changes if push else 0
            self._state.changes -= changes
        try:
            self._exchange_all(chosen, push)
        except StateSyncError:
            with self._lock:
                self._state.changes += changes  # the next round gives it again
            raise

    def _exchange_all(self, chosen: list[str], push: bool) -> None:
        pool = ThreadPoolExecutor(min(PARALLEL_MAX, len(chosen)), thread_name_prefix="state-sync-peer")
        runs = {name: pool.submit(self._exchange, name, push) for name in chosen}
        done, late = self._wait(list(runs.values()))
        pool.shutdown(wait=False, cancel_futures=True)
        if late:
            why = "this node stops" if self._stopping.is_set() else f"{ROUND_TIMEOUT:g} s are over"
            raise StateSyncError(f"timeout: {len(done)} of {len(runs)} peers were done, and {why}")
        said = [f"{run.exception()}" for run in runs.values() if run.exception()]
        if 2 * len(said) > len(runs):
            raise StateSyncError(f"{len(said)} of {len(runs)} peers failed: {'; '.join(said[:3])}")

    def _wait(self, runs: list[Future[None]]) -> tuple[set[Future[None]], set[Future[None]]]:
        """(done, late) after ROUND_TIMEOUT, or at once when this node stops: exchanges that wait for an
        answer end by themselves."""
        until = time.monotonic() + ROUND_TIMEOUT
        while True:
            done, late = wait(runs, LOOK)
            if not late or time.monotonic() > until or self._stopping.is_set():
                return done, late

    def _exchange(self, name: str, push: bool) -> None:
        """One exchange with one peer."""
        outcome = Outcome()
        try:
            with self._lock:
                session = self._sessions.open(self._config.protocol, now_us(), only_give=push)
            outcome = session.outcome
            self._drive(name, session)
        except (StateSyncError, SyncError) as error:
            self._count(outcome, failed=True)
            raise StateSyncError(f"{name}: {error}") from error
        self._count(outcome, failed=False)

    def _drive(self, name: str, session: Session) -> None:
        if self._asker is None:
            raise StateSyncError("there are no peers")
        while session.question is not None:
            question = session.question
            body = self._asker.ask(name, question)
            with self._lock:
                session.answered(body, now_us())
            if session.question is question:
                raise SyncError("the answer is to another question")

    def _count(self, outcome: Outcome, *, failed: bool) -> None:
        with self._lock:
            self._counts.bytes_sent += outcome.bytes_sent
            self._counts.bytes_received += outcome.bytes_received
            if failed:
                self._failed += 1
            else:
                self._synced += 1
                self._last_sync = now_us()
