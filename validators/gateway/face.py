"""What every entrance (REST, pages, commands, tasks) needs of a gateway: the client has it, the fake too."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from validators.consensus.membership import Membership
from validators.consensus.messages import Operation
from validators.gateway.collector import Answered, Result
from validators.genesis import Genesis

__all__ = ["DEFAULT_WAIT", "GatewayClosed", "GatewayFace", "MemberView"]

DEFAULT_WAIT = 9.0
"""Seconds that a caller waits for an outcome; an answer over HTTP is out within ten (spec 1.5)."""


class GatewayClosed(Exception):
    """This gateway was closed or its thread ended. Raised by `submit`: nothing was sent; as the exception
    of its future: what was sent, and what became of it, is unknown (R14)."""


class MemberView(msgspec.Struct, frozen=True):
    """One member as this gateway sees it; `view` and `sequence` are the member's own word."""

    id: str
    index: int
    connected: bool
    primary: bool
    """The believed one."""
    view: int
    sequence: int
    heard: float | None
    """Seconds since its newest status answer; None: never."""
    status: dict[str, Any]
    """Its newest status answer, whole."""


class GatewayFace(Protocol):
    """Submits operations to the cluster and asks its members."""

    @property
    def genesis(self) -> Genesis:
        """The cluster as it was founded."""

    @property
    def principal(self) -> str:
        """The name on the wire with which it signs now."""

    @property
    def present(self) -> Membership:
        """The newest epoch that this gateway knows of: whom `members` and `query` number."""

    @property
    def handovers(self) -> tuple[bytes, ...]:
        """The verified certificates that lead from genesis to `present`."""

    @property
    def acknowledged(self) -> int:
        """Highest sequence in which an outcome that went through here stands (R17)."""

    def submit(
        self, operations: Sequence[Operation], *, wait: float = DEFAULT_WAIT
    ) -> Future[tuple[Result, ...]]:
        """Have operations ordered as they stand; one result each, at the latest after `wait` seconds.

        Raises Overloaded at once, or as the future's exception, when too much is under way, and
        GatewayClosed. Raised at once, both mean that nothing was sent; GatewayClosed as the future's
        exception means that the outcome is unknown.
        """

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        """Ask one member (by index) about itself; its answer is its own word. Never refused, and its future
        has no exception: what is not answered has a code (see questions.Answered), "down" where an epoch
        has no such member, and of a gateway that is closed."""

    def members(self) -> tuple[MemberView, ...]:
        """All members, in genesis order."""
