"""One node of a StateSynchronizer in a process of its own: commands on stdin, answers on stdout, JSON a
line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from dtvn.events.config import CircuitBreakerConfig, StateSyncConfig
from dtvn.gateway import OwedSummary, StateSnapshot, StateSyncError, StateSynchronizer
from dtvn.net import QuestionLinks
from dtvn.sync import View


def resolve(older: View, newer: View) -> View:
    """custom: the longer text, else the newer one."""
    return older if len(str(older.value)) > len(str(newer.value)) else newer


def main() -> None:
    told = json.loads(sys.stdin.readline())
    name, places = told["name"], told["places"]
    keys = {each: bytes.fromhex(place[0]) for each, place in places.items()}
    peers = {each: (keys[each], place[1], place[2]) for each, place in places.items() if each != name}
    links = QuestionLinks(bytes.fromhex(told["seed"]), peers)
    node = StateSynchronizer(
        name, bytes.fromhex(told["seed"]), bytes(32), keys, peers=links,
        config=msgspec.convert(told["config"], StateSyncConfig), resolver=resolve,
        breaker=CircuitBreakerConfig(name="state-sync", max_failures=5, timeout=told.get("timeout", 5.0)),
        folder=Path(told["folder"]) if told.get("folder") else None,
    )  # fmt: skip
    links.serve(places[name][1], places[name][2], node.answer)
    for line in sys.stdin:
        command, *given = json.loads(line)
        try:
            answer = _do(node, command, given)
        except (StateSyncError, ValueError) as error:
            answer = {"error": str(error)}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()
    node.close()
    links.close()


def _do(node: StateSynchronizer, command: str, given: list[object]) -> object:
    if command == "apply":
        return node.apply_snapshot(msgspec.json.decode(str(given[0]), type=StateSnapshot))
    if command == "owe":
        node.owing = lambda: msgspec.convert(given[0], list[OwedSummary], strict=False)
        return None
    found = getattr(node, command)(*given)
    return sorted(found) if isinstance(found, frozenset) else found


if __name__ == "__main__":
    main()
