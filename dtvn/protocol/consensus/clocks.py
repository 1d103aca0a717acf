"""What the members show of their clocks, and whether the primary holds time back (R3).

A primary proposes the smaller of its clock and the q-th highest that members showed lately: q members can
accept that, whatever the other clocks say. A clock reaches a member later than it was read, so what is known
of it is a little behind, which no member refuses.

A primary that dates its proposals far behind is a cause to leave its view only while q members say so: f + 1
wrong clocks never move a view. Log time as such is no ground, for an idle log is behind every clock.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dtvn.protocol.consensus.config import SECOND, Config
from dtvn.protocol.consensus.context import Context
from dtvn.protocol.consensus.effects import Now

SHOWN_FOR = 5 * SECOND
"""Nanoseconds for which a proposer goes by a clock that a member showed, and for which a statement that the
primary holds time back counts."""
MEASURED_FOR = 60 * SECOND
"""Nanoseconds for which people, and a clock that was stepped, are told of a clock that a member showed."""


class ShownClock(msgspec.Struct, frozen=True, gc=False):
    """A member's clock as its message arrived."""

    at: int
    """Monotonic nanoseconds."""
    ahead: int
    """Nanoseconds by which the time that the member goes by is ahead of the monotonic clock here."""
    own: int
    """The same of its machine's clock."""


class HeldTime(msgspec.Struct, frozen=True, gc=False):
    """The newest fresh proposal of a view, as this replica's clock sees it."""

    at: int
    """Monotonic nanoseconds when it was judged."""
    view: int
    sequence: int
    behind: int
    """Microseconds by which it is behind the clock; 0 within what is allowed."""


class Clocks:
    """Owns what members showed and said of time."""

    def __init__(self, context: Context, config: Config) -> None:
        self._context = context
        self._config = config
        self._shown: dict[int, ShownClock] = {}
        self._held_by: dict[int, tuple[int, int]] = {}
        """Member -> the view whose primary it last said to hold time back, and when (monotonic)."""
        self._held = HeldTime(0, -1, 0, 0)
        self._found: tuple[Now | None, int | None] = None, None
        """The present step, and its `time`."""
        self._wanted_since: int | None = None
        """Monotonic time since when a proposal waits for clocks; None: none does."""

    # --- clocks ---------------------------------------------------------------------------------------

    def show(self, member: int, clock: int, own: int | None = None) -> None:
        """A member showed the time that it goes by, and its machine's clock (0: it is the same), both in Unix
        microseconds. None: only its Statuses show that. A time of 0 shows nothing: it is of a form without
        clocks."""
        if not clock:
            return
        now = self._context.now
        arrived = now.taken or now.monotonic
        ahead, before = 1_000 * clock - arrived, self._shown.get(member)
        if own is None:
            apart = 0 if before is None else before.own - before.ahead
        else:
            apart = 1_000 * (own - clock) if own else 0
        self._shown[member] = ShownClock(now.monotonic, ahead, ahead + apart)
        self._found = None, None

    def time(self) -> int | None:
        """What a primary proposes now, Unix microseconds: the smaller of its clock and the q-th highest; None
        if it knows of too few clocks. Members of a version without clocks show none, so that it goes by its
        own."""
        now = self._context.now
        if self._found[0] is not now:  # asked several times in a step
            self._found = now, self._time(now)
        return self._found[1]

    def _time(self, now: Now) -> int | None:
        needed = self._config.q
        if not self._config.shows_clocks:
            return now.wall // 1_000
        own = now.wall - now.monotonic
        known = sorted((own, *(each.ahead for each in self._lately(SHOWN_FOR).values())), reverse=True)
        if len(known) < needed:
            return None
        return (min(own, known[needed - 1]) + now.monotonic) // 1_000

    def awaited_until(self, timeout: int) -> int:
        """Monotonic time until which a proposal waits for clocks of q members, which are asked for: when
        links come back, they arrive at once. Without them it would be dated as the entry before it, perhaps
        of yesterday; but time alone stops no proposer. `timeout`: T."""
        if self.time() is not None:
            self._wanted_since = None
            return 0
        if self._wanted_since is None:
            self._wanted_since = self._context.now.monotonic
        return self._wanted_since + timeout // 2

    @property
    def are_wanted(self) -> bool:
        """Whether a proposal waits for them."""
        return self._wanted_since is not None

    def differences(self) -> dict[int, int]:
        """Member -> nanoseconds by which this machine's clock is ahead of that of the member's machine, as it
        was within the last minute."""
        now = self._context.now
        own = now.wall - now.held - now.monotonic
        return {member: own - each.own for member, each in self._lately(MEASURED_FOR).items()}

    def machines(self, now: Now) -> list[int]:
        """What the clocks of other members' machines show now, Unix nanoseconds, as far as they showed them
        within the last minute."""
        return [each.own + now.monotonic for each in self._lately(MEASURED_FOR).values()]

    def _lately(self, span: int) -> Mapping[int, ShownClock]:
        since = self._context.now.monotonic - span
        return {member: each for member, each in self._shown.items() if each.at >= since}

    # --- a primary that holds time back ------------------------------------------------------------------

    def judge(self, view: int, sequence: int, ahead: int, timeout: int) -> None:
        """A fresh proposal of this view is `ahead` of the own clock at its arrival, microseconds. `timeout`:
        T, for a slow cluster reads its frames late (decision 0310)."""
        held = self._held
        if held.view == view and held.sequence >= sequence:
            return
        behind = -ahead if -ahead > self._config.drift_bound + 2 * timeout // 1_000 else 0
        self._held = HeldTime(self._context.now.monotonic, view, sequence, behind)

    def note(self, member: int, view: int, *, behind: bool) -> None:
        """A member said whether the primary of its view holds time back."""
        if behind:
            self._held_by[member] = view, self._context.now.monotonic
        else:
            self._held_by.pop(member, None)

    def holds_back(self, view: int) -> bool:
        """Whether q members, this one included, say that the primary of this view holds time back."""
        if not self._says_behind(view):
            return False
        since = self._context.now.monotonic - SHOWN_FOR
        others = sum(said == view and at >= since for said, at in self._held_by.values())
        return others + 1 >= self._config.q

    @property
    def behind(self) -> int:
        """Microseconds by which the newest fresh proposal was behind the own clock, if it was by more than is
        allowed and within the last minute; else 0."""
        lately = self._held.at >= self._context.now.monotonic - MEASURED_FOR
        return self._held.behind if lately else 0

    def _says_behind(self, view: int) -> bool:
        return self._held.view == view and self._held.behind > 0

    # --- the own statement -------------------------------------------------------------------------------

    @property
    def shown(self) -> int:
        """The time that this replica goes by, for its statements; 0 in a version without clocks."""
        return max(0, self._context.now.wall // 1_000) if self._config.shows_clocks else 0

    def said(self, view: int) -> tuple[int, bool, int]:
        """The last fields of a Status: the time that this replica goes by, whether the primary of its view
        holds time back, and its machine's clock if that is another time."""
        if not self._config.shows_clocks:
            return 0, False, 0
        now = self._context.now
        own = max(0, (now.wall - now.held) // 1_000) if now.held else 0
        return self.shown, self._says_behind(view), own
