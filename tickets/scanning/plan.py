"""The plan of scans: guests come in any order, some show their code twice, some try it at two gates."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

ONE_EACH: Mapping[str, int] = {}


class Scan(msgspec.Struct, frozen=True):
    """One presentation of a code at a gate. Its nonce identifies it, however often it is sent."""

    number: int
    ticket_id: str
    code: str
    """The text that the scanner reads."""
    gate: str
    nonce: str
    races: bool = False
    """Whether the scan is sent at the same time as another scan of this ticket."""


class Plan(msgspec.Struct, frozen=True):
    """The scans of each gate in order; a racing pair is at the same position of two gates."""

    by_gate: tuple[tuple[Scan, ...], ...]

    @property
    def scans(self) -> list[Scan]:
        """All scans, by number."""
        return sorted((scan for gate in self.by_gate for scan in gate), key=lambda scan: scan.number)


def make_plan(
    codes: Mapping[str, Sequence[str]],
    *,
    gates: int,
    duplicates: float,
    seed: int,
    run: str,
    persons: Mapping[str, int] = ONE_EACH,
) -> Plan:
    """A plan in which every ticket is scanned once for each of its persons and a share `duplicates` of them
    once more, by another one of its codes if there are several. `codes`: ticket id -> codes, one or more;
    `persons`: ticket id -> how many it is for, if not for one.

    Half of the second scans race the first one at another gate, the other half follow later at a random gate.
    `run` makes the nonces of this run differ from those of any other.
    """
    chance = random.Random(seed)  # noqa: S311 - a rehearsal, no secret
    order = list(codes)
    chance.shuffle(order)
    again = order[: round(len(order) * duplicates)]
    racing = set(again[::2]) if gates > 1 else set()
    queues: list[list[tuple[str, bool]]] = [[] for _ in range(gates)]
    for ticket_id in order:
        shortest = sorted(range(gates), key=lambda gate: (len(queues[gate]), gate))
        queues[shortest[0]].append((ticket_id, ticket_id in racing))
        if ticket_id in racing:
            queues[shortest[1]].append((ticket_id, True))
        for more in range(1, persons.get(ticket_id, 1)):
            queues[shortest[more % gates]].append((ticket_id, False))
    for ticket_id in again:
        if ticket_id not in racing:
            queue = queues[chance.randrange(gates)]
            queue.insert(chance.randint(len(queue) // 2, len(queue)), (ticket_id, False))
    return Plan(tuple(_numbered(queues, codes, run)))


def _numbered(
    queues: Sequence[Sequence[tuple[str, bool]]], codes: Mapping[str, Sequence[str]], run: str
) -> Iterator[tuple[Scan, ...]]:
    """The scans of each gate, numbered throughout."""
    number = 0
    shown: Counter[str] = Counter()
    for gate, queue in enumerate(queues, start=1):
        scans = []
        for ticket_id, races in queue:
            code = codes[ticket_id][shown[ticket_id] % len(codes[ticket_id])]
            scans.append(Scan(number, ticket_id, code, f"gate-{gate}", f"scan-{run}-{number}", races))
            shown[ticket_id] += 1
            number += 1
        yield tuple(scans)
