"""What is said of networks that somebody made up in words, and laws of any."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.protocol.quorum import Mode, quorum
from tests.golden import Compare, Telling
from tests.network_watch.seen import NAMES, between, look
from tests.network_watch.test_cuts import seen
from validators.network_watch.deciding import SURE_FRESH, known_to_decide, outlook
from validators.network_watch.hearing import Hearing

SEVEN = tuple("abcdefg")


def said(hearing: Hearing) -> list[str]:
    """As the network's page has it; the n-th silent pair is silent since n."""
    found = seen(hearing)
    if found is None:
        return [f"{hearing.mode.value}: no cut. {outlook(hearing)}"]
    statements = "; ".join(each.sentence(lambda at: f"{at - 900:.0f}") for each in found.statements)
    sure = "" if found.certain else " (not certain)"
    return [f"{hearing.mode.value}: {statements}{sure}", f"  {found.consequence}"]


def test_cuts_between_four_members(golden: Compare) -> None:
    story = Telling()
    lone = between(["auditor"], NAMES[:3])
    halves = between(NAMES[:2], NAMES[2:])
    looks = {
        "all hear each other": look(9.0),
        "one alone": look(9.0, *lone),
        "one alone, of which nothing is seen": look(9.0, *lone, unseen=["auditor"]),
        "one alone that hangs": look(9.0, *lone, unseen=["auditor"], hanging=["auditor"]),
        "one alone that was stopped": look(9.0, *lone, unseen=["auditor"], stopped=["auditor"]),
        "halves": look(9.0, *halves),
        "halves, and one way inside of one": look(9.0, *halves, ("venue", "promoter")),
        "halves of which one is not seen": look(9.0, *halves, unseen=NAMES[2:]),
        "halves, one hangs and one is not seen": look(9.0, *halves, unseen=NAMES[2:], hanging=["seller"]),
        "one way": look(9.0, ("venue", "promoter")),
        "both ways": look(9.0, *between(["venue"], ["promoter"])),
        "one way, of one that is not seen": look(9.0, ("venue", "promoter"), unseen=["promoter"]),
        "each alone": look(9.0, *[(one, other) for one in NAMES for other in NAMES if one != other]),
        "two members": look(9.0, ("venue", "seller"), names=("venue", "seller")),
        "two members apart": look(9.0, *between(["venue"], ["seller"]), names=("venue", "seller")),
        "two are not seen, and hang": look(9.0, *lone, unseen=NAMES[:2], hanging=NAMES[:2]),
    }
    looks["one alone that runs here, though it reports nothing"] = msgspec.structs.replace(
        look(9.0, *lone, unseen=["auditor"]), running=frozenset({"auditor"}), silent=frozenset(lone)
    )
    for late in (SURE_FRESH, SURE_FRESH + 0.1):
        looks[f"one alone, and a report is {late} seconds late"] = msgspec.structs.replace(
            look(9.0, *lone), late={"venue": late}
        )
    for title, hearing in looks.items():
        story.chapter(title)
        story.lines += said(hearing)
        with_raft = said(msgspec.structs.replace(hearing, mode=Mode.RAFT))
        if [line.removeprefix("raft") for line in with_raft] != [
            line.removeprefix("pbft") for line in said(hearing)
        ]:
            story.lines += with_raft
    golden(Path(__file__).parent / "golden" / "cut-sentences.txt", story.text)


some = st.frozensets(st.sampled_from(SEVEN))
pairs = st.frozensets(st.tuples(st.sampled_from(SEVEN), st.sampled_from(SEVEN)))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 7), some, pairs, some, some, some, st.sampled_from(Mode))
def test_only_a_quorum_that_reaches_each_other_is_said_to_decide(
    count: int, side: frozenset[str], apart: frozenset[tuple[str, str]], unseen: frozenset[str],
    stopped: frozenset[str], hanging: frozenset[str], mode: Mode,
) -> None:  # fmt: skip
    names = SEVEN[:count]
    silent = {*apart, *between(side, set(names) - side)}
    here = [pair for pair in silent if set(pair) <= set(names) and pair[0] != pair[1]]
    hearing = look(
        9.0,
        *here,
        names=names,
        unseen=unseen | stopped,
        stopped=stopped,
        hanging=hanging - stopped,
        mode=mode,
    )
    found, needed = seen(hearing), quorum(count, mode)
    decides = known_to_decide(hearing)
    assert not decides or len(decides) >= needed
    if found is None:
        return
    grouped = [name for group in found.groups for name in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= set(names) - stopped
    assert not found.decides or len(found.decides) >= needed
    assert any(set(found.decides) <= set(group) for group in found.groups)
    assert not found.decides or not found.may_decide
