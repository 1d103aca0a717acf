"""One caller's dear reads take a share of the processor, and those of all callers another one.

Gates compute in the same process: twelve connections that list 10,000 tickets without a pause would make them
wait fifteen times as long. What an answer cost is only known afterwards, so a caller pays for it later: its
next reads wait, and are refused if they would wait long. Answers below CHEAP cost nothing. Exports, which are
computed part by part, pause between their parts instead.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec

EACH, ALL = 0.15, 0.3
"""Shares of a core."""
CHEAP = 0.005
"""Seconds of processor time of an answer that is not counted."""
SLACK = 2.0
"""Seconds of processor time that are free after a pause, so that a person's pages never wait."""
WAIT_MAX = 2.0
"""Seconds that a read waits; one that would wait longer is refused."""
OTHERS_MAX = 10.0
"""Seconds that all callers together may be ahead of their share, from which on all are refused."""
CALLERS_MAX = 4_096
"""Callers of dear reads that are kept; the earliest are dropped."""


class Account:
    """The dear reads of one caller, or of all."""

    def __init__(self, share: float, now: float) -> None:
        self.share = share
        self.typical = 0.0
        """Processor time of its reads of late, which is taken in advance."""
        self._even = now - SLACK / share
        """When all that it used will be `share` of the elapsed time."""

    def wait(self, now: float) -> float:
        """Seconds until its next read."""
        return max(0.0, self._even - now)

    def used_little(self, now: float) -> bool:
        """Whether half of what is free after a pause is left."""
        return self._even <= now - SLACK / self.share / 2

    def use(self, seconds: float, now: float) -> None:
        """Count processor time; negative: that taken in advance is given back."""
        self._even = max(self._even, now - SLACK / self.share) + seconds / self.share


class Claim(msgspec.Struct, frozen=True):
    """A read that may begin in `wait` seconds; `refused`: it may not, and its caller should wait so long."""

    caller: str
    wait: float
    refused: bool
    advance: float = 0.0


class ReadShares:
    """The accounts of a process. Called in its event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._all = Account(ALL, clock())

    def __len__(self) -> int:
        """Number of accounts."""
        return len(self._accounts)

    def claim(self, caller: str) -> Claim:
        """Ask for a read. What it costs typically is taken at once, so that reads of one moment queue."""
        account, now = self._accounts.get(caller), self._clock()
        if account is None or not account.typical:
            return Claim(caller, 0.0, refused=False)
        wait = self._all.wait(now)
        if wait <= OTHERS_MAX and account.used_little(now):
            wait = min(wait, WAIT_MAX)  # not refused for what others used
        else:
            wait = max(wait, account.wait(now))
        if wait > WAIT_MAX:
            return Claim(caller, wait, refused=True)
        self._use(account, account.typical)
        return Claim(caller, wait, refused=False, advance=account.typical)

    def settle(self, claim: Claim, spent: float) -> None:
        """Count what a claimed read cost, in seconds of processor time."""
        now, dear = self._clock(), spent if spent > CHEAP else 0.0
        account = self._accounts.get(claim.caller)
        if account is None:
            if not dear:
                return
            account = self._keep(claim.caller, Account(EACH, now))
        self._use(account, dear - claim.advance)
        account.typical += (dear - account.typical) / 2 if account.typical else dear
        if account.typical < CHEAP:
            account.typical = 0.0

    def pause(self, caller: str, spent: float) -> float:
        """Count what a part of a long answer cost; returns seconds until the next part."""
        now = self._clock()
        account = self._accounts.get(caller) or self._keep(caller, Account(EACH, now))
        self._use(account, spent)
        return max(account.wait(now), self._all.wait(now))

    def _use(self, account: Account, seconds: float) -> None:
        now = self._clock()
        account.use(seconds, now)
        self._all.use(seconds, now)

    def _keep(self, name: str, account: Account) -> Account:
        while len(self._accounts) >= CALLERS_MAX:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[name] = account
        return account


def seconds_to_wait(claim: Claim) -> int:
    """For `Retry-After`."""
    return max(1, math.ceil(claim.wait))


shares = ReadShares()
"""Of this process."""
