"""One event is shown under a run's root without the others, and under no other place or root."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.judging import Event, event_digest
from dtvn.events.transcript import event_path, is_included, run_root
from dtvn.protocol.consensus import log_tree


def run_of(count: int) -> list[Event]:
    """Events of one text: only their salts tell them apart."""
    return [Event(sha256(b"%d" % number).digest()[:16], b'{"type":"RAW"}') for number in range(count)]


@given(st.integers(1, 70), st.data())
def test_one_event_is_shown_without_the_others(count: int, data: st.DataObject) -> None:
    run = run_of(count)
    digests = [event_digest(event) for event in run]
    index = data.draw(st.integers(0, count - 1))
    path, root = event_path(digests, index), run_root(digests)
    assert is_included(run[index], index, count, path, root)
    touched = msgspec.structs.replace(run[index], text=b'{"type":"RAW" }')
    resalted = msgspec.structs.replace(run[index], salt=bytes(16))
    for event, place, size, siblings in (
        (touched, index, count, path),
        (resalted, index, count, path),
        (run[index], index + 1, count, path),
        (run[index], index, count, (*path, bytes(32))),
        (run[index], index, 2 * count, path),
    ):
        assert not is_included(event, place, size, siblings, root)


def test_a_run_that_goes_on_has_the_root_of_its_frontier() -> None:
    digests = [event_digest(event) for event in run_of(40)]
    frontier = log_tree.Frontier()
    for count, digest in enumerate(digests, 1):
        frontier = log_tree.append(frontier, digest)
        assert log_tree.root(frontier) == run_root(digests[:count])


def test_an_event_that_is_not_there_has_no_path() -> None:
    with pytest.raises(ValueError, match="has no leaf 3"):
        event_path([event_digest(event) for event in run_of(3)], 3)
