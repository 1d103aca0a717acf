"""What the import command records and sums up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.test_commands import Ran, at, export  # noqa: F401 - fixtures
from tickets.models import EventTimeZone
from validators.models import PlatformAction

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


def test_an_import_by_the_command_is_recorded(at: list[str], export: Path) -> None:  # noqa: F811
    Ran("import_tickets", str(export), "--dry-run", *at)
    assert not PlatformAction.objects.exists()
    Ran("import_tickets", str(export), "--event", "fest", *at)
    Ran("import_tickets", str(export), *at[:2], "--api-key", "wrong")
    rows = PlatformAction.objects.order_by("pk").values_list("actor", "action", "target", "outcome")
    assert list(rows) == [
        ("operator", "import_tickets", f"{export} event=fest", "ok"),
        ("operator", "import_tickets", str(export), "failed"),
    ]


def test_many_events_are_summed_up_by_their_zone(at: list[str], tmp_path: Path) -> None:  # noqa: F811
    EventTimeZone.objects.create(event="E-7", zone="Europe/Berlin")
    path = tmp_path / "plain.csv"
    rows = "".join(f"T-{number},E-{number % 200}\n" for number in range(300))
    path.write_text(f"ticket_id,event\n{rows},E-1\n")
    ran = Ran("import_tickets", str(path), "--dry-run", *at)
    assert ran.text.splitlines()[2:] == [
        "1 event with 2 tickets: E-7; times without an offset in Europe/Berlin.",
        "199 events with 298 tickets: E-0, E-1, E-2, E-3, E-4 and 194 more; times without an offset in UTC.",
        "1 row wrong:",
        "  row 302: has no ticket id",
    ]
