"""What an import tells of each file of `cases`: all questions, and all that comes of their answers.

The story of a file has two parts. Without answers: its form, what is told by itself, and each question with
its values and the options that answer it. With the answers of `table.py`: the first tickets, the first rows
that are left out or wrong and why, and all remarks. How many there are of each is in `test_cases.py` too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Compare
from tests.importing.table import TABLE, Case
from tests.importing.telling import told
from tests.importing.test_cases import CASES, SUMMER, plan
from tickets.importing import FileRefused, ImportPlan
from tickets.importing.settled import Known

GOLDEN = Path(__file__).parent / "golden" / "files"
SHOWN = 3
"""Tickets, rows and values of each kind that a story tells."""
REFUSED = [
    "15-utf16le-nobom.csv",
    "49-csv-no-header-whitelist.csv",
    "60-csv-seat-map-dup-names.csv",
]
ABROAD = Known(
    event="summer",
    events=("summer", "winter"),
    zones={"summer": "America/New_York"},
    products={"summer": {"Day": True, "GA": False}},
    asks_events=True,
    by_id=(),
    salt_of=lambda event: f"salt of {event}".encode(),
)


def told_plan(found: ImportPlan, most: int = SHOWN) -> str:
    """What an organiser is shown of a plan: what is asked, what is known, what becomes of the rows."""
    lines = [f"{found.form}{f': {found.preset}' if found.preset else ''}, {found.rows} rows"]
    for one in found.questions:
        lines.append(f"? {one.sentence}")
        values = ", ".join(f"{value or '(empty)'} ({count})" for value, count in one.values[:SHOWN])
        lines.append(f"  {values}{' ...' if len(one.values) > SHOWN else ''}; {' or '.join(one.answers)}")
    lines += [f"{one.id}: {one.words} [{one.origin}]" for one in found.told]
    if found.samples:
        lines.append(f"scanned as {', '.join(found.samples)}")
    lines += found.said
    lines += told_few("tickets", found.tickets, told, most)
    for title, rows in (("left out", found.left_out), ("wrong", found.wrong)):
        lines += told_few(title, rows, lambda one: f"row {one.row}: {one.reason}", most)
    lines += told_few("events", [one for one in found.events if one.whole], told, most)
    return "\n".join(lines)


def told_few(title: str, values: Sequence[Any], words: Callable[[Any], str], most: int) -> list[str]:
    """The first of each kind, and how many there are."""
    shown = dict.fromkeys(words(one) for one in values)
    lines = [f"  {line}" for one in list(shown)[:most] for line in one.split("\n")]
    return [f"{title}: {len(values)}", *lines] if values else []


def told_file(file: str, *answers: dict[str, object], known: Known) -> str:
    """What is told of a file under these answers, or why it is refused."""
    try:
        return told_plan(plan(file, *answers, known=known))
    except FileRefused as error:
        return f"refused: {error}"


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_what_an_import_tells_of_a_file(case: Case, golden: Compare) -> None:
    story = f"# Without answers\n\n{told_file(case.file, known=SUMMER)}\n"
    if case.asked:
        answered = told_file(case.file, *case.asked.values(), known=SUMMER)
        story += f"\n# With {', '.join(case.asked)} answered\n\n{answered}\n"
    golden(GOLDEN / f"{Path(case.file).stem}.txt", story)


def test_what_an_import_tells_of_a_file_of_an_event_that_is_known(golden: Compare) -> None:
    """Zones and products of the event answer, ids are no codes, and new events are asked about."""
    stories = []
    for file in ("35b-reimport-v2.csv", "06-xlsx-merged-title.xlsx", "46-csv-event-names.csv"):
        case = next(case for case in TABLE if case.file == file)
        stories.append(f"# {file}, without answers\n\n{told_file(file, known=ABROAD)}\n")
        answered = told_file(file, *case.asked.values(), {"stewards_see_why": True}, known=ABROAD)
        stories.append(f"# {file}, with answers, stewards see why\n\n{answered}\n")
    golden(GOLDEN / "known-event.txt", "\n".join(stories))


def test_what_an_import_tells_of_files_that_it_refuses(golden: Compare) -> None:
    told = [f"{file}: {told_file(file, known=SUMMER)}\n" for file in REFUSED]
    golden(GOLDEN / "refused.txt", "\n".join(told))


def test_each_file_has_its_story() -> None:
    """A file without one is read by nobody."""
    named = {case.file for case in TABLE} | set(REFUSED)
    assert {path.name for path in CASES.iterdir()} == named
