"""The ledger port of a node: what it needs beyond `Journal`, and the function that opens a ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from dtvn.ledger.location import Location
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.host.ports import Journal, LedgerTail

SNAPSHOT_BASE = "snapshot_base"
"""Name of the state value that says where a log begins whose lower part was replaced by a snapshot."""


class StoredEvidence(msgspec.Struct, frozen=True):
    """One piece of evidence, a row of a ledger."""

    id: int
    code: str
    epoch: int
    member: int
    view: int
    sequence: int
    timestamp: int
    """Unix microseconds."""
    frames: bytes
    """Canonical bytes of the tuple of signed frames."""


class NodeLedger(Journal, Protocol):
    """One open ledger. Used from one thread."""

    location: Location
    alias: str
    """Django database alias under which its rows are read in this process."""
    created: bool
    """True if opening it created the ledger."""

    @property
    def incarnation(self) -> int:
        """Number of times the ledger was opened."""

    @property
    def schema(self) -> int:
        """Number of its form, which earlier programs compare with the newest that they know."""

    def adopt_version(self, version: int) -> None:
        """Let the ledger hold what this version of the cluster needs: earlier programs open it no more
        (R47)."""

    @property
    def voting(self) -> bool:
        """False if the replica must follow without voting, since its earlier votes may be lost (R11)."""

    @property
    def voting_reason(self) -> str:
        """Why the replica does not vote, for the operator; "" while it votes."""

    def load(self, *, whole: bool = False) -> LedgerTail:
        """See ports.Journal. A start leaves older entries to `check_older`; `whole` checks
        everything at once."""

    def check_older(self) -> bool:
        """Check a few of the older entries that `load` did not read, in a few milliseconds; to be called
        between turns. True when all are checked. Raises JournalError: the process must end."""

    def state_value(self, name: str) -> bytes | None:
        """The value of a named state (effects.StateRecord), None if it was never written."""

    def evidence(self, after: int, limit: int) -> Sequence[StoredEvidence]:
        """At most `limit` pieces with ids above `after`, ascending. Raises LedgerUnreachable."""

    def storage_stats(self) -> dict[str, int]:
        """Figures under the contract's keys. Raises LedgerUnreachable."""

    def vote_again(self) -> None:
        """Let the replica vote again (R11), durably: it has a new key that has never voted."""

    def say_others_are_gone(self) -> None:
        """Record, durably, the operator's statement that the missing members are gone (R11)."""

    def on_same_server(self, schemas: Collection[str]) -> set[str]:
        """Those of `schemas` whose ledgers lie on this ledger's server: in its database, or open in another.
        Empty for a ledger in a file. Raises JournalError."""

    def notice(self, note: Executed | Note) -> None:
        """See ports.Watcher."""

    def takes_writes(self) -> bool:
        """Whether a full disk has room again."""

    def maintain(self) -> None:
        """Run the database's own housekeeping; to be called when idle (R25)."""

    def close(self) -> None:
        """Release the lock and the alias; may be called twice."""


class FoundLedger(msgspec.Struct, frozen=True):
    """Where a node's ledger is, or begins."""

    location: Location
    warning: str = ""
    """A sentence for the operator about this place; "" if there is nothing to say."""


class FindLedger(Protocol):
    """Finds the ledger of a node (`validators.ledger.find_ledger`)."""

    def __call__(
        self, folder: Path, *, node: str, schema: str, own_url: str = "", platform_url: str = ""
    ) -> FoundLedger:
        """`folder`: the ledger's own. `schema`: its name on a server. `own_url`: the server that the node's
        own setting names; "": none. `platform_url`: the platform's server, which held the ledgers of all
        nodes in an earlier form. Raises LedgerElsewhere, LedgerUnreachable."""


class OpenLedger(Protocol):
    """Opens, or creates, a ledger for this process alone (`validators.ledger.open_ledger`)."""

    def __call__(
        self,
        location: Location | Path | str,
        *,
        cluster_id: bytes,
        alias: str = "ledger",
        expect_existing: bool = False,
        indexed: bool = False,
        witnessed: bool = False,
    ) -> NodeLedger:
        """`cluster_id`: 32 bytes. `alias`: Django database alias under which its rows are read in this
        process. `expect_existing`: this replica had a ledger before, so with an empty one it follows without
        voting (R11). `indexed`: every operation gets a searchable row (the learner). `witnessed`: the replica
        votes at once if its witness vouches for the ledger, and not without it (R44). Raises LedgerError or
        JournalError."""
