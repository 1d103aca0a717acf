"""Questions between processes that know each other's keys, over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dtvn.net import NoAnswer, QuestionLinks, public_key_of
from tests.ports import LOOPBACK, free_ports
from tests.waiting import PATIENCE

SEEDS = {name: name.encode() * 32 for name in "abc"}


@pytest.fixture
def links() -> Iterator[dict[str, QuestionLinks]]:
    """Of `a`, which answers `b` and does not know `c`."""
    port, other = free_ports(2)
    places = {name: (public_key_of(SEEDS[name]), LOOPBACK, at) for name, at in (("a", port), ("b", other))}
    made = {name: QuestionLinks(seed, places) for name, seed in SEEDS.items()}
    hangs = threading.Event()

    def answer(name: str, body: bytes) -> bytes:
        if body == b"a mistake":
            raise ValueError("no")
        if body == b"forever":
            hangs.wait(PATIENCE)
        return name.encode() + b" said " + body

    made["a"].serve(LOOPBACK, port, answer)
    with pytest.raises(OSError, match="in use"):
        made["b"].serve(LOOPBACK, port, answer)
    yield made
    hangs.set()
    for each in made.values():
        each.close()


def test_a_question_that_fails_is_refused_and_the_next_one_answered(
    links: dict[str, QuestionLinks],
) -> None:
    asker = links["b"]
    assert asker.active() == ["a", "b"]
    assert asker.ask("a", b"one", PATIENCE) == b"b said one"
    with pytest.raises(NoAnswer, match="a refused the question"):
        asker.ask("a", b"a mistake", PATIENCE)
    assert asker.ask("a", b"two", PATIENCE) == b"b said two"


def test_who_is_unknown_silent_or_not_let_in_is_named(links: dict[str, QuestionLinks]) -> None:
    for asker, name, body, why in (
        ("b", "d", b"one", "d is no peer here"),
        ("c", "a", b"one", "a is not reached: the connection is refused"),
        ("b", "b", b"one", "b is not reached: the connection is refused"),
        ("b", "a", b"forever", "a is not reached: it did not answer within 0.3 s"),
    ):
        with pytest.raises(NoAnswer, match=why):
            links[asker].ask(name, body, 0.3 if body == b"forever" else PATIENCE)
