"""Tells the spans in which members heard each other, look by look: the same moment twice, a clock that is set
back, minutes without a look, members that come and go, and what is older than an hour."""

from __future__ import annotations

from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.network_watch.seen import between, look
from validators.network_watch.spans import Hour

PAIRS = (("venue", "seller"), ("seller", "venue"), ("auditor", "venue"), ("guest", "venue"))
START = 1_790_000_000.0


def test_what_spans_tell(golden: Compare) -> None:
    story, spans = Story(), Hour()

    def add(what: str, seconds: float, *silent: tuple[str, str], **named: object) -> None:
        spans.add(look(START + seconds, *silent, **named))  # type: ignore[arg-type]
        story.say(what)
        for pair in PAIRS:
            since = spans.since(pair)
            told = [
                f"{each.state.value} {each.start - START:.1f} to {each.end - START:.1f}"
                for each in spans.spans(pair)
            ]
            story.say(f"  {' hears '.join(pair)}: since {since and since - START}, {'; '.join(told)}")

    halves = between(["venue"], ["seller"])
    add("all hear each other", 0)
    add("the same moment again", 0)
    add("one direction is silent", 20, ("venue", "seller"))
    add("both are", 21, *halves)
    add("the same moment, other words", 21, ("seller", "venue"))
    add("silent for longer than known", 40, *halves, age=60.0)
    add("never heard", 45, ("auditor", "venue"), age=None)
    add("one does not report", 50, *halves, unseen=("venue",))
    add("it reports again", 55, *halves, age=4.0)
    add("all hear each other", 60)
    add("no look for minutes", 400)
    add("a member more", 410, names=("venue", "promoter", "seller", "auditor", "guest"))
    add("and it is gone", 411)
    add("stopped and hanging", 420, stopped=("seller",), hanging=("auditor",))
    for minutes in range(8, 75, 8):
        spans.add(look(START + minutes * 60, *(halves if minutes % 16 else ())))
    add("after an hour", 75 * 60)
    add("the clock is set back", 30)
    golden(beside(__file__, "spans"), str(story))
