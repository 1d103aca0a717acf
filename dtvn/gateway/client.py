"""The gateway: one thread that owns the links to all members and drives the collector. I/O.

    gateway = Gateway.open("cluster/genesis.bin", "keys/gateway.key", principal="gateway")
    with gateway:
        operation = build(Validate(), ticket="TICKET-001", actor="desk-1", entry="node0")
        (result,) = gateway.submit([operation]).result()
        print(result.code, result.sequence)

Any thread may call it. A process that is forked afterwards must make its own gateway: sockets and
thread do not survive a fork, and a forked copy refuses to work.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq
from msgspec import structs
from nacl import bindings

from dtvn.events.config import ConsensusConfig, LoadBalancerConfig
from dtvn.events.judging import Electorate
from dtvn.files.genesis import read_genesis
from dtvn.gateway.agreeing import Agreeing
from dtvn.gateway.collector import Actions, Answered, Collector, Overloaded, Result
from dtvn.gateway.entries import TURNS, Entries
from dtvn.gateway.events import GatewayEvents
from dtvn.gateway.face import DEFAULT_WAIT, Balance, GatewayClosed
from dtvn.gateway.identity import GenesisKeys, Identity, KeyWatch, read_identity
from dtvn.gateway.questions import STATUS_EVERY
from dtvn.net import Dialler, LinkCounters, public_key_of
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Hello, Judge, Operation
from dtvn.protocol.genesis import Genesis, GenesisError, cluster_id
from dtvn.protocol.quorum import faults, weak_quorum
from dtvn.protocol.wire import Door, FrameSigner, link_frame
from dtvn.watch import MemberReport

__all__ = ["Gateway", "GatewayClosed"]

logger = logging.getLogger(__name__)

CALLS_MAX = 1_024
"""Calls under way at once; a further one raises Overloaded."""

CLOSE_TIMEOUT = 5.0
NOBODY = Answered(0, "down", "")
"""The answer for a member that is not connected, and for every member when the gateway is closed."""

ENTER_WITHIN = 5_000_000_000
"""Nanoseconds for which a member that reports no vote in a new epoch is taken to be entering it."""

SWITCH_WAIT = 2_000_000_000
"""Nanoseconds that bundles in flight have when the key changes; less than the time for which the old key
stays valid, unless that was stolen."""


class Gateway(Agreeing):
    """See face.GatewayFace. `seed`: 32-byte Ed25519 seed of the principal; `principal`: its name on the
    wire. `addresses`: (host, port) by member index, for members that are not at their genesis address.
    `epoch_changes`: known epoch change proofs of ended epochs, since the members of genesis may all be
    gone. `watch`: watches the key file for changes. `calls_max`: calls under way at once. `judging`: how
    votes on events become decisions; None: as the number of members allows. `balancing`: how entry nodes
    are chosen; None: they take turns. `limits`: limits of the collector, for measurements."""

    _waiting_since: int | None = None
    _viewed: tuple[Any, ...] = ()
    """What `_members` was made of."""

    def __init__(
        self,
        genesis: Genesis,
        seed: bytes,
        *,
        principal: str,
        addresses: Mapping[int, tuple[str, int]] | None = None,
        epoch_changes: Sequence[bytes] = (),
        watch: KeyWatch | None = None,
        calls_max: int = CALLS_MAX,
        judging: ConsensusConfig | None = None,
        balancing: LoadBalancerConfig | None = None,
        **limits: int,
    ) -> None:
        self._keys = GenesisKeys(genesis)
        self._keys.know(principal, public_key_of(seed))
        self.genesis = genesis
        """The founding genesis: its hash is the cluster id."""
        self._seed = seed
        self._watch = watch
        self._switch: tuple[Identity, int] | None = None
        """The next key, and the latest time to switch to it (monotonic nanoseconds)."""
        self.principal = principal
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._inbox: deque[tuple[Any, ...]] = deque()
        self._calls_max, self._calls_open = calls_max, 0
        self._closing = False
        self._dead: BaseException | None = None
        self._futures: dict[int, Future[tuple[Result, ...]]] = {}
        self._questions: dict[int, Future[Answered]] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._cluster = cluster_id(genesis)
        self._hello = Hello(client=os.urandom(8))
        self._collector = Collector(
            genesis,
            principal=principal,
            client=self._hello.client,
            signer=self._signer(),
            door=Door(self._cluster, self._keys),
            epoch_changes=epoch_changes,
            **limits,
        )
        self.epoch_changes = self._collector.epochs.certificates
        """See GatewayFace."""
        self.present = self._collector.epochs.present
        """The newest epoch that epoch change proofs prove."""
        self._keys.follow(self.present)
        self.events = GatewayEvents(self._electorate(), self, judging)
        self._balancing = balancing or TURNS
        self._entries = self._new_entries()
        self._elsewhere = {genesis.members[index].id: address for index, address in (addresses or {}).items()}
        self._wanted = self._elsewhere
        self._dialler = self._dial()
        self._enter_until = 0
        """Monotonic nanoseconds; see ENTER_WITHIN."""
        self._connected: frozenset[int] = frozenset()
        self._view_members()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        genesis: str | Path,
        key: str | Path,
        *,
        principal: str = "",
        epoch_changes: Sequence[bytes] = (),
        calls_max: int = CALLS_MAX,
        judging: ConsensusConfig | None = None,
        balancing: LoadBalancerConfig | None = None,
        poll_at_rest: int = STATUS_EVERY,
    ) -> Self:
        """A gateway from a genesis file and a key file (hex seed, mode 0600), which it watches for changes.
        `principal`: the key's owner; "": the name in the key file, else the principal that genesis lists
        with this key (GenesisError if it lists none). `poll_at_rest`: see Questions."""
        founded = read_genesis(Path(genesis))
        identity = read_identity(Path(key))
        found = (p.name for p in founded.principals if p.public_key == identity.public_key)
        principal = principal or identity.wire or next(found, "")
        if not principal:
            raise GenesisError(f"the key in {key} is that of no principal")
        return cls(
            founded,
            identity.seed,
            principal=principal,
            epoch_changes=epoch_changes,
            watch=KeyWatch(Path(key), identity),
            calls_max=calls_max,
            judging=judging,
            balancing=balancing,
            poll_at_rest=poll_at_rest,
        )

    # --- any thread ------------------------------------------------------------------------------

    @property
    def acknowledged(self) -> int:
        """See GatewayFace."""
        return self._collector.acknowledged

    @property
    def log_time(self) -> int:
        """See GatewayFace."""
        return self._collector.log_clock.newest

    @property
    def alive(self) -> bool:
        """False once the gateway was closed, its thread has ended, or this process is a fork of its owner."""
        return self._dead is None and not self._closing and self._pid == os.getpid()

    def submit(
        self, operations: Sequence[Operation], *, wait: float = DEFAULT_WAIT
    ) -> Future[tuple[Result, ...]]:
        """See GatewayFace."""
        future: Future[tuple[Result, ...]] = Future()
        self._pass_on((self._submit, future, tuple(operations), int(wait * 1_000_000_000)), counts=True)
        return future

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        """See GatewayFace."""
        future: Future[Answered] = Future()
        try:
            self._pass_on((self._ask, future, member, what, tuple(arguments), int(wait * 1_000_000_000)))
        except GatewayClosed:
            future.set_result(NOBODY)
        return future

    def dial(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Dial members at these (host, port) by id from now on; others at their address in the epoch."""
        if self._wanted == addresses:
            return
        self._wanted = dict(addresses)
        with self._lock:
            if self._dead is None:
                self._dialler.wake()

    def links(self) -> dict[str, LinkCounters]:
        """See GatewayFace."""
        with self._lock:
            found, members = self._dialler.counters(), self.present.members
        return {members[index].id: each for index, each in found.items() if index < len(members)}

    def members(self) -> tuple[MemberReport, ...]:
        """See GatewayFace."""
        now = time.monotonic_ns()
        return tuple(
            each if each.heard_at is None else structs.replace(each, heard=max(0, now - each.heard_at) / 1e9)
            for each in self._members
        )

    def oldest_wait(self) -> float:
        """See Agreeing."""
        began = self._waiting_since
        return 0.0 if began is None else max(0, time.monotonic_ns() - began) / 1e9

    def entry(self, key: str = "") -> str:
        """See GatewayFace."""
        with self._lock:
            return self._entries.choose(self._members, time.monotonic(), key)

    def balance(self) -> Balance:
        """See GatewayFace."""
        with self._lock:
            return self._entries.balance()

    def close(self) -> None:
        """End the thread and its links; open calls raise GatewayClosed."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closing = True
            if self._dead is None:
                self._dialler.wake()
        self._thread.join(CLOSE_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pass_on(self, item: tuple[Any, ...], *, counts: bool = False) -> None:
        """Queue an item for the gateway's thread. Questions do not count towards `calls_max`: the collector
        bounds them, and operators must be able to ask while the cluster decides nothing."""
        if self._pid != os.getpid():
            raise GatewayClosed("a forked process needs a gateway of its own")
        with self._lock:
            if self._closing or self._dead is not None:
                raise GatewayClosed("the gateway is closed") from self._dead
            if counts and self._calls_open >= self._calls_max:
                raise Overloaded(f"{self._calls_max} calls are under way already")
            self._calls_open += counts
            self._inbox.append(item)
            if len(self._inbox) == 1:
                self._dialler.wake()

    def attend(self) -> None:
        """See events.Owner."""
        if self._pid != os.getpid():
            raise GatewayClosed("a forked process needs a gateway of its own")
        with self._lock:
            if self._closing or self._dead is not None:
                raise GatewayClosed("the gateway is closed") from self._dead
            self._dialler.wake()

    def now(self) -> int:
        """See events.Owner."""
        return time.monotonic_ns()

    # --- the gateway's own thread ----------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while not self._closing:
                self._turn()
        except Exception as failure:
            logger.exception("the gateway's thread ended")
            error = failure
        with self._lock:
            self._dead = error or GatewayClosed("the gateway is closed")
            asked = [*self._questions.values(), *(item[1] for item in self._inbox if item[0] == self._ask)]
            called = [*self._futures.values(), *(item[1] for item in self._inbox if item[0] == self._submit)]
            self._inbox.clear()
            self._dialler.close()
        self._context.destroy(linger=0)
        self.events.close(GatewayClosed("the gateway was closed meanwhile"))
        for future in called:
            if not future.done():
                future.set_exception(GatewayClosed("the gateway was closed meanwhile"))
        for question in asked:
            if not question.done():
                question.set_result(NOBODY)

    def _turn(self) -> None:
        collector = self._collector
        if self._wanted != self._elsewhere:
            self._elsewhere = self._wanted
            self._dial_anew()
        due = self.events.deadline()
        due = collector.deadline() if due is None else min(due, collector.deadline())
        pause = due - time.monotonic_ns()
        frames = self._dialler.poll(max(0, -(-pause // 1_000_000)))
        now = Now(monotonic=time.monotonic_ns(), wall=time.time_ns())
        connected = self._dialler.connected()
        if connected != self._connected:
            self._connected = connected
            collector.connected(connected, now)
        for member, frame in frames:
            collector.receive(member, frame, now)
        # Not under the lock: the caller that woke this thread may still hold it, and both would wait.
        while self._inbox:
            take, future, *arguments = self._inbox.popleft()
            if future.set_running_or_notify_cancel():
                take(future, now, *arguments)
            elif take == self._submit:
                self._closed_calls(1)
        if collector.deadline() <= now.monotonic:
            collector.tick(now)
        if self._watch is not None:
            self._look_at_key(self._watch, now)
        actions = collector.take(now)
        self._carry_out(actions)
        for member, body in self.events.turn(actions.judged, self._connected, now):
            self._dialler.send(member, link_frame(Judge(body)))
        self._view_members()
        if self._entries.polled != collector.questions.polled:
            with self._lock:
                self._entries.observe(collector.questions.statuses, time.monotonic())

    def _submit(
        self, future: Future[tuple[Result, ...]], now: Now, operations: tuple[Operation, ...], wait: int
    ) -> None:
        try:
            call = self._collector.submit(operations, now, wait=wait)
        except (Overloaded, ValueError) as error:
            self._closed_calls(1)
            future.set_exception(error)
            return
        self._futures[call] = future
        with self._lock:
            self._entries.begin(call, operations)

    def _ask(
        self,
        future: Future[Answered],
        now: Now,
        member: int,
        what: str,
        arguments: tuple[str, ...],
        wait: int,
    ) -> None:
        if member not in self._connected:
            future.set_result(NOBODY)
            return
        self._questions[self._collector.ask(member, what, arguments, now, wait=wait)] = future

    def _new_entries(self) -> Entries:
        """The members of the present epoch, none of whose questions it knows."""
        names = [member.id for member in self.present.members]
        liars = faults(len(names), self.present.mode)
        return Entries(names, liars, random.SystemRandom(), time.monotonic(), self._balancing)

    def _electorate(self) -> Electorate:
        return Electorate(self._cluster, self.present.epoch, self.present.members, self.present.mode)

    def _follow(self, membership: Membership) -> None:
        """Dial the members of the next epoch, and only these; links to members that stay are kept."""
        logger.warning("epoch %s begins with %s members", membership.epoch, len(membership.members))
        self._keys.follow(membership)
        self.epoch_changes, self.present = self._collector.epochs.certificates, membership
        self._enter_until = time.monotonic_ns() + ENTER_WITHIN
        with self._lock:
            self._entries = self._new_entries()
            self._dialler.follow(*self._places())
        self._connected = frozenset()
        self.events.enter(self._electorate())

    def _dial_anew(self) -> None:
        """Reconnect to all members with their present addresses and the present key."""
        with self._lock:  # other threads wake the dialler under this lock
            self._dialler.close()
            self._dialler = self._dial()
            self._dialler.wake()

    def _look_at_key(self, watch: KeyWatch, now: Now) -> None:
        """Look for another key in the key file, and switch to it once no bundle is in flight under the old
        one, or after SWITCH_WAIT."""
        reached = len(self._connected) >= weak_quorum(len(self.present.members), self.present.mode)
        following = watch.look(now.monotonic, reached)
        if following is not None:
            self._switch = (following, now.monotonic + (SWITCH_WAIT if reached else 0))
            self._collector.held = True
        if self._switch is not None and (not self._collector.flies() or now.monotonic >= self._switch[1]):
            self._take(self._switch[0], now)

    def _take(self, identity: Identity, now: Now) -> None:
        """Sign and connect with this key from now on."""
        self._switch = None
        listed = (p.name for p in self.genesis.principals if p.public_key == identity.public_key)
        self._seed, self.principal = identity.seed, identity.wire or next(listed, self.principal)
        logger.warning("signing as %s from now on", self.principal)
        self._collector.rekey(self.principal, self._signer(), now)
        self._connected = frozenset()
        self._collector.connected(self._connected, now)
        self._dial_anew()

    def _signer(self) -> FrameSigner:
        secret = bindings.crypto_sign_seed_keypair(self._seed)[1]
        return FrameSigner(self._cluster, secret, self._keys)

    def _dial(self) -> Dialler:
        present, places = self._places()
        return Dialler(self._context, present, self._seed, hello=self._hello, addresses=places)

    def _places(self) -> tuple[Genesis, dict[int, tuple[str, int]]]:
        """Genesis with the present members, and the addresses of those that are elsewhere."""
        present = structs.replace(self.genesis, members=self.present.members)
        places = {
            index: self._elsewhere[member.id]
            for index, member in enumerate(present.members)
            if member.id in self._elsewhere
        }
        return present, places

    def _carry_out(self, actions: Actions) -> None:
        if actions.successor is not None:
            self._follow(actions.successor)  # what was to be sent is for the members of the epoch before
        else:
            for member, frame in actions.send:
                self._dialler.send(member, frame)
        if actions.completed:
            self._closed_calls(len(actions.completed))
            with self._lock:
                for completed in actions.completed:
                    self._entries.end(completed.call)
        for completed in actions.completed:
            self._futures.pop(completed.call).set_result(completed.results)
        for answered in actions.answered:
            self._questions.pop(answered.question).set_result(answered)

    def _closed_calls(self, count: int) -> None:
        with self._lock:
            self._calls_open -= count

    def _view_members(self) -> None:
        """Keep the reports for any thread; made anew when something in them is new."""
        self._waiting_since = self._collector.waiting_since()
        settled, primary = self._collector.questions.settled, self._collector.primary()
        entering = self.present.epoch if time.monotonic_ns() < self._enter_until else 0
        viewed = settled, self._connected, primary, entering
        if self._viewed == viewed:
            return
        self._viewed = viewed
        self._members: tuple[MemberReport, ...] = tuple(
            structs.replace(
                status.report,
                id=member.id,
                index=index,
                connected=index in self._connected,
                primary=index == primary,
                heard_at=status.heard_at,
                heard=None if status.heard_at is None else 0.0,
                entering=0 if status.report.voting else entering,
                missed=status.missed,
                response_time_ms=status.round_trip / 1_000_000,
            )
            for index, (member, status) in enumerate(zip(self.present.members, settled, strict=True))
        )
