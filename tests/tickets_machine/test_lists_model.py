"""R41 against a model that keeps the whole history of each ticket and counts it anew for every question."""

from __future__ import annotations

from random import Random

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
from tests.tickets_machine.lists import door_with
from tests.tickets_machine.support import HOUR, MINUTE

DAY = 24 * HOUR
TICKETS = ("T-1", "T-2")
SLUGS = ("main", "vip", "bar")
KEPT = 16
STEPS = 60


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

    def date(self, ticket: str, slug: str) -> None:
        """Record the days that a daily list has now, before a movement on it may push others out."""
        if self.lists[slug].rule == "daily":
            days = self.days(ticket, slug)
            for made in self.history[ticket]:
                made.day = days.get(id(made), made.day)

    def days(self, ticket: str, slug: str) -> dict[int, int]:
        """The day of each movement: of its time; of those that are not kept the newest recorded day is known,
        and that none came after the oldest that is kept; -1 for the others. An exit beyond the entries of its
        day does not count: it is on the newest day of which somebody is inside, or, without one, on -1."""
        history = self.history[ticket]
        every = [made for made in history if made.slug == slug and made.kind != "annul"]
        kept, last = history[-KEPT:], max([made.day for made in every], default=0)
        of_old = min([last, *(self.day(slug, made.at) for made in kept[:1])])
        days = {id(made): of_old if made.day == last else -1 for made in every}
        days |= {id(made): self.day(slug, made.at) for made in every if made in kept}
        old = [made for made in every if made not in kept and made.stands and days[id(made)] == of_old]
        came = [of_old for made in old if made.kind != "exit"]
        for made in [made for made in old if made.kind == "exit"] + [made for made in every if made in kept]:
            if not made.stands:
                continue
            if made.kind != "exit":
                came = sorted([*came, days[id(made)]])
            else:
                days[id(made)] = came.pop() if came else -1
        return days

    def stand(self, ticket: str, slug: str, now: int) -> tuple[int, int]:
        """E and X."""
        standing = [made for made in self.history[ticket] if made.slug == slug and made.stands]
        if self.lists[slug].rule == "daily":
            days = self.days(ticket, slug)
            standing = [made for made in standing if days[id(made)] >= self.day(slug, now)]
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
        self.date(ticket, slug)
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


def a_list(chance: Random, slug: str) -> EventList:
    rule = chance.choice(("once", "daily", "daily", "times", "free"))
    return EventList(
        slug,
        rule=rule,
        times=chance.randint(1, 3) if rule == "times" else 0,
        returns=chance.random() < 0.5,
        exit_first=chance.random() < 0.3,
        capacity=chance.choice((0, 0, 1, 2, 3)),
        offsets=((0, chance.choice((0, 7_200, -18_000))),) if rule == "daily" else (),
    )


def a_programme(chance: Random) -> tuple[EventList, ...]:
    """Lists of an event; `main` is mostly left as it is, and the others mostly there."""
    return tuple(
        a_list(chance, slug) for slug in sorted(SLUGS) if chance.random() < (0.4 if slug == "main" else 0.9)
    )


KINDS = ("entry",) * 4 + ("exit",) * 3 + ("annul",) * 2 + ("force", "consume")
LATER = (1, 1, 1, MINUTE, 10 * MINUTE, 15 * MINUTE, 5 * HOUR, 20 * HOUR)


def a_move(chance: Random) -> tuple[str, str, str, str, str, int]:
    """(what is asked, ticket, list, device, actor, how much later). Two devices and two people."""
    return (
        chance.choice(KINDS),
        chance.choice(TICKETS),
        chance.choice(SLUGS),
        chance.choice(("d1", "d1", "d1", "d2")),
        chance.choice(("anna", "anna", "anna", "otto")),
        chance.choice(LATER),
    )


def command(door: Door, kind: str, ticket: str, slug: str, device: str) -> Command:
    code = door.digest("ABC" if ticket == "T-1" else "DEF")
    if kind == "annul":
        return Annul("north", device, code, slug)
    if kind == "force":
        return Force("north", device, code, slug, "why")
    return Admit("north", device, code, slug, "exit" if kind == "exit" else "entry")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_r41(seed: int, persons: int, searched: bool) -> None:
    chance = Random(seed)
    first = a_programme(chance)
    door = door_with(*first, entries=persons, searched=searched)
    door.issues("T-2", "DEF", entries=persons)
    model = Model(persons)
    model.says(first)
    for _ in range(STEPS):
        dice = chance.random()
        if dice < 0.03:
            door.restart()
        elif dice < 0.06:
            programme = a_programme(chance)
            model.says(programme)
            assert door.does(SetEvent(lists=programme)).code == "ok"
        else:
            follow(door, model, *a_move(chance))
    door.restart()


def follow(
    door: Door, model: Model, kind: str, ticket: str, slug: str, device: str, actor: str, later: int
) -> None:
    """Ask machine and model the same."""
    name, asked = "", command(door, kind, ticket, slug, device)
    if kind == "consume":
        if model.states[ticket] is not State.VALIDATED:
            return  # the table of transitions has the answer
        kind, slug, name, asked = "entry", "main", ticket, Consume("north", device)
    door.now += later - 1
    found = door.does(asked, name, actor=actor)
    assert found.code == model.does(ticket, slug, kind, door.now, (device, actor)), (kind, slug, model.lists)
    kept = door.application.ticket(EVENT, ticket)
    assert kept is not None
    assert kept.state is model.states[ticket]
    told = read_state(found.state)
    if isinstance(told, ListedState) and slug in model.lists:
        entries, exits = model.stand(ticket, slug, door.now)
        used = entries - exits if model.lists[slug].returns else entries
        assert (told.visit.list, told.visit.used, told.visit.inside) == (slug, used, entries - exits)
