"""Does any client believe that it holds a lock while another one does? (P9)

Judged by what clients are told alone: tokens, and the time of the log from an answer to the end of its lease.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine.commands import check
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request

Key = tuple[str, str]


class Claim(msgspec.Struct):
    """What a client was told about one lease."""

    owner: tuple[str, bytes]
    since: int
    """Earliest log time of an answer."""
    told: dict[int, int]
    """Log time of an answer -> end of the lease in it."""
    given_back: bool = False
    """The client gave it back, or tried to: it claims nothing any more."""

    def until(self, moment: int) -> int:
        """End of the lease as the answers before this log time have it."""
        return self.told[max((at for at in self.told if at < moment), default=self.since)]


class NeverTwoHolders(Checker):
    """Keeps the claims of all clients by lock and token."""

    name = "never-two-holders"
    claims = 0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._claims: dict[Key, dict[int, Claim]] = {}
        self._gateways: dict[str, Gateway] = {}
        """By principal: those that were answered."""

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        self._gateways[gateway.principal] = gateway
        for operation, result in zip(request.operations, request.results or (), strict=False):
            if operation.kind not in ("lock", "renew", "unlock", "cancel_lock"):
                continue
            command = check(operation)
            key = operation.event, str(getattr(command, "name", ""))
            owner = gateway.principal, getattr(command, "holder", b"")
            if operation.kind in ("unlock", "cancel_lock"):
                self._give_back(key, owner)
            elif result.code == "ok" and result.state:
                row = canonical.decode(LockRow, result.state)
                if (row.principal, row.holder) != owner:
                    self.fail(f"{key[1]}: {owner} was told that it holds the lease of {row}")
                self._claim(key, owner, row, result.timestamp)

    def _claim(self, key: Key, owner: tuple[str, bytes], row: LockRow, at: int) -> None:
        self.claims += 1
        claims = self._claims.setdefault(key, {})
        claim = claims.setdefault(row.token, Claim(owner, at, {}))
        if claim.owner != owner:
            self.fail(f"{key[1]}: {owner} and {claim.owner} have the token {row.token}")
        claim.since = min(claim.since, at)
        claim.told[at] = row.ends
        for token, other in claims.items():
            if token != row.token:
                earlier, later = (claim, other) if row.token < token else (other, claim)
                self._compare(key, earlier, later)

    def _compare(self, key: Key, earlier: Claim, later: Claim) -> None:
        """`earlier`: the one with the lower token."""
        if earlier.given_back or later.given_back or self._gives_back(key, earlier.owner):
            return
        if later.since <= earlier.since or earlier.until(later.since) >= later.since:
            self.fail(f"{key[1]}: {later} begins before the end of {earlier}")
        if max(earlier.told) > later.since:
            self.fail(f"{key[1]}: {earlier} is extended after {later} began")

    def _give_back(self, key: Key, owner: tuple[str, bytes]) -> None:
        for claim in self._claims.get(key, {}).values():
            claim.given_back |= claim.owner == owner

    def _gives_back(self, key: Key, owner: tuple[str, bytes]) -> bool:
        """Whether the client tried to give the lock back and got no answer: the log may have it."""
        principal, holder = owner
        unanswered = [each for each in self._gateways[principal].requests if each.results is None]
        for operation in (each for request in unanswered for each in request.operations):
            if operation.kind in ("unlock", "cancel_lock"):
                command: Any = check(operation)
                if (operation.event, command.name, command.holder) == (*key, holder):
                    return True
        return False
