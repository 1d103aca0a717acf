"""The membership as a part of the replicated state: every epoch there was, and the operation that begins one.

Old epochs are kept: whoever checks an old statement or certificate needs their keys. Genesis is epoch 0 and
stands in the root by itself, so a row is kept for each later epoch only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tickets.machine import reasons
from tickets.machine.commands import Reconfigure
from tickets.machine.principals import Principals
from validators import canonical
from validators.consensus import membership as m
from validators.consensus.membership import Membership, Verify
from validators.genesis import Genesis
from validators.signatures import is_public_key

__all__ = ["EPOCHS_MAX", "Memberships"]

EPOCHS_MAX = 10_000
"""Epochs of one cluster; each costs its members' keys in the state, for ever."""


class Memberships:
    """All epochs; `touch` hears which epoch's row appeared."""

    def __init__(
        self, genesis: Genesis, cluster_id: bytes, verify: Verify, touch: Callable[[int], None]
    ) -> None:
        self._cluster_id = cluster_id
        self._verify = verify
        self._touch = touch
        self._epochs = [m.founding(genesis)]
        self.names = [member.id for member in genesis.members]
        """Ids of all members ever, in the order in which they came: the vector clock's places."""
        self._places = {name: place for place, name in enumerate(self.names)}
        self._known = [(0, len(self.names))]
        """(sequence after which, how many members there had been)."""
        self._waiting: dict[int, Membership] = {}
        """Stored epochs that do not follow on those that are here."""

    @property
    def now(self) -> Membership:
        """The newest epoch."""
        return self._epochs[-1]

    def epoch(self, number: int) -> Membership | None:
        """An epoch, or None when there is none such (yet)."""
        return self._epochs[number] if 0 <= number < len(self._epochs) else None

    def row(self, number: int) -> Membership | None:
        """The stored row of an epoch; genesis has none."""
        return self.epoch(number) if number else None

    def knows(self, public_key: bytes) -> bool:
        """Whether this is or was the key of a member."""
        return any(member.public_key == public_key for epoch in self._epochs for member in epoch.members)

    def reconfigure(
        self, command: Reconfigure, principals: Principals, *, sequence: int, timestamp: int
    ) -> tuple[str, bytes]:
        """Begin the next epoch; (code, state), where the state names it and its members (R35)."""
        if len(self._epochs) >= EPOCHS_MAX:
            return reasons.FULL, b""
        change = command.change
        for newcomer in change.joins:
            if refusal := self._refuse_key(newcomer.public_key, newcomer.id, principals):
                return refusal, b""
        found = m.succeed(
            self.now,
            change,
            sequence=sequence,
            timestamp=timestamp,
            cluster=self._cluster_id,
            verify=self._verify,
        )
        if isinstance(found, str):
            return found, b""
        self._append(found)
        self._touch(found.epoch)
        return reasons.OK, canonical.encode((found.epoch, found.members))

    def recover(self, keys: tuple[bytes, ...], principals: Principals, *, sequence: int) -> tuple[str, bytes]:
        """Begin the next epoch with the same members under these keys (R11); (code, state) as above."""
        now = self.now
        if len(self._epochs) >= EPOCHS_MAX:
            return reasons.FULL, b""
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
        self._append(Membership(now.epoch + 1, sequence, members, now.parameters))
        self._touch(now.epoch + 1)
        return reasons.OK, canonical.encode((now.epoch + 1, members))

    def names_at(self, sequence: int) -> Sequence[str]:
        """Ids of all members there had been when `sequence` was executed."""
        count = next((known for after, known in reversed(self._known) if after < sequence), self._known[0][1])
        return self.names if count == len(self.names) else self.names[:count]

    def load(self, row: Membership) -> None:
        """A stored epoch, in whatever order they come; it counts once those before it are here."""
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
        """A key is nobody else's, ever: neither a member's of any epoch, nor a principal's, save the one
        under which the newcomer itself followed as a learner."""
        for epoch in self._epochs:
            for member in epoch.members:
                if member.public_key == public_key and (member.id != name or member not in self.now.members):
                    return reasons.KEY_IN_USE
        holder = principals.holder(public_key)
        if holder not in ("", name):
            return reasons.KEY_IN_USE
        return ""
