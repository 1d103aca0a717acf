"""When a file has to wait for others, what is kept of old ones, and what an import waits for.

Told is each combination of what workers have and what is asked for, and each row that a sweep changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Compare, Telling
from tests.importing.telling import told
from tests.pages.stories import Clock
from tickets.importing import shown, uploads
from tickets.importing.uploads import Choice, ImportRefused
from tickets.models import ImportState, ShownDifference, TicketImport

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

GOLDEN = Path(__file__).parent / "golden"


def made(clock: Clock, state: str, *, age: timedelta = timedelta(), **fields: Any) -> TicketImport:
    """An import in some state."""
    known: dict[str, Any] = {
        "file_name": "f.csv",
        "content": b"x",
        "actor": "ada",
        "token": "t",
        "options": {},
    }
    one = TicketImport.objects.create(state=state, heartbeat_at=clock.at() - age, **(known | fields))
    TicketImport.objects.filter(pk=one.pk).update(created_at=clock.at() - age)
    return one


WORKING: list[list[tuple[str, str, list[str] | None]]] = [
    [],
    [("reading", "ada", None)],
    [("reading", "bob", None)],
    [("issuing", "ada", ["fest"])],
    [("issuing", "bob", [])],
    [("issuing", "bob", None)],
    [("reading", "bob", None), ("reading", "eve", None)],
    [("reading", "bob", None), ("issuing", "eve", ["gala"])],
    [
        ("preview", "ada", ["fest"]),
        ("stopped", "ada", ["fest"]),
        ("asking", "ada", None),
        ("done", "ada", None),
    ],
]
WANTED: list[tuple[str, list[str] | tuple[()] | None]] = [
    ("to be read", ()),
    ("to issue for fest", ["fest"]),
    ("to issue for fest and gala", ["fest", "gala"]),
    ("to issue for nothing", []),
    ("to issue for any", None),
]


def test_the_story_of_turns(clock: Clock, golden: Compare) -> None:
    story = Telling()
    for working in WORKING:
        TicketImport.objects.all().delete()
        for number, (state, actor, events) in enumerate(working):
            preview = {} if events is None else {"events": events}
            made(clock, state, actor=actor, preview=preview, file_name=f"{number}.csv")
        story.chapter(f"Workers have {working or 'nothing'}")
        for title, wanted in WANTED:
            try:
                with uploads._in_turn(actor="ada", events=wanted):
                    story.say(f"ada's file {title}: goes on")
            except ImportRefused as error:
                story.say(f"ada's file {title}: {error.status} {error}")
    golden(GOLDEN / "uploads-turns.txt", story.text)


def rows(story: Telling) -> None:
    """All imports that are left."""
    for one in TicketImport.objects.order_by("pk"):
        count = ShownDifference.objects.filter(of=one).count()
        story.say(
            f"{one.pk} {one.state}: {len(one.content)} bytes, {one.preview}, {count} shown, "
            f"{one.error or 'no error'}; waits for {uploads.waits_for(one)}"
        )


def test_the_story_of_old_imports(clock: Clock, golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Telling()
    second, half_a_day = timedelta(seconds=1), timedelta(hours=12)

    def all_states(age: timedelta) -> Iterable[TicketImport]:
        for state in ImportState.values:
            for claimed in (False, True) if state in uploads.WORKING else (True,):
                yield made(clock, state, age=age, claimed=claimed, total=7, preview={"key": "k"})

    for title, age in (
        ("Just now", timedelta()),
        ("Thirty seconds ago", timedelta(seconds=30)),
        ("A second longer", timedelta(seconds=31)),
        ("Half a day ago", half_a_day),
        ("A second longer", half_a_day + second),
    ):
        TicketImport.objects.all().delete()
        for one in all_states(age):
            ShownDifference.objects.create(
                of=one, kind="new", key="k", row=2, event="e", ticket="t", words="w"
            )
        story.chapter(f"{title}, settled")
        uploads.settle()
        rows(story)
        story.chapter(f"{title}, forgotten")
        uploads.forget_old()
        rows(story)
    story.chapter("Only the newest are kept, and those that are open")
    TicketImport.objects.all().delete()
    monkeypatch.setattr(uploads, "IMPORTS_KEPT", 3)
    for state in ("done", "refused", "preview", "stopped", "done", "refused", "asking", "done"):
        made(clock, state)
        clock.forward(60)
    uploads.forget_old()
    rows(story)
    golden(GOLDEN / "uploads-old.txt", story.text)


def test_the_story_of_ticks(clock: Clock, golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """New tickets are ticked from the start, others are not; a form tells of the pages it shows alone."""
    monkeypatch.setattr(shown, "PAGE", 2)
    monkeypatch.setattr(shown, "ROWS_AT_ONCE", 2)
    story, one = Telling(), made(clock, "preview", preview={"reading": "second"})
    kinds = [("new", 3), ("change", 5), ("gone", 1)]
    for reading in ("first", "second"):
        listed = [(kind, number) for kind, count in kinds for number in range(count)]
        found = [
            ShownDifference(
                kind=kind, key=f"{kind} {number}", row=9 - number, event="e", ticket="t", words="w"
            )
            for kind, number in listed
        ]
        shown.store_shown(one, reading, found)
    places = {row.pk: row.key for row in ShownDifference.objects.filter(reading="second")}
    by_key = {key: pk for pk, key in places.items()}

    def tell(title: str, changed: object = "") -> None:
        story.chapter(f"{title} {changed}".strip())
        for group in shown.groups(one):
            pages = [[row.key for row in shown.page(one, group.kind, number)] for number in range(1, 5)]
            story.say(f"{group.kind}: {group.total}, {group.chosen} ticked, {group.pages} pages: {pages}")
        confirmed = shown.confirmed(one)
        story.say(f"ticked {sorted(confirmed.chosen)}")
        story.say(f"left {sorted(confirmed.left)}; done {dict(confirmed.done)}; {shown.has_changes(one)}")
        first = ShownDifference.objects.filter(reading="first")
        story.say(f"of the first reading {sorted(row.key for row in first if row.chosen)}")

    tell("Read")
    for pages, ticked in (
        ({"change": 1}, ["change 4", "change 1", "gone 0"]),
        ({"change": 1, "gone": 1}, ["change 4"]),
        ({"change": 1}, ["change 4"]),
        ({"new": 2, "change": 3}, []),
        ({}, ["gone 0"]),
        ({"gone": 9}, ["gone 0"]),
    ):
        tell(f"{pages} {ticked}", shown.tick(one, pages, {by_key[key] for key in ticked}))
    tell("All changes and gone", shown.choose(one, ["change", "gone"]))
    tell("No new and gone", shown.choose(one, ["new", "gone"], chosen=False))
    tell("Nothing", shown.choose(one, []))
    marks = shown.DoneMarks(one)
    marks.add(["change 0", "new 1", "unknown"])
    tell("Done")
    story.say(f"every: {[row.key for row in shown.every(one)]}")
    story.say(f"words of: {[row.key for row in shown.words_of(one, ['new 1', 'change 3', 'x', 'new 0'])]}")
    shown.forget(of=one)
    tell("Forgotten")
    golden(GOLDEN / "uploads-ticks.txt", story.text)


REPORTS: list[dict[str, Any]] = [
    {},
    {"tickets": 1, "kinds": [{"kind": "gone", "count": 1}, {"kind": "change", "count": 9}]},
    {"tickets": 1, "kinds": [{"kind": "gone", "count": 2}]},
    {"kinds": [{"kind": "gone", "count": 1}]},
    {"tickets": 1_000, "kinds": [{"kind": "gone", "count": 1_001}]},
    {"tickets": 9, "wrong_count": 1},
    {"tickets": 9, "wrong_count": 1_200, "kinds": [{"kind": "gone", "count": 99}]},
]
NAMES = (
    "guests.csv",
    "a/b/c.csv",
    "\\\\host\\x.csv",
    "x" * 201 + ".csv",
    "tab\there\x00.csv",
    "",
    "/",
    "..",
    "a/",
    "é\u200b.csv",
)


def test_the_story_of_choices_and_names(clock: Clock, golden: Compare) -> None:
    story = Telling()
    story.chapter("May all that is gone be blocked unseen?")
    for report in REPORTS:
        story.say(f"{report}: {uploads._maybe_not_gone(TicketImport(report=report)) or 'yes'}")
    story.chapter("What a program chooses without a person")
    for state, preview in (("preview", {}), ("preview", {"trusted": True}), ("stopped", {})):
        try:
            choice = uploads._unseen(TicketImport(state=state, preview=preview), Choice(kinds=["gone"]))
            story.say(f"{state} {preview}: {sorted(choice.kinds)}")
        except ImportRefused as error:
            story.say(f"{state} {preview}: {error.status} {error}")
    story.chapter("Names of files")
    for name in NAMES:
        kept = uploads._plain_name(name)
        story.say(f"{name[-20:]!a}: {kept[-20:]!a} of {len(kept)}")
    story.chapter("A worker is asked for")
    asked = uploads._asked_now()
    story.say(told({name: value for name, value in asked.items() if name not in ("token", "heartbeat_at")}))
    story.say(f"{len(asked['token'])} {asked['heartbeat_at'] == clock.at()}")
    golden(GOLDEN / "uploads-choices.txt", story.text)
