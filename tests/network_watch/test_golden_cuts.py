"""Tells all that is said of cuts: of networks that somebody made up in words, and of many that were drawn."""

from __future__ import annotations

from random import Random

import msgspec

from dtvn.protocol.quorum import Mode
from tests.api.telling import beside
from tests.golden import Compare, Telling
from tests.network_watch.seen import NAMES, between, look
from validators.network_watch.cuts import cut_of
from validators.network_watch.deciding import SURE_FRESH, known_to_decide, outlook
from validators.network_watch.hearing import Hearing, State

SEVEN = tuple("abcdefg")
DRAWN = 300
"""Networks that are drawn."""


def tell(story: Telling, hearing: Hearing) -> None:
    """Everything that is known of one look; the n-th silent pair is silent since n."""
    silent = [pair for pair in hearing.pairs() if hearing.state(pair) is State.SILENT]
    story.say(f"  {hearing.mode.value}: {outlook(hearing) or 'nothing'}")
    story.say(f"  knows of a quorum: {', '.join(known_to_decide(hearing)) or '-'}")
    cut = cut_of(hearing, {pair: float(place) for place, pair in enumerate(silent)})
    if cut is None:
        story.say("  no cut")
        return
    for statement in cut.statements:
        story.say(f"  {statement.sentence(lambda at: f'{at:.0f}')}")
    groups = " | ".join(" ".join(group) for group in cut.groups)
    story.say(f"  groups {groups}; decides {' '.join(cut.decides)}; may {' '.join(cut.may_decide)}")
    story.say(f"  {cut.consequence}")
    story.say(f"  certain {cut.certain}, extent {cut.extent}, since {cut.since:.0f}, {cut.severity or '-'}")


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
    for title, seen in looks.items():
        story.chapter(title)
        for mode in Mode:
            tell(story, msgspec.structs.replace(seen, mode=mode))
    story.chapter("one alone that runs here, though it reports nothing")
    tell(
        story,
        msgspec.structs.replace(
            look(9.0, *lone, unseen=["auditor"]), running=frozenset({"auditor"}), silent=frozenset(lone)
        ),
    )
    for late in (SURE_FRESH, SURE_FRESH + 0.1):
        story.chapter(f"one alone, and a report is {late} seconds late")
        tell(story, msgspec.structs.replace(look(9.0, *lone), late={"venue": late}))
    golden(beside(__file__, "cuts"), story.text)


def test_cuts_that_were_drawn(golden: Compare) -> None:
    chance, story = Random(7), Telling()
    for place in range(DRAWN):
        names = SEVEN[: chance.randint(1, len(SEVEN))]
        pairs = [(one, other) for one in names for other in names if one != other]
        few = chance.choice((0.1, 0.3, 0.6, 0.9))
        silent = [pair for pair in pairs if chance.random() < few]
        side = {name for name in names if chance.random() < 0.5}
        if place % 2:
            silent += between(side, set(names) - side)
        unseen, stopped, hanging, running, late = (
            {name for name in names if chance.random() < 0.15} for _ in range(5)
        )
        found = look(
            9.0,
            *silent,
            names=names,
            unseen=unseen | stopped,
            stopped=stopped,
            hanging=hanging - stopped,
            mode=chance.choice([*Mode]),
        )
        story.say(f"{place}: {sorted(silent)}")
        tell(
            story,
            msgspec.structs.replace(
                found, running=frozenset(running - stopped - hanging), late=dict.fromkeys(sorted(late), 3.5)
            ),
        )
    golden.drawn(beside(__file__, "drawn-cuts"), story.text)
