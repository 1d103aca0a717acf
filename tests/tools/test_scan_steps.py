"""`scan --steps`: a day of entries, exits, annulments and forced entries, and sums like those of the page."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.pages.learner import RealLearner
from tests.tools.test_commands import Ran
from tests.tools.test_scan_command import Platform, at, file, imported, platform  # noqa: F401
from tickets.importing import FileRefused
from tickets.importing.until_final import Refused
from tickets.scanning.steps import (
    Played,
    Step,
    Sums,
    play_steps,
    read_steps,
    steps_lines,
    steps_object,
    sums_of,
)
from tickets.services import list_counts

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

DAY = """\
act,code,ticket_id,list,gate,device,reason,expect
entry,nvrpdkx3wwbm,,,north,n1,,ok
entry,nvrpdkx3wwbm,,,south,s1,,already_consumed
entry,nvrpdkx3wwbm,,vip,lounge,l1,,ok
exit,nvrpdkx3wwbm,,vip,lounge,l1,,ok
exit,nvrpdkx3wwbm,,vip,lounge,l1,,not_inside
entry,nvrpdkx3wwbm,,vip,lounge,l1,,ok
entry,emz7zb34ha8x,,,north,n1,,ok
annul,emz7zb34ha8x,,,south,s1,,not_the_newest
annul,emz7zb34ha8x,,,north,n1,,ok
entry,emz7zb34ha8x,,,south,s1,,ok
entry,4rf6u93k8nat,,,north,n1,,wrong_product
force,4rf6u93k8nat,,,north,n1,wears the T-shirt,ok
entry,,G-1,vip,lounge,l2,,ok
entry,,G-1,vip,lounge,l2,,ok
annul_supervised,,G-1,vip,lounge,l2,came alone,ok
"""


def test_a_day_from_a_file_sums_up_as_the_page_of_the_event_does(
    imported: list[str],  # noqa: F811
    platform: Platform,  # noqa: F811
    at: list[str],  # noqa: F811
    tmp_path: Path,
    learner: RealLearner,
) -> None:
    lists = [{"list": "vip", "rule": "free"}]
    platform.client.put("/api/v1/events/fest", json={"lists": lists}).raise_for_status()
    group = {"ticket_id": "G-1", "event": "fest", "product": "Weekend", "entries": 2}
    platform.client.post("/api/v1/tickets", json=group).raise_for_status()
    (day := tmp_path / "day.csv").write_text(DAY, encoding="utf-8")
    ran = Ran("scan", "--steps", str(day), "--event", "fest", "--gates", "3", "--json", *at)
    told = json.loads(ran.text)
    assert (ran.code, told["differing"], told["steps"]) == (0, [], 15)
    assert told["lists"] == {
        "main": {"entries": 3, "forced": 1, "exits": 0, "inside": 3, "annulled": 1, "refused": 3},
        "vip": {"entries": 3, "forced": 0, "exits": 1, "inside": 2, "annulled": 1, "refused": 1},
    }
    page = list_counts.count("fest").lists
    for slug, sums in told["lists"].items():
        assert {name: getattr(page[slug], name) for name in sums if name != "refused"} == {
            name: value for name, value in sums.items() if name != "refused"
        }
    again = Ran("scan", "--steps", str(day), "--event", "fest", *at)
    assert again.code == 1
    assert "row 2, entry: already_consumed, not ok" in again.text
    assert "NOT as expected." in again.text


def test_a_step_that_is_never_decided_is_not_as_expected(
    imported: list[str],  # noqa: F811
    at: list[str],  # noqa: F811
    tmp_path: Path,
    learner: RealLearner,
) -> None:
    (day := tmp_path / "day.csv").write_text("act,code\nentry,nvrpdkx3wwbm\nentry,emz7zb34ha8x\n")
    learner.gateway.quorum = False
    ran = Ran("scan", "--steps", str(day), "--event", "fest", "--patience", "0.05", *at)
    assert (ran.code, ran.text.splitlines()) == (
        1,
        [
            "2 steps played. On the lists now, of these steps:",
            "  main: 0 admitted (0 by force), 0 let out, 0 inside, 0 annulled, 0 refused",
            "  row 2, entry: not decided (status 503)",
            "  row 3, entry: not decided (status 503)",
            "NOT as expected.",
        ],
    )


@pytest.mark.asyncio
async def test_a_step_that_the_platform_does_not_take_ends_the_day(client: httpx.AsyncClient) -> None:
    """A key that is revoked on the way."""
    client.headers["X-API-Key"] = "dtvn_revoked"
    steps = [Step(2, "entry", "nvrpdkx3wwbm", "", "main", "", "", "", "ok")]
    with pytest.raises(Refused, match="row 2: the platform answered 401: "):
        await play_steps(client, steps, event="fest", gates=1, patience=1.0, run="r", told=print)


def test_more_differing_steps_than_are_shown_are_counted() -> None:
    step = Step(2, "entry", "x", "", "main", "", "", "", "ok")
    played = [
        Played(msgspec.structs.replace(step, row=row), "list_full", "T-1") for row in reversed(range(2, 25))
    ]
    lines = list(steps_lines(steps_object(played)))
    assert lines[2] == "  row 2, entry: list_full, not ok"
    assert lines[21:] == [
        "  row 21, entry: list_full, not ok",
        "  and 3 more (--json shows all)",
        "NOT as expected.",
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("code\nx", "needs the columns act"),
        ("act,code,colour\nentry,x,red", "unknown column 'colour'"),
        ("act,code\n", "must hold 1 to"),
        ("act,code\nenter,x", "row 2: act must be one of"),
        ("act,code\nentry,", "row 2: give code or ticket_id"),
        ("act,code\nforce,x", "row 2: force needs a reason"),
        ("act,code,expect\nentry,x,fine", "row 2: expect 'fine'"),
        ("act,code\nentry,x,y", "row 2: more cells than columns"),
    ],
)
def test_a_wrong_file_of_steps_names_the_row(tmp_path: Path, rows: str, said: str) -> None:
    (path := tmp_path / "day.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(FileRefused, match=said):
        read_steps(path)


def test_a_file_of_steps_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_bytes(b"act,code\nentry,\xff\n")
    for name in ("day.csv", "none.csv"):
        with pytest.raises(FileRefused, match=f"{name} cannot be read: "):
            read_steps(tmp_path / name)


def test_an_annulment_takes_back_the_newest_movement_of_its_list() -> None:
    def played(act: str, code: str = "ok") -> Played:
        return Played(Step(2, act, "x", "", "vip", "g", "d", "", ""), code, "T-1")

    assert sums_of(map(played, ("entry", "exit", "annul"))) == {"vip": Sums(entries=1, annulled=1)}
    acts = ("entry", "exit", "annul", "force", "annul", "annul")
    assert sums_of(map(played, acts)) == {"vip": Sums(entries=0, exits=0, forced=0, annulled=3)}
    assert sums_of([played("entry"), played("entry", "list_full"), played("exit", "")]) == {
        "vip": Sums(entries=1, refused=1)
    }
