"""R41 against a model that keeps the whole history of each ticket and counts it anew for every question."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine import (
    Admit,
    Annul,
    Command,
    Consume,
    EventList,
    Force,
    ListedState,
    SetEvent,
    State,
    read_state,
)
from tests.tickets_machine.doors import EVENT, Door
from tests.tickets_machine.support import HOUR, MINUTE
from tests.tickets_machine.test_lists import door_with

DAY = 24 * HOUR
TICKETS = ("T-1", "T-2")
SLUGS = ("main", "vip", "bar")
KEPT = 16


class Made:
    """A movement of a ticket, or an annulment."""

    def __init__(self, slug: str, kind: str, at: int, day: int, who: tuple[str, str]) -> None:
        self.slug, self.kind, self.at, self.day, self.who = slug, kind, at, day, who
        self.stands = kind != "annul"


class Model:
    """What R41 says, in its own words. `who`: (device, actor)."""

    def __init__(self, persons: int) -> None:
        self.persons = persons
        self.lists = {"main": EventList("main")}
        self.history: dict[str, list[Made]] = {ticket: [] for ticket in TICKETS}
        self.states = dict.fromkeys(TICKETS, State.ISSUED)

    def says(self, lists: tuple[EventList, ...]) -> None:
        self.lists = {"main": EventList("main")} | {each.slug: each for each in lists}

    def day(self, slug: str, now: int) -> int:
        shift = sum(offset for _moment, offset in self.lists[slug].offsets)
        return (now + shift * 1_000_000) // DAY

    def stand(self, ticket: str, slug: str, now: int) -> tuple[int, int]:
        """E and X."""
        every = [made for made in self.history[ticket] if made.slug == slug and made.kind != "annul"]
        last = max([made.day for made in every], default=0)
        standing = [made for made in every if made.stands]
        if self.lists[slug].rule == "daily":
            today = self.day(slug, now)
            standing = [made for made in standing if made.day == last] if today <= last else []
        exits = sum(made.kind == "exit" for made in standing)
        return len(standing) - exits, exits

    def left(self, ticket: str, slug: str, now: int) -> bool:
        """Whether an entry is left."""
        listed = self.lists[slug]
        entries, exits = self.stand(ticket, slug, now)
        each = {"once": 1, "daily": 1, "times": listed.times}.get(listed.rule)
        used = entries - exits if listed.returns else entries
        return each is None or used < each * self.persons

    def refusal(self, ticket: str, slug: str, kind: str, now: int, who: tuple[str, str]) -> str:
        if slug not in self.lists:
            return "unknown_list"
        listed = self.lists[slug]
        entries, exits = self.stand(ticket, slug, now)
        if kind == "entry":
            if not self.left(ticket, slug, now):
                return "already_consumed"
            if listed.exit_first and entries - exits >= self.persons:
                return "still_inside"
            inside = [self.stand(each, slug, now) for each in TICKETS]
            if listed.capacity and sum(e - x for e, x in inside) >= listed.capacity:
                return "list_full"
        if kind == "exit" and entries <= exits:
            return "not_inside"
        if kind == "annul":
            made = self.newest(ticket, slug)
            if made is None or made.who[0] != who[0] or made.who != who:
                return "not_the_newest"
            if now > made.at + 15 * MINUTE:
                return "too_late_to_annul"
        return "ok"

    def newest(self, ticket: str, slug: str) -> Made | None:
        kept = self.history[ticket][-KEPT:]
        return next((made for made in reversed(kept) if made.stands and made.slug == slug), None)

    def does(self, ticket: str, slug: str, kind: str, now: int, who: tuple[str, str]) -> str:
        code = self.refusal(ticket, slug, kind, now, who)
        if code != "ok":
            return code
        history = self.history[ticket]
        if kind == "annul":
            taken = self.newest(ticket, slug)
            assert taken is not None
            taken.stands = False
        day = max(
            [
                self.day(slug, now),
                *(made.day for made in history if made.slug == slug and made.kind != "annul"),
            ]
        )
        history.append(Made(slug, kind, now, day, who))
        if slug == "main":
            self.states[ticket] = State.VALIDATED if self.left(ticket, slug, now) else State.CONSUMED
        elif self.states[ticket] is State.ISSUED:
            self.states[ticket] = State.VALIDATED
        return code


lists = st.builds(
    lambda slug, rule, times, returns, exit_first, capacity, shift: EventList(
        slug,
        rule=rule,
        times=times if rule == "times" else 0,
        returns=returns,
        exit_first=exit_first,
        capacity=capacity,
        offsets=((0, shift),) if rule == "daily" else (),
    ),
    st.sampled_from(SLUGS),
    st.sampled_from(("once", "daily", "times", "free")),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from((0, 0, 1, 2, 3)),
    st.sampled_from((0, 7_200, -18_000)),
)
programmes = st.lists(lists, max_size=3, unique_by=lambda each: each.slug).map(
    lambda found: tuple(sorted(found, key=lambda each: each.slug))
)
moves = st.tuples(
    st.sampled_from(("entry", "entry", "entry", "exit", "exit", "annul", "annul", "force", "consume")),
    st.sampled_from(TICKETS),
    st.sampled_from(SLUGS),
    st.sampled_from(("d1", "d1", "d2")),
    st.sampled_from(("anna", "anna", "otto")),
    st.sampled_from((1, MINUTE, 10 * MINUTE, 15 * MINUTE, 5 * HOUR, 20 * HOUR)),
)
steps = st.lists(st.one_of(moves, moves, moves, moves, moves, programmes, st.just("restart")), max_size=40)


def command(door: Door, kind: str, ticket: str, slug: str, device: str) -> Command:
    code = door.digest("ABC" if ticket == "T-1" else "DEF")
    if kind == "annul":
        return Annul("north", device, code, slug)
    if kind == "force":
        return Force("north", device, code, slug, "why")
    return Admit("north", device, code, slug, kind)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3), programmes, steps, st.booleans())
def test_r41(persons: int, first: tuple[EventList, ...], play: list[Any], searched: bool) -> None:
    door = door_with(*first, entries=persons, searched=searched)
    door.issues("T-2", "DEF", entries=persons)
    model = Model(persons)
    model.says(first)
    asked: Command
    for step in play:
        if step == "restart":
            door.restart()
            continue
        if not step or isinstance(step[0], EventList):
            model.says(step)
            assert door.does(SetEvent(lists=step)).code == "ok"
            continue
        kind, ticket, slug, device, actor, later = step
        if kind == "consume":
            if model.states[ticket] is not State.VALIDATED:
                continue  # the table of transitions has the answer
            kind, slug, asked, name = "entry", "main", Consume("north", device), ticket
        else:
            asked, name = command(door, kind, ticket, slug, device), ""
        door.now += later - 1
        found = door.does(asked, name, actor=actor)
        assert found.code == model.does(ticket, slug, kind, door.now, (device, actor)), (step, model.lists)
        kept = door.application.ticket(EVENT, ticket)
        assert kept is not None
        assert kept.state is model.states[ticket]
        told = read_state(found.state)
        if isinstance(told, ListedState) and slug in model.lists:
            entries, exits = model.stand(ticket, slug, door.now)
            used = entries - exits if model.lists[slug].returns else entries
            assert (told.visit.list, told.visit.used, told.visit.inside) == (slug, used, entries - exits)
    door.restart()
