"""The page of messages says of each what the code says, and what is seen where it is played."""

import re
from pathlib import Path
from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from tests.docs.played import Seen, played

pytestmark = pytest.mark.ci

PAGE = Path(__file__).resolve().parents[2] / "docs" / "understand" / "protocol" / "messages.md"
KINDS = sorted(m.KINDS.values(), key=lambda kind: kind.__name__)
PLAYED = [kind for kind in KINDS if kind not in (m.Hello, m.Continuation, m.Gossip, m.Judge, m.Judged)]
"""With a Hello a connection begins, and the simulator's always stand; a Continuation goes from hand to
hand, Gossip is the overlay's; in the worlds played here nobody asks about events
(tests/integration/test_event_votes.py has these)."""
OUTSIDE = frozenset({"epoch", "sender"})
"""Fields that the page leaves out."""
ROLES = {
    "gateway": {"gateway"},
    "client": {"gateway"},
    "learner": {"learner"},
    "primary": {"primary"},
    "backup": {"backup"},
    "replica": {"primary", "backup"},
    "all": {"primary", "backup"},
}
FACTS = {
    "itself": {"itself"},
    "the batch": {"the batch"},
    "the PRE-PREPARE": {"the PRE-PREPARE"},
    "the prepared certificate": {"the prepared certificate", "the PRE-PREPARE"},
    "the entry": {"the entry", "synced"},
    "the entry, written": {"the entry"},
    "the state": {"the state"},
    "the term": {"the term"},
    "the term, unless it only asks": {"the term"},
    "the term, unless it was only asked": {"the term"},
    "-": set[str](),
}
"""What the last column says, in the words of tests.docs.played."""


def rows() -> dict[str, list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: row for row in cells if row[0] != "name"}


def cell(kind: type[Any], column: int) -> str:
    return rows()[kind.__name__][column]


def roles(text: str) -> set[str]:
    named = [ROLES[word] for word in re.findall(r"\w+", text) if word in ROLES]
    return set().union(*named)


def seen_of(kind: type[Any]) -> Seen:
    seen = played().get(kind)
    assert seen is not None, f"no world of tests/docs/played.py plays a {kind.__name__}"
    return seen


def test_the_page_lists_every_message_and_no_other() -> None:
    assert sorted(rows()) == sorted(message.__name__ for message in m.KINDS.values())


def test_the_page_says_who_signs() -> None:
    for message in m.KINDS.values():
        expected = {True: "link", False: "principal" if message is m.Bundle else "replica"}
        assert cell(message, 4) == expected[message in m.LINK], message.__name__


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_names_what_a_message_carries(kind: type[Any]) -> None:
    fields = [name for name in kind.__struct_fields__ if name not in OUTSIDE]
    assert re.findall(r"`(\w+)`", cell(kind, 3)) == fields


@pytest.mark.parametrize("kind", PLAYED)
def test_the_page_says_which_messages_have_an_attachment(kind: type[Any]) -> None:
    assert ("attachment" in cell(kind, 3)) == seen_of(kind).attached


@pytest.mark.parametrize("kind", PLAYED)
def test_the_page_says_who_sends(kind: type[Any]) -> None:
    """Signed messages: exactly these senders. Unsigned questions and answers: a subset of them."""
    seen, (first, _, rest) = seen_of(kind), cell(kind, 1).partition(";")
    senders = seen.senders - {""}
    assert senders == roles(first) if kind not in m.LINK else senders and senders <= roles(first)
    assert ("passed on" in rest) == seen.passed_on


@pytest.mark.parametrize("kind", PLAYED)
def test_the_page_says_who_receives(kind: type[Any]) -> None:
    seen, receivers = seen_of(kind), cell(kind, 2)
    assert seen.receivers - {""} <= roles(receivers)
    assert bool(re.search(r"\ball\b", receivers)) == seen.to_all


@pytest.mark.parametrize("kind", PLAYED)
def test_the_page_lists_facts_that_are_durable_before_each_message(kind: type[Any]) -> None:
    """Listed facts held for every sender; for signed statements, every fact that held is listed."""
    claimed = set().union(*(FACTS[fact] for fact in cell(kind, 5).split("; ")))
    durable = seen_of(kind).durable
    assert claimed <= durable
    if kind in m.STATEMENTS or "the entry" in claimed:
        assert claimed == durable
