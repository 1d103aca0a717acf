"""Import and export of an organiser with many events: the event is chosen first, by name and day."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.test import Client

from dtvn.machine import SetEvent, build
from tests.pages.learner import RealLearner
from tickets.exporting import FORMS, KINDS

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FILES = "/dashboard/tickets/files"
DOORS = 1_781_884_800_000_000
"""2026-06-19 18:00 in Berlin."""


def create(learner: RealLearner, count: int) -> None:
    until = time.time_ns() // 1_000 + 60_000_000
    operations = [
        build(
            SetEvent(
                f"Fest {number}", "Europe/Berlin", DOORS + number * 86_400_000_000, False, (), False, ()
            ),
            event=f"fest-{number:02}",
            actor="desk",
            entry="r0",
            valid_until=until,
        )
        for number in range(count)
    ]
    assert {one.code for one in learner.gateway.submit(operations).result()} == {"ok"}


def page(client: Client, **query: str) -> tuple[int, str]:
    answer = client.get(FILES, query)
    return answer.status_code, answer.content.decode()


def exports(text: str) -> list[str]:
    return re.findall(r'href="(/dashboard/tickets/export/[^"]*)"', text)


def test_with_sixty_events_a_page_has_the_buttons_of_one(learner: RealLearner, admin: Client) -> None:
    create(learner, 60)
    status, text = page(admin)
    assert (status, exports(text), "Choose an event first." in text) == (200, [], True)
    options = re.findall(r'<option value="(fest-\d\d)">([^<]*)</option>', text.split("</select>")[0])
    assert options[0] == ("fest-59", "Fest 59, 2026-08-17 (fest-59)"), "the latest first"
    assert len(options) == 60
    status, text = page(admin, event="fest-07")
    assert len(exports(text)) == len(KINDS) * len(FORMS)
    assert all(link.endswith("?event=fest-07") for link in exports(text))
    assert '<input type="text" name="event" value="fest-07"' in text
    assert len(re.findall('<button|class="button', text)) < 30


def test_all_events_are_one_choice_among_them(learner: RealLearner, admin: Client) -> None:
    create(learner, 3)
    _status, text = page(admin, event="")
    assert [link for link in exports(text) if "?" in link] == []
    assert len(exports(text)) == len(KINDS) * len(FORMS)


def test_the_only_event_is_chosen_and_without_one_the_page_says_so(
    learner: RealLearner, admin: Client
) -> None:
    _status, text = page(admin)
    assert ("No events yet." in text, exports(text)) == (True, [])
    create(learner, 1)
    assert exports(page(admin)[1])[0].endswith("?event=fest-00")


@pytest.mark.parametrize("event", ["gala", "a b", "<b>"])
def test_a_link_to_an_event_that_is_not_there_says_so(
    learner: RealLearner, admin: Client, event: Any
) -> None:
    create(learner, 2)
    status, text = page(admin, event=event)
    assert (status, "There is no event" in text, exports(text)) == (404, True, [])
    assert "<b>" not in text.split("Which event?")[0]
