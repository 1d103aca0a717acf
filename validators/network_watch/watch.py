"""Watches who hears whom: of this web process, from the statuses that its gateway asks for anyway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec
from django.db import close_old_connections

from dtvn.api.errors import Unavailable
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.protocol.quorum import Mode
from dtvn.watch import Lines, MemberReport
from validators.feed.outage import Outage
from validators.network_watch.cuts import Cut, cut_of
from validators.network_watch.hearing import Hearing, Pair, State, hearing_of
from validators.network_watch.history import History
from validators.network_watch.own_processes import OwnProcesses
from validators.network_watch.silence import Silence, severity
from validators.network_watch.spans import Hour
from validators.services import network

INTERVAL = 1.0
"""Seconds between two looks: a gateway asks each member once a second."""


ARRIVING_FOR = 10 * SECOND
"""Nanoseconds after the last bytes from a member for which it is known to run."""


def system_time() -> Now:
    """The time of this machine."""
    return Now(monotonic=time.monotonic_ns(), wall=time.time_ns())


class NetworkWatch:
    """The last hour and the cut of now."""

    def __init__(self, clock: Callable[[], Now] = system_time) -> None:
        self.hour = Hour()
        self.hearing = Hearing(at=0.0, members=())
        """The newest look."""
        self.cut: Cut | None = None
        """What is cut now."""
        self.lines = Lines()
        """Lines between members that are slow, or delay or lose messages."""
        self.cuts = 0
        """Times that something was cut between members that run."""
        self.version = 0
        """Incremented when a pair or the cut changes."""
        self.keeps_history = False
        """Whether this process writes the rows."""
        self._silence = Silence()
        self._own = OwnProcesses()
        self._history = History()
        self._clock = clock
        self._cut_pairs: Mapping[Pair, float] = {}
        """Pairs that were silent at the newest look with a report, and since when, Unix seconds."""
        self._received: dict[str, tuple[int, int]] = {}
        """Bytes that have come from each member, and when that was seen to grow, monotonic nanoseconds."""
        self._states: Mapping[Pair, State] = {}
        self._looked = -(1 << 62)
        """Monotonic nanoseconds of the newest look."""
        self._looking = threading.Lock()

    def refresh(self, interval: float = INTERVAL) -> None:
        """Take a look if the newest is `interval` seconds old, and none is being taken; raise
        DatabaseError."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            now = self._clock()
            if now.monotonic - self._looked >= interval * 0.9 * SECOND:
                self._looked = now.monotonic
                self._look(now)
        finally:
            self._looking.release()

    def run_forever(self) -> None:
        """The main function of a thread: a look every INTERVAL."""
        outage = Outage("who hears whom")
        while True:
            begun = time.monotonic()
            close_old_connections()  # a lost connection stays lost
            with outage:
                self.refresh()
            time.sleep(max(0.0, begun + INTERVAL - time.monotonic()))

    def take(
        self,
        reports: tuple[MemberReport, ...],
        own: Mapping[str, bool | None],
        now: Now,
        mode: Mode = Mode.PBFT,
        received: Mapping[str, int] | None = None,
    ) -> None:
        """Take a look at these members. `own`: as of `hearing_of`; `received`: bytes that have come over the
        link to each."""
        self.lines.add(reports, now.monotonic / SECOND)
        for name, count in (received or {}).items():
            if count != self._received.get(name, (count, 0))[0]:
                self._received[name] = count, now.monotonic
            self._received.setdefault(name, (count, now.monotonic - ARRIVING_FOR))
        late = now.monotonic - ARRIVING_FOR
        arriving = [name for name, (_count, at) in self._received.items() if at > late]
        seen = hearing_of(reports, now.wall / SECOND, mode=mode, own=own, arriving=arriving)
        hearing = self._silence.add(seen, now.monotonic / SECOND, self.lines.bad())
        self.hour.add(hearing)
        states = {pair: hearing.state(pair) for pair in hearing.pairs()}
        self.version += states != self._states
        self.hearing, self._states = hearing, states
        if hearing.ages:
            self._cut_pairs = {pair: self.hour.since(pair) or hearing.at for pair in hearing.silent}
        # without any report, what was cut counts as cut, but nobody is known to decide
        cut = cut_of(hearing, self._cut_pairs)
        if cut is not None:
            cut = msgspec.structs.replace(cut, severity=severity(hearing))
        self.version += cut != self.cut
        self.cuts += self.cut is None and cut is not None and cut.certain
        self.cut = cut
        if self.keeps_history and hearing.ages:
            self._history.note(self.cut, hearing.at)

    def _look(self, now: Now) -> None:
        with suppress(Unavailable):  # there is no cluster yet
            gateway = network.gateway()
            received = {name: link.bytes_received for name, link in gateway.links().items()}
            own = self._own.look(now.monotonic)
            self.take(gateway.members(), own, now, gateway.present.mode, received)


watch = NetworkWatch()
"""That of this process."""


def keep_watching(*, keeps_history: bool) -> None:
    """Watch from now on, whether a page is open or not."""
    watch.keeps_history = keeps_history
    threading.Thread(target=watch.run_forever, daemon=True, name="network-watch").start()
