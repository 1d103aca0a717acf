"""`Gateway.events` without a network: the real runs, and the real judges of all members in this process.

For tests of the layers above a gateway. What is asked and said has its real form and real signatures; links
are missing, and time is virtual: a call returns with its future done, and one that must wait for a time-out
passes over that time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from dtvn.events.asking import Member, MemberJudge
from dtvn.events.config import ConsensusConfig
from dtvn.events.judging import Electorate
from dtvn.gateway import EventRun, Result, RunEnd, RunIsLive
from dtvn.gateway.events import GatewayEvents, OpenRun
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Judged, Operation
from dtvn.protocol.consensus.verified import Peer
from tests.host.support import key_pair

PEER = Peer("gateway", None, b"route")
Secret = Callable[[str], bytes]
"""Member id -> its secret key."""


class Submit(Protocol):
    """GatewayFace.submit."""

    def __call__(self, operations: Sequence[Operation], *, wait: float) -> Future[tuple[Result, ...]]: ...


class FakeEvents(GatewayEvents):
    """The events of a gateway whose members answer at once, unless `down` or `changed` says otherwise."""

    def __init__(
        self,
        cluster: bytes,
        membership: Membership,
        submit: Submit,
        secret: Secret = lambda name: key_pair(name)[1],
        config: ConsensusConfig | None = None,
    ) -> None:
        self.down: frozenset[int] = frozenset()
        """Members that are not connected."""
        self.changed: Callable[[int, bytes], list[bytes]] = lambda _member, body: [body]
        """(member, body of its answer) -> the bodies that arrive."""
        self.time = 0
        """Monotonic nanoseconds."""
        self.rests = False
        """Whether the gateway's thread takes no turns."""
        self._submit_operations = submit
        self._turns = threading.RLock()
        self.judges = [
            MemberJudge(Member(cluster, membership.epoch, index, secret(member.id)), lambda _principal: True)
            for index, member in enumerate(membership.members)
        ]
        super().__init__(
            Electorate(cluster, membership.epoch, membership.members, membership.mode), self, config
        )

    def now(self) -> int:
        """See events.Owner."""
        return self.time

    def submit(self, operations: Sequence[Operation], *, wait: float = 5.0) -> Future[tuple[Result, ...]]:
        """See events.Owner."""
        return self._submit_operations(operations, wait=wait)

    def attend(self) -> None:
        """See events.Owner: takes turns until every call is answered."""
        with self._turns:
            if self.rests:
                return
            said: list[tuple[int, bytes]] = []
            while True:
                up = frozenset(range(len(self.judges))) - self.down
                sent = self.turn(said, up, Now(monotonic=self.time, wall=time.time_ns()))
                said = [each for member, body in sent if member in up for each in self._said(member, body)]
                due = self.deadline()
                if due is not None and due <= self.time:
                    continue
                if not said and not self._awaited():
                    return
                if not said and due is not None:
                    self.time = due

    def ending(self, run: EventRun) -> Future[RunEnd]:
        """The end of a run that has been asked for, and comes once somebody wants to begin the same run."""
        self.rests = True
        ending = run.end()

        def begin(*names: str, **more: Any) -> OpenRun:
            try:
                return super(FakeEvents, self).begin(*names, **more)
            except RunIsLive:
                self.rests = False
                threading.Thread(target=self.attend).start()
                raise

        self.begin = begin  # type: ignore[method-assign]
        return ending

    def _awaited(self) -> bool:
        return bool(self._calls) or any(run.ended is not None for run in self._open.values())

    def _said(self, member: int, body: bytes) -> list[tuple[int, bytes]]:
        judge = self.judges[member]
        judge.put(PEER, body, self.time)
        said: list[tuple[int, bytes]] = []
        while judge.waiting:
            for _peer, answer in judge.turn(self.now)[0]:
                said += [(member, canonical.encode(Judged(each))) for each in self.changed(member, answer)]
        return said
