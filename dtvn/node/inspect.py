"""Answers of a node about itself (messages.Query), outside consensus and at its own sequence.

| what   | arguments                 | answer (JSON text)                                             |
|--------|---------------------------|----------------------------------------------------------------|
| status | none, or "position"       | view, sequence, role, voting, peers, heard: see `status`       |
| stats  | none                      | exactly the keys of the Go DTVN's /stats                       |
| consensus | none                   | ReplicaSnapshot: view, phase and votes of every open sequence  |
| peers  | none                      | {"peers": [...], "principals": [...]}: links, see `peers`      |
| receipt | a sequence            | {"node_id", "sequence", "signature"}: see `attest.receipt`     |
| evidence | last id that is known | {"node_id", "evidence": [...]}: see `attest.evidence`         |
| ticket | event, ticket (or ticket) | {"node_id", "sequence", "ticket": the contract's Ticket}       |
| proof  | event, ticket             | StateProof: the ticket in a checkpoint's state, proved (R18)   |
| announce | a newcomer's liveness proof | null: see `newcomer_proofs`                             |
| newcomer | name                   | {"word", "epoch"}: the newcomer's newest liveness proof         |
| genesis | none                     | {"genesis": the genesis file, base64}: what a follower asks first |
| read_index | none                  | {"sequence"}, of a Raft leader (answered by the core, R18)     |
| handovers | the first epoch            | proofs of the ends of epochs (answered by the host)            |

A code instead of text: `ticket_not_found`, `not_executed`, `unknown_query`, `bad_arguments`, `unavailable`,
`not_frozen` (no proof: the node started after its checkpoint), `disk_full` (then only the questions in
WITHOUT_ROOM are answered).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dtvn import __version__
from dtvn.ledger import LedgerUnreachable
from dtvn.machine.contract import ticket_of_row
from dtvn.memory import resident_bytes
from dtvn.net import format_multiaddr
from dtvn.node import attest, newcomer_proofs
from dtvn.node.bootstrap import GENESIS, told
from dtvn.node.hearing import seconds_since_heard
from dtvn.node.keys import peer_id
from dtvn.node.metrics import MeasuredMember
from dtvn.node.process import CONTRADICTION, DISK_FULL
from dtvn.node.watcher import line
from dtvn.proof.continuation import continues
from dtvn.proof.reads import StateProof, show
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import ReplicaSnapshot
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.versions import NEWEST

__all__ = ["DEFAULT_EVENT", "Inspector", "StateProof"]

DEFAULT_EVENT = "default"
ARGUMENT_MAX = 256
WITHOUT_ROOM = frozenset({"status", "stats", "peers", "proof", "receipt", "evidence"})
"""Questions that are answered while the disk is full too (R8): about durable data, about data that proves
itself, and about the node's status. Core and application have lost a turn, and answer nothing."""

STANDING = frozenset({"status", "stats", "peers", "evidence"})
"""Questions answered by a node that has stopped because certificates exclude each other (R24)."""


class Inspector:
    """Answers questions about one node. It reads the node and never changes it; it only keeps the liveness
    proofs of newcomers."""

    def __init__(self, node: MeasuredMember) -> None:
        self._node = node
        self._newcomer_proofs = newcomer_proofs.NewcomerProofs(node)
        self._questions: dict[str, Callable[[tuple[str, ...]], tuple[str, Any]]] = {
            "status": lambda arguments: ("", self.status(position="position" in arguments)),
            "stats": lambda _: self._from_ledger(lambda: ("", self.stats())),
            "alive": lambda arguments: ("", self.alive(arguments)),
            "consensus": lambda _: ("", self.consensus()),
            "peers": lambda _: ("", self.peers()),
            "ticket": self._ticket,
            "proof": self._proof,
            GENESIS: lambda _: ("", told(node.genesis_file)),
            newcomer_proofs.ANNOUNCE: self._newcomer_proofs.keep,
            newcomer_proofs.NEWCOMER: self._newcomer_proofs.tell,
            "receipt": lambda arguments: self._from_ledger(lambda: attest.receipt(node, arguments)),
            "evidence": lambda arguments: self._from_ledger(lambda: attest.evidence(node, arguments)),
        }

    def answer(self, query: Query) -> Answer:
        """The Answer to a Query; never raises on its content."""
        question = self._questions.get(query.what)
        if question is None:
            return Answer(number=query.number, code="unknown_query", text="")
        if any(len(argument) > ARGUMENT_MAX for argument in query.arguments):
            return Answer(number=query.number, code="bad_arguments", text="")
        if self._node.disk_full and query.what not in WITHOUT_ROOM:
            return Answer(number=query.number, code=DISK_FULL, text="")
        if self._node.halted and query.what not in STANDING:
            return Answer(number=query.number, code=CONTRADICTION, text="")
        try:
            code, value = question(query.arguments)
            text = "" if code else msgspec.json.encode(value).decode()
        except Exception:  # answering is not part of consensus: a mistake here must not end the member
            self._node.logger.exception("%s", line("question_failed", {"what": query.what}))
            code, text = "unavailable", ""
        return Answer(number=query.number, code=code, text=text)

    def status(self, *, position: bool = False) -> dict[str, Any]:
        """The node's status (watch.MemberReport). `sequence`: last executed; `state`: voting, following,
        disk_full. `position`: with what it waits for in the protocol."""
        node, now = self._node, self._node.host.clock.now()
        genesis = node.genesis
        count = len(genesis.members)
        mode = node.membership.mode
        faults = quorum.faults(count, mode)
        connected = node.transport.connected()
        return {
            **self.brief(),
            "peer_id": peer_id(genesis.members[node.index].public_key),
            "cluster": node.cluster.hex(),
            "cluster_name": genesis.name,
            "continues": continues(node.founding),
            "members": count,
            "epoch": node.membership.epoch,
            "consensus": mode.value,
            "liars_tolerated": faults,
            "crashes_tolerated": quorum.crashes_tolerated(count, mode),
            "note": quorum.fault_tolerance_note(count, mode),
            "voting_reason": node.voting_reason,
            "changing": node.core.state.views.changing,
            "contradiction": node.halted,
            **self._checkpoint(),
            "peers": connected,
            "heard": seconds_since_heard(node),
            **self._lines(),
            **self._waits(),
            **(self._position() if position else {}),
            "clock": (now.wall - now.held) // 1_000,
            "endpoint": node.transport.endpoint,
            "incarnation": node.ledger.incarnation,
            "pid": os.getpid(),
            "started_at": int(self._node.started),
            "operations": node.figures.operations.total(),
            "outcomes": dict(node.figures.outcomes()),
            "refused": self._refused(),
            "strangers": node.transport.strangers,
            "malformed": node.transport.malformed,
            "events": dict(node.watcher.events),
            "turns": self._turns(),
            "quorum_round_trip_ms": node.core.state.round_trips.of_quorum() / 1e6,
            "timeout_ms": node.core.state.timeouts.timeout / 1e6,
            "clock_offsets": node.clock_offsets,
            "memory": resident_bytes(),
            "processor_seconds": time.process_time(),
            "monotonic_seconds": time.monotonic(),
        }

    def _lines(self) -> dict[str, Any]:
        """Milliseconds to each member that was measured, and the share of its answers that came late."""
        trips, members = self._node.core.state.round_trips, self._node.genesis.members
        return {
            "round_trips": {members[index].id: trips.of_member(index) / 1e6 for index in trips.trips},
            "late": {members[index].id: trips.late(index) for index in trips.trips},
        }

    def _waits(self) -> dict[str, Any]:
        """How long the oldest request waits, and T at rest (R31), in seconds."""
        core = self._node.core
        since = core.policy.oldest_wait()
        waits = 0.0 if since is None else max(0, core.state.now.monotonic - since) / 1e9
        return {"pending": core.policy.size()[0], "waits": waits, "patience": core.state.timeouts.base / 1e9}

    def _position(self) -> dict[str, Any]:
        """What it waits for: the sequence that it catches up to, its suspicion, and its lowest open sequence
        with the members whose votes it has."""
        if self._node.disk_full or self._node.halted:  # the core takes no turns
            return {}
        found, ids = self._node.core.snapshot(), [member.id for member in self._node.genesis.members]
        slot = min(
            (slot for slot in found.slots if slot.sequence > found.executed),
            key=lambda slot: slot.sequence,
            default=None,
        )
        return {
            "catching_up_to": found.catching_up_to,
            "suspicion": found.suspicion,
            "open": slot
            and {
                "sequence": slot.sequence,
                "view": slot.view,
                "phase": slot.phase,
                "prepares": [ids[index] for index in slot.prepares],
                "commits": [ids[index] for index in slot.commits],
                "abstain_reason": slot.abstain_reason,
                "open_for": max(0, found.taken_at - slot.opened) / 1e9,
            },
        }

    def consensus(self) -> ReplicaSnapshot:
        """The core's snapshot, with `voting` and `voting_reason` as `status` reports them."""
        node = self._node
        snapshot = node.core.snapshot()
        return msgspec.structs.replace(snapshot, voting=node.voting, voting_reason=node.voting_reason)

    def alive(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Its signed liveness proof (R36), in hexadecimal digits, and the epoch that it is for."""
        proof = self._node.alive(next_key="next_key" in arguments, version="version" in arguments)
        return {"word": canonical.encode_trimmed(proof).hex(), "epoch": self._node.membership.epoch}

    def _checkpoint(self) -> dict[str, Any]:
        """The newest stable checkpoint: its sequence and the state root that q members signed."""
        certificate = self._node.core.state.checkpoint.certificate
        if certificate is None:
            return {"stable": 0, "state_root": ""}
        return {"stable": certificate.sequence, "state_root": certificate.state_root.hex()}

    def brief(self) -> dict[str, Any]:
        """The heartbeat's part of the status: small, cheap, flat."""
        node = self._node
        view = node.view
        primary = node.genesis.members[quorum.primary(view, len(node.genesis.members))].id
        return {
            "node_id": node.id,
            "state": node.state,
            "voting": node.voting,
            "view": view,
            "primary": primary,
            "is_primary": node.voting and primary == node.id,
            "sequence": node.executed,
            "complete_from": node.complete_from,
            "peer_count": len(node.transport.connected()),
            "log_time": node.log_time,
            "log_time_ahead": node.log_time_ahead,
            "log_time_behind": node.log_time_behind,
            "own_clock_doubtful": node.own_clock_doubtful,
            "withheld_ahead": node.withheld_ahead,
            "members": len(node.genesis.members),
            "awaits": node.awaited,
            "others_are_gone": node.core.pinging.vouched,
            "release": __version__,
            "newest": NEWEST,
        }

    def stats(self) -> dict[str, Any]:
        """The Go DTVN's Stats object; times in nanoseconds. Keys without a meaning here are 0."""
        node = self._node
        brief = self.brief()
        return {
            "node_id": node.id,
            "peer_count": brief["peer_count"],
            "is_primary": brief["is_primary"],
            "current_view": brief["view"],
            "sequence": brief["sequence"],
            "cache_size": node.remembered,
            "storage_stats": node.storage_stats(),
        }

    def shown(self) -> dict[str, Any]:
        """The data that the node's own API needs besides the ledger; sent once a second."""
        node = self._node
        own = node.genesis.members[node.index]
        peer, (host, port) = peer_id(own.public_key), node.transport.address
        members = len(node.genesis.members)
        return {
            **self.brief(),
            "version": node.membership.version,
            "members": members,
            "cache_size": node.remembered,
            "states": node.application.count_states(),
            "write_time": node.journal.meter.turn_time,
            "peer_id": peer,
            "public_key": own.public_key.hex(),
            "listen": [format_multiaddr(host, port, peer)],
            "peers": [
                {name: peer[name] for name in ("id", "addrs", "connected_at", "node_id")}
                for peer in self.peers()["peers"]
                if peer["connected"]
            ],
            "addresses": node.transport.addresses(),
        }

    def peers(self) -> dict[str, Any]:
        """Other members and principals: links and their counters. `round_trip_ms`: the median of the newest
        round trips; 0 before the first."""
        node = self._node
        connected = set(node.transport.connected())
        counters = node.transport.counters()
        addresses = node.transport.addresses()
        listed = []
        for index, member in enumerate(node.genesis.members):
            if index == node.index:
                continue
            name = peer_id(member.public_key)
            listed.append(
                {
                    "id": name,
                    "node_id": member.id,
                    "addrs": [format_multiaddr(*addresses[member.id], name)],
                    "connected": member.id in connected,
                    "connected_at": counters[member.id].connected_at,
                    "round_trip_ms": node.core.state.round_trips.of_member(index) / 1e6,
                    "counters": msgspec.to_builtins(counters[member.id]),
                }
            )
        principals = [
            {"name": principal.name, "counters": msgspec.to_builtins(counters[principal.name])}
            for principal in node.genesis.principals
            if principal.name in counters  # a principal may have become this node itself
        ]
        return {"peers": listed, "principals": principals}

    def _ticket(self, arguments: tuple[str, ...]) -> tuple[str, Any]:
        if len(arguments) not in (1, 2):
            return "bad_arguments", None
        event = arguments[0] if len(arguments) == 2 else DEFAULT_EVENT
        row = self._node.application.row(event, arguments[-1])
        if row is None:
            return "ticket_not_found", None
        return "", {"node_id": self._node.id, "sequence": self._node.executed, "ticket": ticket_of_row(row)}

    def _proof(self, arguments: tuple[str, ...]) -> tuple[str, Any]:
        """A ticket in the state of the newest stable checkpoint, with its proof (R18)."""
        if len(arguments) != 2:
            return "bad_arguments", None
        certificate = self._node.core.state.checkpoint.certificate
        return show(certificate, self._node.application.prove(*arguments))

    def _from_ledger(self, read: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
        """Answer with a read of the ledger; a database that does not answer must not end the turn."""
        try:
            return read()
        except LedgerUnreachable:
            return "unavailable", None

    def _refused(self) -> dict[str, dict[str, int]]:
        refused: dict[str, dict[str, int]] = {}
        for (peer, reason), count in self._node.watcher.refused.items():
            refused.setdefault(peer, {})[reason] = count
        return refused

    def _turns(self) -> dict[str, int]:
        meter = self._node.journal.meter
        return {
            "count": meter.turns,
            "mean_us": meter.turn_time // max(1, meter.turns) // 1_000,
            "max_us": meter.turn_time_max // 1_000,
        }
