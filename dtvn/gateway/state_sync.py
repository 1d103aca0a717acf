"""StateSynchronizer: state that no log orders, kept alike by nodes (contract, section 4; R46).

Each node writes signed items of its own and exchanges items with its peers (`dtvn.sync`). The protocol of the
configuration says when and with whom:

| protocol | rounds | with |
|---|---|---|
| gossip | every `sync_interval`, and at once after a write | `gossip_fanout` peers, at random |
| merkle | every `sync_interval` | all |
| crdt | every `sync_interval`, and at once after a write | all |
| snapshot | after `snapshot_threshold` writes of this node | all |

How to use it: docs/use/python-client.md; what an exchange costs: docs/understand/synchronisation.md.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dtvn.events.config import CircuitBreakerConfig, StateSyncConfig, SyncProtocol
from dtvn.files.kept import FolderError
from dtvn.gateway.owed import OwedSummary
from dtvn.gateway.owed_notes import OwedNote
from dtvn.gateway.state_peers import LOOK, Asker, Exchanges, Peers, StateSyncError, half_done
from dtvn.gateway.state_store import NodeState, now_us
from dtvn.gateway.state_values import StateSnapshot, StateVersion, SyncStatus
from dtvn.sync import ItemError, Outcome, Resolver, Session, Sessions, SyncError

__all__ = ["StateSynchronizer"]

logger = logging.getLogger(__name__)

FIRST_TIMEOUT = 10.0
"""Most seconds for which the first write waits for a peer that shows what this node wrote before."""
EXPIRY_INTERVAL = 60.0
BREAKER = CircuitBreakerConfig(name="state-sync")
AT_ONCE = (SyncProtocol.GOSSIP, SyncProtocol.CRDT)
"""Protocols by which a write begins a round."""


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
        folder: Path | None = None,
    ) -> None:
        """`seed`: this node's 32-byte Ed25519 seed. `cluster`: 32 bytes that name the state: items of
        another are refused. `resolver`: for `custom`. `chance`: chooses peers and pauses. `folder`: keeps
        what this node writes, before a write returns; one process has it at a time. None: memory, and the
        status says so. Raises ValueError for a seed that is not the node's, and for `custom` without a
        resolver; StateSyncError if the folder cannot be used."""
        names = {key: name for name, key in nodes.items()}
        self._config = config
        try:
            self._state = NodeState(cluster, seed, names, config.conflict_resolution, resolver, folder)
        except FolderError as error:
            raise StateSyncError(str(error)) from error
        if self._state.node_id != node_id:
            raise ValueError(f"node_id: the seed is that of {self._state.node_id!r}, not {node_id!r}")
        self._peers = peers
        self._sessions = Sessions(self._state.store, config.batch_size)
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
        self._exchanges = Exchanges(self._exchange)
        self._failing: set[str] = set()
        """Peers whose newest exchange failed."""
        self._durable = folder is not None
        self._confirmed = len(self._state.store) > 0
        """Whether it is known what this node wrote before."""
        self._first = threading.Lock()
        """Held by the first write while it waits for that."""
        self._waited = self._confirmed
        self.owing: Callable[[], Iterable[OwedSummary]] | None = None
        """What is owed a judgement here: told to the others in each round. A validator sets it."""
        self._given = 0
        """Writes of this node by the beginning of its newest round with all peers."""
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

    def close(self) -> None:
        """Stop, and let another process have the folder. What needs the folder raises from now on."""
        self.stop()
        self._state.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # --- values ----------------------------------------------------------------------------------

    def set_state(self, key: str, value: Any) -> StateVersion:
        """Write a value, whatever JSON can say, and return what the key now has. Raises ItemError if it is
        too large, for one key more than a node may have, and for a key that this node wrote with a clock far
        ahead; StateSyncError if the folder cannot be written. The first write of a node that has nothing
        stored waits for a peer that shows what it wrote before, at most FIRST_TIMEOUT seconds; without one
        the status says `unconfirmed`."""
        with self._writing():
            return self._state.put(key, value)

    def get_state(self, key: str) -> StateVersion | None:
        """The value of a key by `conflict_resolution`, of what all nodes wrote; None if there is no value."""
        with self._lock:
            return self._state.get(key)

    def delete_state(self, key: str) -> None:
        """Delete a key that any node wrote: its tombstone travels as values do."""
        with self._writing():
            self._state.delete(key)

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a counter, whose value is what all nodes added; returns its value here."""
        with self._writing():
            return self._state.increment(key, by)

    def get_counter(self, key: str) -> int:
        """The value of a counter."""
        with self._lock:
            return self._state.counter(key)

    def add_member(self, key: str, element: str) -> None:
        """Add to a set."""
        with self._writing():
            self._state.add(key, element)

    def remove_member(self, key: str, element: str) -> None:
        """Remove from a set what is seen here: what another node adds meanwhile stays."""
        with self._writing():
            self._state.remove(key, element)

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
        except ItemError as error:
            raise StateSyncError(str(error)) from error

    # --- exchanges -------------------------------------------------------------------------------

    def answer(self, node_id: str, body: bytes) -> bytes:
        """The answer to another node's question, for the caller to carry; raise SyncError if it is none, or
        one of another release's form. The carrier vouches for `node_id`."""
        with self._lock:
            return self._sessions.answer(body, now_us())

    def sync_state(self) -> None:
        """Exchange with all peers now, in parallel; raise StateSyncError if more than half of them failed. A
        peer that hangs is waited for only until half of the others are done, and a second more."""
        self._tell_owed()
        self._round(self._active())

    def get_sync_status(self) -> SyncStatus:
        """Figures since this object was made."""
        with self._lock:
            store = self._state.store
            last = self._last_sync
            return SyncStatus(
                running=self._loop is not None,
                durable=self._durable,
                unconfirmed=not self._confirmed,
                protocol=self._config.protocol,
                state_version=self._state.version,
                items=len(store),
                checksum=store.root.hex(),
                last_sync=None if last is None else last / 1_000_000,
                lag=None if last is None else max(0.0, (now_us() - last) / 1_000_000),
                sync_count=self._synced,
                error_count=self._failed,
                conflict_count=self._state.conflicts(),
                changes=self._state.writes - self._given,
                bytes_sent=self._counts.bytes_sent,
                bytes_received=self._counts.bytes_received,
                node_status={name: state.name for name, state in self._asker.states().items()}
                if self._asker
                else {},
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Around a write: it goes on from what this node wrote before, and begins a round if it is time."""
        self._find_own_past()
        try:
            with self._lock:
                yield
        except FolderError as error:
            raise StateSyncError(str(error)) from error
        if self._config.protocol in AT_ONCE or self._threshold_reached():
            self._wake.set()

    def _find_own_past(self) -> None:
        """Once, where nothing is stored: wait until one peer has shown what this node wrote before (R46)."""
        with self._first:
            if self._waited:
                return
            self._waited = True
            left = {self._exchanges.begin(name) for name in self._active()}
            until = time.monotonic() + FIRST_TIMEOUT
            while left and not self._confirmed and not self._stopping.is_set() and time.monotonic() < until:
                _done, left = wait(left, LOOK, FIRST_COMPLETED)

    def _threshold_reached(self) -> bool:
        snapshot = self._config.protocol is SyncProtocol.SNAPSHOT
        return snapshot and self._state.writes - self._given >= self._config.snapshot_threshold

    def _active(self) -> list[str]:
        return list(self._peers.active()) if self._peers else []

    def _run(self) -> None:
        """The background: a round every interval and whenever something calls for one."""
        expire_at = time.monotonic() + EXPIRY_INTERVAL
        while not self._stopping.is_set():
            if time.monotonic() >= expire_at:
                expire_at = time.monotonic() + EXPIRY_INTERVAL
                with self._lock:
                    self._state.expire()
            try:
                self._find_own_past()
                self._tell_owed()
                self._begin_round()
            except StateSyncError as error:
                logger.warning("state synchronisation: %s", error)
            except Exception:  # a program's own `owing` or `peers`: the next round may work
                logger.exception("state synchronisation: a round failed")
            self._wake.wait(self._config.sync_interval)
            self._wake.clear()

    def _begin_round(self) -> None:
        """A round of the background, of which only *snapshot* waits for the end."""
        if self._config.protocol is SyncProtocol.SNAPSHOT:
            if self._threshold_reached():
                self._round(self._active())
            return
        names = self._active()
        if self._config.protocol is SyncProtocol.GOSSIP:
            names = self._chance.sample(names, min(self._config.gossip_fanout, len(names)))
        for name in names:
            self._exchanges.begin(name)

    def _tell_owed(self) -> None:
        if self.owing is None:
            return
        waiting = list(self.owing())
        try:
            with self._lock:
                self._state.tell_owed(waiting)
        except ItemError as error:  # this node holds as many items as it may
            logger.warning("state synchronisation: %s", error)

    def _round(self, names: Iterable[str]) -> None:
        """One exchange with each of these peers; raises StateSyncError as `sync_state` does."""
        writes = self._state.writes
        half_done([self._exchanges.begin(name) for name in names], self._stopping.is_set)
        self._given = max(self._given, writes)

    def _exchange(self, name: str) -> None:
        """One exchange with one peer."""
        with self._lock:
            session = self._sessions.open(now_us())
        try:
            self._drive(name, session)
        except (StateSyncError, SyncError) as error:
            self._count(name, session.outcome, str(error))
            raise StateSyncError(f"{name}: {error}") from error
        self._count(name, session.outcome, "")

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

    def _count(self, name: str, outcome: Outcome, error: str) -> None:
        with self._lock:
            self._counts.bytes_sent += outcome.bytes_sent
            self._counts.bytes_received += outcome.bytes_received
            if error and name not in self._failing:
                logger.warning("state synchronisation with %s fails: %s", name, error)
            if error:
                self._failed += 1
                self._failing.add(name)
            else:
                self._synced += 1
                self._failing.discard(name)
                self._confirmed |= outcome.compared
                self._last_sync = now_us()
