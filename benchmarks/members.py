"""`manage.py bench --only members`: what a gate notices of changes of members: 25 admissions a second.

One change after the other, on real nodes: a newcomer joins, another one takes a member's place, a member gets
another key, a member leaves. Each change has a minute of its own, from a third of it on.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from benchmarks import load
from benchmarks.cluster import Processes, free_ports, running_cluster
from benchmarks.cost import Line, as_json, table
from benchmarks.gate import RATE, Gate
from dtvn.gateway import Gateway, gather_liveness_proofs, newcomer_proof
from dtvn.machine import AddPrincipal, Reconfigure, reasons
from dtvn.net import ensure_seed, public_key_of
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import make_newcomer
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Change, LivenessProof, window
from dtvn.waiting import look_until

NODES = 4
MINUTE = 60.0
CHANGE_AT = 1 / 3
"""Part of its minute at which a change is requested."""
PATIENCE = 120.0
ATTEMPTS_MAX = 6
LOOK = 0.05
LONGEST_MS, P99_MS = 2_000.0, 500.0


class Changes:
    """Changes the membership of a running cluster, as the platform does."""

    def __init__(self, processes: Processes, gateway: Gateway) -> None:
        self._processes = processes
        self._gateway = gateway
        self._folder = ClusterFolder(processes.folder)

    def add(self, name: str, replaces: str = "") -> None:
        """A newcomer follows the log, then joins, in the place of `replaces` if that is given."""
        node, present = self._folder.node(name), self._gateway.present
        key = make_newcomer(node, self._folder.genesis.read_bytes(), present)
        self._order(AddPrincipal(name, key, ()))
        self._processes.join(name)
        newcomer = g.Member(name, key, "127.0.0.1", free_ports(1)[0])
        self._wait_for(lambda: self._caught_up(name, key))
        self._change(leaves=replaces, joins=(newcomer,), newcomers={name: key})
        if replaces:
            self._processes.leave(replaces)

    def rotate(self, name: str) -> None:
        """A member gets another key."""
        members = self._gateway.present.members
        member = next(member for member in members if member.id == name)
        key = public_key_of(ensure_seed(self._folder.node(name).next_key))
        self._change(
            leaves=name,
            joins=(g.Member(name, key, member.host, member.port),),
            keys={name: key},
        )

    def remove(self, name: str) -> None:
        """A member leaves, and its process ends."""
        self._change(leaves=name)
        self._processes.leave(name)

    def _change(
        self,
        *,
        leaves: str = "",
        joins: tuple[g.Member, ...] = (),
        newcomers: Mapping[str, bytes] = MappingProxyType({}),
        keys: dict[str, bytes] | None = None,
    ) -> None:
        gateway, before = self._gateway, self._gateway.present.epoch
        without = "" if keys else leaves
        for attempt in range(ATTEMPTS_MAX):  # the proofs may be too old by the time they are judged
            proofs = gather_liveness_proofs(gateway, without=without, keys=keys or {})
            proofs += [self._wait_for(partial(self._caught_up, *newcomer)) for newcomer in newcomers.items()]
            change = Change(epoch=before, leaves=leaves, joins=joins, alive=tuple(proofs))
            again = attempt < ATTEMPTS_MAX - 1
            if self._order(Reconfigure(change), b"change %d %d" % (before, attempt), again=again):
                break
        self._wait_for(lambda: gateway.present.epoch > before)

    def _caught_up(self, name: str, key: bytes) -> LivenessProof | None:
        """The newcomer's liveness proof, once it has nearly the whole log."""
        proof = newcomer_proof(self._gateway, name, key)
        enough = self._gateway.acknowledged - window(self._gateway.present.parameters) // 2
        return proof if proof is not None and proof.executed >= enough else None

    def _order(self, command: Any, nonce: bytes = b"", *, again: bool = False) -> bool:
        """Have a command ordered; False if it came too late and may be sent `again`."""
        [result] = self._gateway.submit([load.operation(command, "", nonce=nonce)], wait=PATIENCE).result()
        if result.code == reasons.NOT_READY and again:
            return False
        if result.code != "ok":
            raise RuntimeError(f"{type(command).__name__} is refused: {result.code}")
        return True

    def _wait_for(self, found: Callable[[], Any]) -> Any:
        values: list[Any] = []

        def look() -> bool:
            values.append(found())
            return bool(values[-1])

        if not look_until(look, PATIENCE, pause=LOOK):
            raise RuntimeError(f"a change is not over within {PATIENCE:g} s")
        return values[-1]


def run(scale: float) -> list[Line]:
    """Change the members beside a gate; `scale` shortens each minute."""
    minute = MINUTE * scale
    with running_cluster(NODES) as (processes, changing):
        tickets = load.names("M", int(RATE * minute * 4))
        load.drive(changing, load.chunks(load.issues(tickets), 100), outstanding=8)
        changes = Changes(processes, changing)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("add", lambda: changes.add("node4")),
            ("replace", lambda: changes.add("node5", "node0")),
            ("rotate", lambda: changes.rotate("node2")),
            ("remove", lambda: changes.remove("node1")),
        ]
        with _second_gateway(processes) as gateway:
            gate = Gate(gateway, tickets)
            thread = threading.Thread(target=gate.run)
            thread.start()
            for number, (what, step) in enumerate(steps):
                gate.wait_until((number + CHANGE_AT) * minute)
                begun = time.monotonic()
                step()
                print(f"{what}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
            thread.join()
    codes = Counter(code for _, _, code in gate.answers)
    print(f"answers: {dict(codes)}", file=sys.stderr)
    lines = []
    for number, (what, _) in enumerate(steps):
        begin, end = number * minute, (number + 1) * minute
        waits = [spent for at, spent, _ in gate.answers if begin <= at < end]
        lines.append(Line(f"{what}, longest answer", max(waits), "ms", LONGEST_MS))
        lines.append(Line(f"{what}, p99 of its minute", gate.p99(begin, end), "ms", P99_MS))
    lines.append(Line(f"of {len(tickets):,} admissions not admitted", len(tickets) - codes["ok"], "", 0))
    return lines


def _second_gateway(processes: Processes) -> Gateway:
    """The gate's own gateway: its epoch is not that of the one who changes the members."""
    place = ClusterFolder(processes.folder)
    return Gateway.open(place.genesis, place.gateway_key, principal="gateway")


def main(scale: float) -> dict[str, Any]:
    """Measure and print the table."""
    lines = run(scale)
    print(table(lines))
    return {"lines": as_json(lines)}
