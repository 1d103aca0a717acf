"""What an import makes of single texts: answers of a person, names of columns and events, values, numbers.

Each text stands with everything that is said of it.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Compare, Telling
from tests.importing.telling import told
from tickets.exact import exact, meant
from tickets.formulas import quoted, unquoted
from tickets.importing import words
from tickets.importing.answers import Question, answers_from, source_key
from tickets.importing.arguments import at_least_one, open_questions, seconds, zone_of
from tickets.importing.lists import codes_in, is_list_of_codes
from tickets.importing.platform import PlatformUnknown, platform_of
from tickets.importing.record import FileRefused, Record, invisible_inside, normalised, shown
from tickets.importing.slugs import check_event, slug_of
from tickets.importing.uploads import UploadOptions, storable

GOLDEN = Path(__file__).parent / "golden"


def said(work: Callable[[], Any]) -> str:
    """What comes of some work, or why nothing does."""
    try:
        return told(work())
    except (FileRefused, ArgumentTypeError) as error:
        return f"{type(error).__name__}: {error}"


OPTIONS: list[dict[str, Any]] = [
    {},
    {"event": "fest", "answers": {"event_name": ["x=gala"], "timezone": "Europe/Berlin"}},
    {"event": "Fest Night"},
    {"answers": {"event_name": ["x=", "y=a b"]}},
    {"answers": {"timezone": "Mars/North"}},
]


def test_the_story_of_options_and_sources(golden: Compare) -> None:
    story = Telling()
    story.chapter("Checked with the file")
    for how in OPTIONS:
        given = UploadOptions(how.get("event", ""), answers_from(**how.get("answers", {})))
        story.say(f"{how}: {said(given.check)}")
    story.chapter("Sources that are the same")
    columns = ["barcode", "name", "order status", "checked in"]
    for title, key in (
        ("in another order", source_key(reversed(columns), "")),
        ("with other columns of a status", source_key([*columns[:2], "paid", "scanned"], "")),
        ("without any", source_key(columns[:2], "")),
        ("a state of an order", source_key([*columns, "state"], "")),
        ("a state of an address", source_key([*columns, "state", "city"], "")),
        ("with a city", source_key([*columns, "city"], "")),
        ("one column more", source_key([*columns, "seat"], "")),
        ("another preset", source_key(columns, "pretix")),
    ):
        story.say(f"{title}: {'the same' if key == source_key(columns, '') else key[:8]}")
    golden(GOLDEN / "options-and-sources.txt", story.text)


QUESTIONS = [
    Question(id="code", sentence="Which column?", values=[("A", 1_000), ("B", 0)],
             examples={"A": ["x" * 70, "y"]}, answers=("code=COLUMN",)),
    Question(id="admits:status", sentence="Who?", column="Status", values=[("", 3), ("paid", 1)],
             answers=("admits=Status=VALUE", "refuses=Status=VALUE")),
    Question(id="new-event", sentence="Create it?", answers=("new-event=create", "new-event=as-it-is")),
    Question(id="timezone", sentence="Which zone?", answers=("timezone=ZONE",)),
]  # fmt: skip
NAMES = (
    "Summer Fest 2026!",
    "Démo  Näght ß Øre Łódź æœ",
    "東京",
    "東京 2026",
    "-a--b-",
    "",
    "x" * 64,
    "x" * 65,
    "y" * 63 + " z",
    "a b",
    "1fest",
    "fest:1_x.y-z",
    "-fest",
)
NUMBERS = (
    "0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "inf",
    "nan",
    "",
    "x",
    " 7 ",
    "007",
    "999999999",
    "1000000000",
    "٣",
    "²",
)
ZONES = ("Europe/Berlin", "UTC", "Mars/North", "", "../etc", "Europe", "europe/berlin\0")


def test_the_story_of_questions_and_numbers(golden: Compare) -> None:
    story = Telling()
    for count in range(len(QUESTIONS) + 1):
        story.chapter(f"{count} questions")
        story.say(open_questions(QUESTIONS[:count]))
    story.say(open_questions(QUESTIONS[2:3], "Before anything:"))
    story.chapter("Names of events")
    for name in NAMES:
        story.say(f"{name!r}: {slug_of(name)!r}; {said(lambda name=name: check_event(name))}")
    story.chapter("Numbers")
    for text in NUMBERS:
        story.say(
            f"{text!r}: {said(lambda text=text: seconds(text))}; {said(lambda text=text: at_least_one(text))}"
        )
    story.chapter("Zones")
    for text in ZONES:
        story.say(f"{text!r}: {said(lambda text=text: zone_of(text).key)}")
    golden(GOLDEN / "questions.txt", story.text)


COLUMNS = (
    "Bar_code",
    "Order #",
    "name\u200bof  guest",
    "Ｂarcode",
    "Straße",
    "İd",
    "\u00a0x\ty ",
    "is-Paid",
    "ﬁt",
)
VALUES = (
    "Paid", "  pending  (CONFIRMED) ", "checked_in", "Straße", "Cafe\u0301", "x" * 41, "void" + " " * 36,
    "void" + " " * 37, "", "vip", "gültig", "7", "Annulée",
)  # fmt: skip
CELLS = (
    "", "a", "a\u200bb", "\u200bab\u200b", "a\u00adb\u2060c", "a\x07b", "a b", "a\u2028b", "\u200b",
    " \u200ba", "a\U000e0001b", "007", "=1+1", " =1", "'=x", "''", "'a", "-1", "+a|b", "a|b", "|x", "\\|x",
    "'|x", "@x", "＝x", "\tx", "'\nx", "%a", '="0042"', ' ="a""b" ', '="a"b"', '=""', '"a"', "#REF!", "1e+5",
    "+1.2E-3", "1e5", "a  b", " a", "a\n", '"[1]"', '[1]', '"1"', '"a" b', '"a\\n"',
)  # fmt: skip


LISTS = (
    "", "C001", "C001,C002", " C001 ; C002 ", "C001|C002\nC003", ",C001,,C002,", "C001 C002", "C0001 C0002",
    "C00001 C00002", "C00001 C0002", "C00001\tC00002", "C1,C2", "C01,C0002", "C001,ABCD", "1234,{567}",
    "a.b:c+/=-_1,2345", "https://x/1,1234", "http:/x/1,1234", "1234,http://x5", "C001;C002 C003",
)  # fmt: skip


def test_the_story_of_columns_and_cells(golden: Compare) -> None:
    story = Telling()
    story.chapter("Columns")
    for column in COLUMNS:
        name = normalised(column)
        story.say(f"{column!r}: {name!r}, shown {shown(column)!r}")
    story.chapter("Values")
    for value in VALUES:
        story.say(f"{value[:50]!r}: {words.folded(value)[:50]!r} {words.says_status(['other', value])}")
    story.chapter("Cells")
    for cell in CELLS:
        record = Record(
            2,
            {"c": cell},
            notes={"c": "the apostrophe before it is taken off, a spreadsheet's mark for text"},
        )
        found = {
            "inside": invisible_inside(cell),
            "quoted": quoted(cell),
            "unquoted": unquoted(cell),
            "exact": exact(cell),
            "meant": meant(cell),
            "code": record.code("c"),
        }
        kept = {name: text for name, text in found.items() if text != (cell if name != "inside" else "")}
        story.say(f"{cell!r}: {kept!a}")
    story.chapter("Cells with several codes")
    for cell in LISTS:
        story.say(f"{cell!r}: {codes_in(cell)} {is_list_of_codes(cell)}")
    story.chapter("Damage, and what a database takes")
    record = Record(2, {"a": "x", "b": "y"}, damaged={"a": "a date, no text"})
    damage = [record.damage("a"), record.damage("a", "a date, no text"), record.damage("b")]
    story.say(f"{damage} {record.code('none')!r}")
    story.say(ascii(storable({"a\x00": ["\x00", "\ud800", 7, None, {"b": "ok\udfff"}], "c": ("\x00",)})))
    golden(GOLDEN / "columns-and-cells.txt", story.text)


KNOWN = '{"url": "http://kept:8000/", "api_key": "kept"}'
PLATFORMS: list[tuple[str | None, dict[str, str]]] = [
    (None, {}),
    (None, {"url": "http://here:8000//", "api_key": "k"}),
    (None, {"url": "http://here:8000"}),
    (KNOWN, {}),
    (KNOWN, {"url": "https://here/sub/"}),
    (KNOWN, {"api_key": "given"}),
    (KNOWN, {"url": "http://here", "api_key": "given"}),
    ('{"url": "http://kept"}', {}),
    ('{"api_key": "kept"}', {}),
    ('{"url": ', {}),
    ('{"url": "http://kept:8000", "api_key": "Schl\u00fcssel"}', {}),
    (KNOWN, {"url": "ftp://here"}),
    (KNOWN, {"url": "here:8000"}),
    (KNOWN, {"url": "http://"}),
    (KNOWN, {"url": "http://[::1"}),
    (KNOWN, {"url": "http://here:port"}),
    ('{"url": "http://\\u0000", "api_key": "x"}', {}),
]


def test_the_story_of_platforms(tmp_path: Path, golden: Compare) -> None:
    """Where a command finds the platform, and its key."""
    story = Telling()
    for content, given in PLATFORMS:
        (file := tmp_path / "credentials.json").unlink(missing_ok=True)
        if content is not None:
            file.write_text(content, encoding="utf-8")
        story.say(f"{content}, given {given}")
        try:
            told_of = told(platform_of(tmp_path, **given))
        except PlatformUnknown as error:
            told_of = f"unknown: {error}"
        story.say(f"   -> {told_of.replace(str(tmp_path), 'FOLDER')}")
    golden(GOLDEN / "platforms.txt", story.text)


def test_a_file_of_credentials_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").mkdir()
    with pytest.raises(PlatformUnknown, match=r"credentials\.json cannot be read: "):
        platform_of(tmp_path)
