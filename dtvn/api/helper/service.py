"""The services that the routes use: the node's status, its ledger, and the gateway to consensus."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dtvn.api.errors import ApiError, ServiceError, Unavailable
from dtvn.api.helper.ledger import HelperLedger, OpenReader
from dtvn.api.ordering import Decision, Request, decide
from dtvn.api.times import named_zone
from dtvn.gateway import Gateway, read_identity
from dtvn.ledger import Location
from dtvn.net import KeyFileError
from dtvn.node.api_channel import Answered, Setup
from dtvn.node.layout import NodeFolder
from dtvn.node.options import load_genesis
from dtvn.protocol.genesis import Genesis, GenesisError

logger = logging.getLogger("dtvn.node_api")

Found = TypeVar("Found")

READERS = 4
"""Threads that read the ledger, each with its own connection."""
WRITERS = 64
"""Operations that wait for their outcome concurrently; further ones queue up to CALLS_MAX."""
CALLS_MAX = 512
OWN_WRITES_WAIT = 1.0
"""Seconds that a read waits for what this API acknowledged (R17)."""
LOOK_EVERY = 0.005
MEMBERS_WAIT = 3.0
"""Seconds that an operation waits for enough connected members: nodes that have just started are reported
healthy before their APIs have connected to each other's nodes."""
POLL_AT_REST = 3_000_000_000
"""Nanoseconds between two status questions to each member while nobody writes through this API. An answer
counts until the next poll is over, STATUS_EVERY after that at the latest: HEARD_WITHIN exceeds their sum."""
STATUS_AGE_MAX = 10.0
"""Age in seconds of its last report after which the node is not healthy."""


class Service:
    """One per helper process. Everything but `status` belongs to the event loop."""

    def __init__(self, setup: Setup, open_reader: OpenReader) -> None:
        self.setup = setup
        self.node = setup.node
        folder = NodeFolder(Path(setup.folder))
        self.genesis: Genesis = load_genesis(folder.genesis)
        place = Location(Path(setup.ledger_folder), setup.ledger_url, setup.ledger_schema)
        self.ledger: HelperLedger = open_reader(place, [member.id for member in self.genesis.members])
        self._folder = folder
        self._gateway: Gateway | None = None
        self._no_gateway = ""
        self._readers = ThreadPoolExecutor(READERS, "reader")
        self._writers = ThreadPoolExecutor(WRITERS, "writer")
        self._waiting = 0
        self._awaited: dict[asyncio.Future[int], int] = {}
        """The sequence that each waiting read waits for."""
        self._looking: asyncio.Task[None] | None = None
        self._status: Mapping[str, Any] | None = None
        self._status_at = 0.0
        self._answered: list[Answered] = []
        self._faults = 0
        self.news = asyncio.Event()
        """Set when something was not reported to the node yet."""
        self._sockets = 0

    # --- the node's status ----------------------------------------------------------------------

    def heard(self, fields: Mapping[str, Any]) -> None:
        """Take a status report of the node; called by the channel's thread."""
        addresses = {name: (host, port) for name, (host, port) in fields["addresses"].items()}
        if self._gateway is None:
            self._gateway, self._no_gateway = self._open_gateway(addresses)
        else:
            self._gateway.dial(addresses)
        self._status_at = time.monotonic()
        self._status = fields

    @property
    def status(self) -> Mapping[str, Any]:
        """The node's newest status (inspect.shown); raise ApiError before the first one."""
        if self._status is None:
            raise ApiError(503, "starting", "The node is starting.")
        return self._status

    @property
    def healthy(self) -> bool:
        """Whether the node's loop is running."""
        return self._status is not None and time.monotonic() - self._status_at < STATUS_AGE_MAX

    # --- counting -------------------------------------------------------------------------------

    def answered(self, told: Answered) -> None:
        """See Front."""
        self._answered.append(told)
        self.news.set()

    def take_answered(self) -> tuple[Answered, ...]:
        """The requests answered since the last call."""
        taken, self._answered = self._answered, []
        return tuple(taken)

    @property
    def sockets(self) -> int:
        """Open WebSockets."""
        return self._sockets

    @sockets.setter
    def sockets(self, count: int) -> None:
        self._sockets = count
        self.news.set()

    def failed(self) -> None:
        """Count an unexpected error outside of a request."""
        self._faults += 1
        self.news.set()

    def take_faults(self) -> int:
        """Number of unexpected errors since the last call; see `failed`."""
        taken, self._faults = self._faults, 0
        return taken

    # --- the ledger -----------------------------------------------------------------------------

    async def read(self, look: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Read from the ledger in a thread."""
        self.status  # noqa: B018 - a ledger exists from the first report on
        call = partial(look, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def seen(self, sequence: int = 0) -> int:
        """Wait, at most a second, until the ledger's rows include what this API acknowledged and `sequence`;
        returns the applied sequence."""
        wanted = sequence if self._gateway is None else max(sequence, self._gateway.acknowledged)
        applied = await self.read(self.ledger.applied_sequence)
        if applied >= wanted:
            return applied
        reached: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[reached] = wanted
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look())
        try:
            async with asyncio.timeout(OWN_WRITES_WAIT):
                return await reached
        except TimeoutError:
            return await self.read(self.ledger.applied_sequence)
        finally:
            del self._awaited[reached]

    async def _look(self) -> None:
        """End the waits of reads whose sequence is applied, while there are any."""
        while self._awaited:
            await asyncio.sleep(LOOK_EVERY)
            with suppress(ServiceError):  # each read then finds out itself
                applied = await self.read(self.ledger.applied_sequence)
                for reached, wanted in self._awaited.items():
                    if wanted <= applied and not reached.done():
                        reached.set_result(applied)

    # --- consensus ------------------------------------------------------------------------------

    async def decide(self, request: Request) -> Decision:
        """Have an operation ordered with this node as its entry; returns the cluster's decision."""
        self.status  # noqa: B018
        if self._gateway is None:
            raise ApiError(503, "read_only", self._no_gateway)
        if self._waiting >= CALLS_MAX:
            raise Unavailable("Too many requests are in progress; try again later.", "busy")
        self._waiting += 1
        try:
            await self._reach_members(self._gateway)
            call = partial(decide, self._gateway, [request], actor=self._gateway.principal, entry=self.node)
            [decision] = await asyncio.get_running_loop().run_in_executor(self._writers, call)
            zone = await self.read(self.ledger.event_zone, request.event)
            return msgspec.structs.replace(decision, zone=named_zone(zone))
        finally:
            self._waiting -= 1

    async def _reach_members(self, gateway: Gateway) -> None:
        """Wait briefly for a quorum of connections; without one, the gateway itself answers."""
        until = time.monotonic() + MEMBERS_WAIT
        while not gateway.agreement().has_quorum and time.monotonic() < until:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(LOOK_EVERY)

    def _open_gateway(self, addresses: Mapping[str, tuple[str, int]]) -> tuple[Gateway | None, str]:
        """The gateway that uses the key in identity/api.key, or why it cannot be opened at present."""
        folder = self._folder
        if not folder.api_key.exists():
            reason = f"there is no key of a principal in {folder.api_key.name}."
            return None, f"This node's API is read-only: {reason}"
        try:
            own = read_identity(folder.api_key).public_key
            founding = any(principal.public_key == own for principal in self.genesis.principals)
            later = () if founding else self.ledger.principals()
            name = next((principal.name for principal in later if principal.public_key == own), "")
            gateway = Gateway.open(
                folder.genesis,
                folder.api_key,
                principal=name,
                epoch_changes=self.ledger.epoch_changes(),
                calls_max=CALLS_MAX,
                poll_at_rest=POLL_AT_REST,
            )
        except ServiceError as error:  # the ledger cannot be read now; the next status tries again
            return None, f"This node's API is read-only: {error}"
        except (GenesisError, KeyFileError, OSError, ValueError) as error:
            logger.info("%s", error)
            reason = "its key does not belong to a principal that this node knows."
            return None, f"This node's API is read-only: {reason}"
        gateway.dial(addresses)
        return gateway, ""
