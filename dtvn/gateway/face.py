"""The gateway interface that REST, pages, commands and tasks use: of client.Gateway and of the fake."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec

from dtvn.events.balancing import LoadBalancerMetrics, NodeLoadInfo
from dtvn.gateway.collector import Answered, Result
from dtvn.gateway.events_face import Events
from dtvn.net import LinkCounters
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Genesis
from dtvn.watch import NO_CUT, Agreement, Cut, MemberReport

DEFAULT_WAIT = 9.0
"""Seconds that a caller waits for an outcome; an HTTP answer is due within ten."""


class GatewayClosed(Exception):
    """This gateway was closed or its thread ended. Raised by `submit`: nothing was sent. As the exception
    of the future: whether the operations were sent, and their outcome, is unknown (R14)."""


class Balance(msgspec.Struct, frozen=True):
    """What a gateway knows of its members as entry nodes."""

    metrics: LoadBalancerMetrics
    """Its requests are questions about the status."""
    chosen: dict[str, int]
    """Operations and batches that named each member as their entry node, by id."""
    nodes: dict[str, NodeLoadInfo]
    """By id."""


class GatewayFace(Protocol):
    """Submits operations to the cluster and asks its members."""

    @property
    def genesis(self) -> Genesis:
        """The cluster as it was founded."""

    @property
    def principal(self) -> str:
        """The name on the wire under which the gateway signs now."""

    @property
    def present(self) -> Membership:
        """The newest epoch that this gateway knows; `members` and `query` use its member indices."""

    @property
    def epoch_changes(self) -> tuple[bytes, ...]:
        """The verified certificates that lead from genesis to `present`."""

    @property
    def acknowledged(self) -> int:
        """Highest sequence that holds an outcome which went through this gateway (R17)."""

    @property
    def log_time(self) -> int:
        """The newest effective time of the log that this gateway has verified, in Unix microseconds; 0: none
        yet (R14). It does not run on by itself."""

    @property
    def events(self) -> Events:
        """Judging of agent events by the members' votes."""

    def submit(
        self, operations: Sequence[Operation], *, wait: float = DEFAULT_WAIT
    ) -> Future[tuple[Result, ...]]:
        """Have operations ordered; one result each, at the latest after `wait` seconds. Those with
        `valid_until` 0 are dated when they are sent, by log time: they are valid until 5 s after `wait`.
        Refused for their date, they are dated anew and sent again, once. All others are ordered unchanged.

        Raises Overloaded at once, or as the future's exception, if too many calls are under way, and
        GatewayClosed. Raised at once, both mean that nothing was sent; GatewayClosed as the future's
        exception means that the outcome is unknown.
        """

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        """Ask one member (by index) about itself; only that member vouches for the answer. Never raises,
        nor does its future: an unanswered question has a code (see questions.Answered), which is "down" if
        the epoch has no such member or the gateway is closed."""

    def dial(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Dial members at these (host, port) by id from now on; others at their address in the epoch."""

    def links(self) -> dict[str, LinkCounters]:
        """Counters of the link to each member, by id, since the gateway last dialled them all: it does so
        at its start, for a new key, addresses or epoch."""

    def members(self) -> tuple[MemberReport, ...]:
        """The newest reports of all members of the present epoch, by index; no member is asked."""

    def agreement(
        self,
        *,
        reports: Sequence[MemberReport] = (),
        cut: Cut = NO_CUT,
        without: Collection[str] = (),
    ) -> Agreement:
        """The verdict on the cluster by `reports`, else by `members`; see watch.verdict. No member is
        asked."""

    def entry(self, key: str = "") -> str:
        """Id of the member that the next operation names as its entry node; the load balancer
        chooses among those that answer. `key`: the ticket or lock that the operation is about; by consistent
        hash, operations with one key have one entry node."""

    def balance(self) -> Balance:
        """What is known of the members of the present epoch as entry nodes."""
