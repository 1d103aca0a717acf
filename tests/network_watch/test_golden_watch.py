"""Tells each second what a watch knows of members that are cut, hang, report late, come and return."""

from __future__ import annotations

from random import Random

import pytest

from dtvn.protocol.durations import SECOND
from tests.api.telling import beside
from tests.golden import Compare, Telling
from tests.network_watch.members import BEGAN, Members
from tests.network_watch.seen import NAMES, between
from validators.network_watch.watch import NetworkWatch

START = BEGAN / SECOND
SECONDS = 600
SIDES = (["venue"], ["auditor"], ["venue", "seller"])


def tell(story: Telling, members: Members) -> None:
    watch = members.watch
    hearing, cut = watch.hearing, watch.cut
    silent = " ".join(">".join(pair) for pair in sorted(hearing.silent))
    reports = " ".join(f"{name}:{len(ages)}" for name, ages in hearing.ages.items())
    story.say(f"{members.seconds} version {watch.version}, silent {silent or '-'}, reports {reports or '-'}")
    if cut is not None:
        since = [f"{each.since - START:.1f}" for each in cut.statements]
        story.say(f"  {cut.what} {since}; {cut.severity}; {cut.groups}; {cut.consequence}; {cut.certain}")


def change(chance: Random, members: Members) -> str:
    """Something happens to the network."""
    draw = chance.random()
    if draw < 0.25:
        members.cut.clear()
        return "heals"
    if draw < 0.5:
        side = chance.choice(SIDES)
        members.lose(between(side, [name for name in members.names if name not in side]))
        return f"{side} cut off"
    if draw < 0.6:
        pair = tuple(chance.sample(members.names, 2))
        members.lose([(pair[0], pair[1])])
        return f"{pair} one way"
    if draw < 0.8:
        members.unseen = {name for name in NAMES if chance.random() < 0.3}
        return f"unseen {sorted(members.unseen)}"
    if draw < 0.9:
        members.delay = chance.choice((0.0, 0.5, 2.0))
        return f"late by {members.delay}"
    members.own = {name: chance.choice((True, False, None)) for name in NAMES if chance.random() < 0.4}
    return f"own {members.own}"


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_watch_knows(golden: Compare, seed: int) -> None:
    story, chance, members = Telling(), Random(seed), Members(NetworkWatch())
    for second in range(SECONDS):
        if second > 20 and chance.random() < 0.08:
            story.say(change(chance, members))
        if second in (SECONDS // 3, 2 * SECONDS // 3):
            members.names = (*NAMES, "guest") if len(members.names) == len(NAMES) else NAMES
            story.say(f"members {members.names}")
        members.pass_seconds(1)
        tell(story, members)
    for pair in between(["venue"], [*NAMES[1:], "guest"]):
        told = [
            f"{each.state.value} {each.start - START:.1f} to {each.end - START:.1f}"
            for each in members.watch.hour.spans(pair)
        ]
        story.say(f"{pair}: {told}")
    golden.drawn(beside(__file__, f"watch-{seed}"), story.text)
