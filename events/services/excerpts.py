"""The events that broke a rule, with their neighbours, in the memory of this process alone.

What an agent says may be personal, and belongs to the agent's operator: no database, log or backup gets it
from here. So it is gone with the process, after RUNS_MAX further runs, and once a run is erased.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dtvn.events.rules import Violation

RUNS_MAX = 200
EACH_MAX = 20
"""Most offending events kept of one run."""
NEIGHBOURS = 2
"""Events shown before the offending one; one after it."""
CHARACTERS_MAX = 400
"""Most characters kept of each event; all excerpts together take at most about 30 MB."""


class Excerpt(msgspec.Struct):
    """An event that broke a rule, and those around it, each with its index in the run."""

    index: int
    message: str
    """Sentence of the violation, which may quote ids of the event."""
    before: tuple[tuple[int, str], ...]
    text: str
    after: tuple[int, str] | None = None


class Excerpts:
    """The excerpts of one run."""

    def __init__(self) -> None:
        self.found: list[Excerpt] = []
        self._recent: deque[tuple[int, str]] = deque(maxlen=NEIGHBOURS)
        self._open: list[Excerpt] = []

    def take(self, position: int, texts: Sequence[bytes], violations: Iterable[Violation]) -> None:
        """Add the offending events among `texts`, the first of which has index `position`, with their
        neighbours."""
        sentences: dict[int, str] = {}
        for violation in violations:
            sentences.setdefault(violation.index, violation.message)
        near = {position + place for place in range(max(len(texts) - NEIGHBOURS, 0), len(texts))}
        for index in sentences:
            near.update(range(index - NEIGHBOURS, index + 2))
        for index, text in enumerate(texts, position):
            if index in near or self._open:
                self._add(index, _shown(text), sentences.get(index))

    def _add(self, index: int, text: str, sentence: str | None) -> None:
        for waiting in self._open:
            waiting.after = (index, text)
        self._open = []
        if sentence is not None and len(self.found) < EACH_MAX:
            before = tuple(each for each in self._recent if each[0] >= index - NEIGHBOURS)
            excerpt = Excerpt(index, sentence, before, text)
            self.found.append(excerpt)
            self._open.append(excerpt)
        self._recent.append((index, text))


def _shown(text: bytes) -> str:
    shown = text[: 4 * CHARACTERS_MAX].decode(errors="replace")
    return shown if len(shown) <= CHARACTERS_MAX else shown[: CHARACTERS_MAX - 1] + "…"


_kept: OrderedDict[int, Excerpts] = OrderedDict()
_lock = threading.Lock()


def keep(run_id: int, excerpts: Excerpts) -> None:
    """Keep the excerpts of a run; beyond RUNS_MAX the oldest run's are dropped."""
    with _lock:
        _kept[run_id] = excerpts
        while len(_kept) > RUNS_MAX:
            _kept.popitem(last=False)


def erase(run_id: int) -> None:
    """Forget the excerpts of a run."""
    with _lock:
        _kept.pop(run_id, None)


def read(run_id: int) -> list[Any]:
    """The excerpts of a run as JSON values; [] if this process has none."""
    kept = _kept.get(run_id)
    return [] if kept is None else [msgspec.to_builtins(each) for each in list(kept.found)]
