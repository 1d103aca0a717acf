"""Probes whether each node's own API answers, in separate threads: a process that hangs delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import msgspec

from dtvn.node.kept_ports import kept_port
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from validators.data_folder.folder import DataFolder
from validators.data_folder.tcp_ports import LOOPBACK
from validators.local_get import NO_ANSWER, get

LOOK_INTERVAL = 0.25
WELL_INTERVAL = 3.0
"""Seconds between two probes of one node, and of one that answers."""
TOGETHER = 1.0
"""Seconds by which a probe is early to go with another one, so that the thread wakes less often."""
ANSWER_PATIENCE = 2.0
MISSES_MAX = 3
"""This many late answers in a row count as no answer, because a busy machine is slow. A refused connection
counts at once."""
ASKED_AT_ONCE = 8


class Known(msgspec.Struct):
    """Probe results of one node's API, in one run of its process."""

    run: str
    answers: bool = False
    misses: int = 0
    asked_at: float = 0.0


class ApiProbes:
    """Requests `/health` of the nodes that `watch` names, until told to stop. A process that has ended is
    noticed without it."""

    def __init__(self, folder: DataFolder, changed: Callable[[], object] = lambda: None) -> None:
        """`changed` is called when an API begins to answer, or no longer does."""
        self._changed = changed
        self._waking = threading.Event()
        self._places = ClusterFolder(folder.root)
        self._known: dict[str, Known] = {}

    def watch(self, runs: Mapping[str, str]) -> None:
        """Sets the nodes to probe: those whose process runs, each with the token of that run. A new process
        is unknown until it has answered."""
        before = self._known
        self._known = {
            name: before[name] if name in before and before[name].run == run else Known(run)
            for name, run in runs.items()
        }
        if any(each is not before.get(name) for name, each in self._known.items()):
            self.wake()

    def answers(self, name: str) -> bool:
        """Whether its API answered the last probe; False for a node without an API."""
        known = self._known.get(name)
        return known is not None and known.answers

    def run(self, stop: threading.Event) -> None:
        """The thread's main function."""
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="api-probe") as pool:
            while not stop.is_set():
                list(pool.map(self._ask, self.due(time.monotonic() + TOGETHER)))
                self._waking.wait(self.rest(time.monotonic()))
                self._waking.clear()

    def wake(self) -> None:
        """End the rest of `run`: a node is to be probed, or the thread is to stop."""
        self._waking.set()

    def rest(self, now: float) -> float:
        """Seconds between a probe that ended now, in monotonic seconds, and the next one."""
        left = (each.asked_at + WELL_INTERVAL - now for each in self._known.values())
        return LOOK_INTERVAL if self.due(now) else min(left, default=WELL_INTERVAL)

    def due(self, now: float) -> list[str]:
        """The nodes to probe now, in monotonic seconds."""
        known = self._known
        return [
            name
            for name, each in known.items()
            if not each.answers or each.misses or now - each.asked_at >= WELL_INTERVAL
        ]

    def _ask(self, name: str) -> None:
        known = self._known.get(name)
        if known is None:
            return
        answered = known.answers
        self._probe(name, known)
        if known.answers != answered:
            self._changed()

    def _probe(self, name: str, known: Known) -> None:
        begun = known.asked_at = time.monotonic()
        try:
            port = kept_port(self._places.node(name), "api")
        except StartError:
            port = None
        if not port:
            known.answers = True
            return
        try:
            healthy = get(LOOPBACK, port, "/health", patience=ANSWER_PATIENCE, most=0).status == HTTPStatus.OK
        except NO_ANSWER:
            healthy = False
        known.misses = 0 if healthy else known.misses + 1
        late = time.monotonic() - begun >= ANSWER_PATIENCE
        known.answers = healthy or (known.answers and late and known.misses < MISSES_MAX)
