"""The whole replicated state of one cluster: its tables, the tree over them, and their rows.

Everything that execution reads is here and under the root: tickets, sessions, nonces, runs, locks, the
vector clock, and what genesis fixes (parameters, members, demo, principals).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from dtvn.machine.blobs import BlobTable
from dtvn.machine.context import Context
from dtvn.machine.events import Events
from dtvn.machine.locks import Locks
from dtvn.machine.membership import Memberships
from dtvn.machine.nonces import NonceTable
from dtvn.machine.operations import Operations
from dtvn.machine.principals import Principals
from dtvn.machine.registry import TicketRegistry
from dtvn.machine.rows import ClockRow
from dtvn.machine.runs import Runs
from dtvn.machine.snapshot import Freezer
from dtvn.machine.tree import GROUP_BUCKETS, StateTree
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import Membership, Verify
from dtvn.protocol.consensus.sessions import SessionTable
from dtvn.protocol.genesis import Genesis

Key = tuple[Any, ...]


class MachineState:
    """The replicated state. It starts as genesis defines it; `load` may add stored rows once, before any
    other call."""

    def __init__(self, genesis: Genesis, cluster_id: bytes, verify: Verify, *, searched: bool) -> None:
        parameters = genesis.parameters
        self._tree = StateTree(cluster_id)
        self._tables = {
            "session": BlobTable("session", self._tree, lambda key: self.sessions.row(key)),
            "bundle": BlobTable("bundle", self._tree, lambda key: self.sessions.row(key)),
            "nonce": BlobTable("nonce", self._tree, lambda key: self.nonces.row(key)),
            "clock": BlobTable("clock", self._tree, lambda _key: ClockRow(self._counts)),
            "principal": BlobTable("principal", self._tree, lambda key: self.principals.get(key[0])),
            "retired": BlobTable("retired", self._tree, lambda key: self.principals.retired(key[0])),
            "membership": BlobTable("membership", self._tree, lambda key: self.memberships.row(key[0])),
            "lock": BlobTable("lock", self._tree, lambda key: self.locks.row((key[0], key[1]))),
            "waiter": BlobTable(
                "waiter", self._tree, lambda key: self.locks.waiters.row((key[0], key[1], key[2], key[3]))
            ),
            "event": BlobTable("event", self._tree, lambda key: self.events.row(key[0])),
            "run": BlobTable("run", self._tree, lambda key: self.runs.row((key[0], key[1]))),
        }
        self.memberships = Memberships(
            genesis, cluster_id, verify, lambda epoch: self._tables["membership"].touch((epoch,))
        )
        self.principals = Principals(
            genesis.principals, lambda table, name: self._tables[table].touch((name,))
        )
        self._touch_row, self._touch_page = self._tables["session"].touch, self._tables["bundle"].touch
        self.sessions = SessionTable(parameters.sessions_max, self._touch_session, self.principals.count)
        self.nonces = NonceTable(parameters.nonces_max, self._tables["nonce"].touch)
        self.registry = TicketRegistry(self.memberships.names_at, self._tree, searched=searched)
        self.events = Events(cluster_id, self._tables["event"].touch)
        self.runs = Runs(self.memberships, self._tables["run"].touch)
        self.locks = Locks(self._tables["lock"].touch, self._tables["waiter"].touch)
        self.context = Context(
            memberships=self.memberships,
            demo=genesis.demo,
            principals=self.principals,
            nonces=self.nonces,
            registry=self.registry,
            events=self.events,
            runs=self.runs,
            locks=self.locks,
            open_session=self.sessions.open,
        )
        self.operations = Operations(self.context)
        self._counts = tuple(self.context.counts)
        self._tables["clock"].adopt(())
        self._planted: dict[int, list[bytes]] = {}
        """Group of the tree -> bodies of its leaves that never change."""
        self.freezer = Freezer(self._tree, self.registry, self._tables, self._planted)
        self._plant("parameters", (), parameters)
        self._plant("members", (), (genesis.members, genesis.demo))
        for principal in genesis.principals:
            self._tables["principal"].adopt((principal.name,))

    def begin(self, sequence: int, timestamp: int) -> None:
        """Begin a batch at this sequence and effective timestamp."""
        self.nonces.forget(timestamp)
        self.principals.begin(timestamp)
        self.context.begin(sequence, timestamp)

    def end(self) -> None:
        """End the batch."""
        counts = tuple(self.context.counts)
        if counts != self._counts:
            self._counts = counts
            self._tables["clock"].touch(())

    def due(self) -> int | None:
        """Batch time from which a part of the state changes by itself, microseconds; None if none does."""
        return self.locks.due()

    def root(self) -> bytes:
        """The root over the whole state."""
        for table in self._tables.values():
            table.settle()
        return self._tree.root()

    def freeze(self, sequence: int) -> bytes:
        """Freeze the present state, so that it can be read while later batches are executed (R25). Returns
        the root."""
        root = self.root()
        self.freezer.freeze(sequence)
        return root

    def drain(self) -> list[ApplicationChange]:
        """Rows changed since the last call, the last value per key."""
        changes = self.registry.drain()
        for table in self._tables.values():
            changes += table.drain()
        return changes

    def load(self, rows: Iterable[ApplicationChange]) -> None:
        """Add stored rows to a state without any. They may come in any order, except that epochs come before
        TicketRows: the epochs determine the length of the vector clock."""
        stored: dict[str, dict[Key, Any]] = {name: {} for name in self._tables}
        memberships: list[Membership] = []
        for change in rows:
            if change.table == "ticket":
                self.registry.load(change.row)
            elif change.table == "membership":
                memberships.append(change.row)
                self.memberships.load(change.row)
            else:
                stored[change.table][tuple(change.key)] = change.row
        self.sessions.load(
            (((key[0], key[1]), row) for key, row in stored["session"].items()),
            (((key[0], key[1]), row) for key, row in stored["bundle"].items()),
        )
        self.nonces.load((key[0], row) for key, row in stored["nonce"].items())
        self.principals.load(
            stored["principal"].values(), ((key[0], row) for key, row in stored["retired"].items())
        )
        self.events.load((key[0], row) for key, row in stored["event"].items())
        self.runs.load(((key[0], key[1]), row) for key, row in stored["run"].items())
        self.locks.load(
            (((key[0], key[1]), row) for key, row in stored["lock"].items()),
            (((key[0], key[1], key[2], key[3]), row) for key, row in stored["waiter"].items()),
        )
        for row in stored["clock"].values():
            self.context.counts[:] = row.counts
        self.context.follow_members()
        self._counts = tuple(self.context.counts)
        for membership in memberships:
            self._tables["membership"].adopt((membership.epoch,))
        for name, items in stored.items():
            for key in items:
                self._tables[name].adopt(key)

    def _touch_session(self, key: tuple[int, ...]) -> None:
        (self._touch_row if len(key) == 2 else self._touch_page)(key)

    def _plant(self, table: str, key: Key, row: Any) -> None:
        """Add a leaf that never changes."""
        body = canonical.encode((table, key, canonical.trimmed(row)))
        place = self._tree.insert(canonical.encode((table, key)), sha256(b"\x00" + body).digest())
        self._planted.setdefault(place // GROUP_BUCKETS, []).append(body)
