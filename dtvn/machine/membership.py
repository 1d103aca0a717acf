"""The membership as a part of the replicated state: all epochs so far, and the operation that begins one.

Old epochs are kept: their keys are needed to check old statements and certificates. Genesis is epoch 0 and
has its own leaves under the root, so only later epochs have a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from dtvn.machine import reasons
from dtvn.machine.principals import Principals
from dtvn.protocol import canonical
from dtvn.protocol.consensus import membership as m
from dtvn.protocol.consensus.membership import Membership, Verify
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.signatures import is_public_key


class Memberships:
    """All epochs; `touch` is called with the epoch whose row was added."""

    def __init__(
        self, genesis: Genesis, cluster_id: bytes, verify: Verify, touch: Callable[[int], None]
    ) -> None:
        self.cluster_id = cluster_id
        self.verify = verify
        self._touch = touch
        self._epochs = [m.founding(genesis)]
        self.names = [member.id for member in genesis.members]
        """Ids of all present and former members in the order of joining: the positions of the vector
        clock."""
        self._places = {name: place for place, name in enumerate(self.names)}
        self._known = [(0, len(self.names))]
        """(sequence, number of present and former members after it), ascending."""
        self._waiting: dict[int, Membership] = {}
        """Loaded epochs whose predecessor is not loaded yet."""

    @property
    def now(self) -> Membership:
        """The newest epoch."""
        return self._epochs[-1]

    def epoch(self, number: int) -> Membership | None:
        """The epoch with this number, or None if it does not exist (yet)."""
        return self._epochs[number] if 0 <= number < len(self._epochs) else None

    def row(self, number: int) -> Membership | None:
        """The stored row of an epoch; None for genesis, which has no row."""
        return self.epoch(number) if number else None

    def knows(self, public_key: bytes) -> bool:
        """Whether a present or former member has this key."""
        return any(member.public_key == public_key for epoch in self._epochs for member in epoch.members)

    def reconfigure(
        self, change: m.Change, principals: Principals, *, sequence: int, timestamp: int
    ) -> tuple[str, bytes]:
        """Begin the next epoch; returns (code, state), where the state names the epoch and its members
        (R35)."""
        for newcomer in change.joins:
            if refusal := self._refuse_key(newcomer.public_key, newcomer.id, principals):
                return refusal, b""
        found = m.succeed(
            self.now,
            change,
            sequence=sequence,
            timestamp=timestamp,
            cluster=self.cluster_id,
            verify=self.verify,
        )
        if isinstance(found, str):
            return found, b""
        self._append(found)
        self._touch(found.epoch)
        return reasons.OK, canonical.encode((found.epoch, found.members))

    def recover(self, keys: tuple[bytes, ...], principals: Principals, *, sequence: int) -> tuple[str, bytes]:
        """Begin the next epoch with the same members under these keys (R11); returns (code, state) like
        `reconfigure`."""
        now = self.now
        if len(keys) != len(now.members) or len(set(keys)) != len(keys):
            return reasons.MALFORMED, b""
        if not all(is_public_key(key) for key in keys):
            return reasons.MALFORMED, b""
        if any(self.knows(key) or principals.holder(key) for key in keys):
            return reasons.KEY_IN_USE, b""
        members = tuple(
            msgspec.structs.replace(member, public_key=key)
            for member, key in zip(now.members, keys, strict=True)
        )
        self._append(now.followed_by(sequence, members, now.parameters))
        self._touch(now.epoch + 1)
        return reasons.OK, canonical.encode((now.epoch + 1, members))

    def names_at(self, sequence: int) -> Sequence[str]:
        """Ids of all members present or former when `sequence` was executed."""
        if sequence > self._known[-1][0]:  # nearly always: rows are made soon after execution
            return self.names
        count = next((known for after, known in reversed(self._known) if after < sequence), self._known[0][1])
        return self.names if count == len(self.names) else self.names[:count]

    def load(self, row: Membership) -> None:
        """Add a stored epoch. Epochs come in any order; each takes effect when all before it are loaded."""
        self._waiting[row.epoch] = row
        while (following := self._waiting.pop(len(self._epochs), None)) is not None:
            self._append(following)

    def _append(self, following: Membership) -> None:
        self._epochs.append(following)
        for member in following.members:
            if member.id not in self._places:
                self._places[member.id] = len(self.names)
                self.names.append(member.id)
        self._known.append((following.after, len(self.names)))

    def _refuse_key(self, public_key: bytes, name: str, principals: Principals) -> str:
        """KEY_IN_USE if another member of any epoch or another principal has or had this key, else "". The
        newcomer may use the key of its own principal, with which it followed as a learner."""
        for epoch in self._epochs:
            for member in epoch.members:
                if member.public_key == public_key and (member.id != name or member not in self.now.members):
                    return reasons.KEY_IN_USE
        holder = principals.holder(public_key)
        if holder not in ("", name):
            return reasons.KEY_IN_USE
        return ""
