"""When frames arrive: rules, cuts, healing and every quality of links, told for one stream of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from simulator.clock import MILLISECOND
from simulator.dice import Dice
from simulator.network import PERFECT, LinkQuality, Network, kind_of_frame
from tests.golden import Compare, Telling
from tests.simulation.stand_ins import StandInWorld, word

HERE = Path(__file__).parent / "golden"
HELLO = link_frame(m.Hello(b""))
WORLD = StandInWorld()


def vote(view: int) -> bytes:
    return WORLD.sign(m.Prepare(0, 0, view, 5, word("batch")))


def append(*bodies: bytes) -> bytes:
    return link_frame(m.AppendEntries(0, 1, 0, 0, bodies, 0))


class Links:
    """Tells when frames arrive that depart at a time, in microseconds after it."""

    def __init__(self, story: Telling, title: str, quality: LinkQuality = PERFECT) -> None:
        story.chapter(title)
        self.story, self.network = story, Network(Dice(3), quality)

    def sends(
        self, what: str, frame: bytes = HELLO, link: str = "ab", departs: int = 0, times: int = 1
    ) -> None:
        told = [
            [(at - departs) // 1_000 for at in self.network.arrivals(link[0], link[1], frame, departs)]
            for _ in range(times)
        ]
        self.story.say(f"{what}: {', '.join(map(str, told))}; {self.network.lost} lost so far")


def tell_effects(story: Telling) -> None:
    links = Links(story, "the effects of a rule")
    rule = links.network.when(sender="a")
    links.sends("a rule without effect")
    rule.delay(3 * MILLISECOND)
    links.sends("three milliseconds later")
    links.sends("the other way", link="ba")
    links.sends("a link of its own", link="ac")
    rule.duplicate(2)
    links.sends("and three times")
    rule.drop(0.5)
    links.sends("and every second one", times=8)
    rule.drop(0.0)
    links.sends("and no more lost", times=3)
    story.say(f"matched: {rule.matched}")
    links.network.forget(rule)
    links.network.forget(rule)
    links.sends("forgotten")


def tell_choice(story: Telling) -> None:
    links = Links(story, "the newest of several rules")
    links.network.when().delay(10 * MILLISECOND)
    links.network.when(sender="a").duplicate(times=2)
    links.sends("twice, at once, and then late", times=3)
    newest = links.network.when(sender="a", receiver="c").drop(times=1)
    links.sends("another receiver", link="ab")
    links.sends("dropped once", link="ac", times=2)
    links.sends("another sender", link="cb")
    links.network.forget(newest)
    links.network.when(sender="b").delay(MILLISECOND, times=1)
    links.sends("delayed once by the newest", link="ba", times=2)


def tell_matches(story: Telling) -> None:
    cases: dict[str, dict[str, Any]] = {
        "a kind": {"kind": m.Prepare},
        "a view": {"view": 2},
        "a kind and a view": {"kind": m.Prepare, "view": 2},
        "another kind and a view": {"kind": m.Commit, "view": 2},
        "entries": {"filled": "bodies"},
        "a sender": {"sender": "a"},
        "a receiver": {"receiver": "b"},
        "both": {"sender": "b", "receiver": "a"},
    }
    for what, said in cases.items():
        links = Links(story, f"frames with {what} are lost")
        links.network.when(**said).drop()
        links.sends("a greeting")
        links.sends("a vote in view 1", vote(1))
        links.sends("a vote in view 2", vote(2))
        links.sends("entries", append(b"body"))
        links.sends("no entries", append())
        links.sends("noise", b"\x95\xffnoise")
        links.sends("a byte", b"x")
        links.sends("a greeting back", link="ba")


def tell_cuts(story: Telling) -> None:
    links = Links(story, "cuts", LinkQuality(5, 9 * MILLISECOND, 0.5, 70 * MILLISECOND, 0.3, 0.3, 0.3))
    network = links.network
    network.cut("a", "b")
    links.sends("only one way is cut", times=4)
    links.sends("the other one is not", link="ba", times=4)
    network.when().drop()
    network.part(["a", "b"], ["c"], ["d", "e"])
    names = "abcde"
    for here in names:
        story.say(f"{here} reaches {''.join(there for there in names if network.carries(here, there))}")
    links.sends("a cut link", times=2)
    links.sends("one whose frames are lost", link="ba")
    network.heal()
    story.say(f"{len(network.cuts)} cuts and {len(network.rules)} rules; {network.quality}")
    links.sends("healed", times=5)


def tell_qualities(story: Telling) -> None:
    plain = LinkQuality(MILLISECOND, 5 * MILLISECOND)
    cases: dict[str, dict[str, Any]] = {
        "a latency": {},
        "a latency that is the same": {"latency_max": MILLISECOND},
        "a highest latency below the lowest": {"latency_max": 0},
        "some slow frames": {"slow_share": 0.3, "slow_max": 90 * MILLISECOND},
        "slow frames that are none": {"slow_share": 1.0, "slow_max": 0},
        "losses": {"loss": 0.4},
        "copies": {"duplication": 0.4},
        "another order": {"reorder": 0.5},
        "all at once": {"slow_share": 0.2, "loss": 0.2, "duplication": 0.3, "reorder": 0.3},
    }
    for what, said in cases.items():
        links = Links(story, f"links with {what}", msgspec.structs.replace(plain, **said))
        links.sends("twelve frames", times=12)
        links.sends("another link", link="ba", times=3)
        links.sends("later", departs=100 * MILLISECOND, times=3)
        links.network.when().delay(20 * MILLISECOND).duplicate()
        links.sends("by a rule", departs=300 * MILLISECOND, times=3)


def test_frames_arrive_as_links_and_rules_say(golden: Compare) -> None:
    story = Telling()
    tell_effects(story)
    tell_choice(story)
    tell_matches(story)
    tell_cuts(story)
    tell_qualities(story)
    golden(HERE / "network.txt", story.text)


def test_the_kind_of_a_frame_is_its_second_byte() -> None:
    assert kind_of_frame(HELLO) is m.Hello
    assert kind_of_frame(vote(1)) is m.Prepare
    assert kind_of_frame(b"\x95\xffnoise") is None
    assert kind_of_frame(b"x") is None
    assert kind_of_frame(b"") is None
