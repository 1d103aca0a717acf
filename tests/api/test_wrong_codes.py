"""Codes of no ticket, by caller: many of them are answered late, shown and audited."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import KEY, Api, read
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.models import PlatformAction
from validators.services import wrong_codes
from validators.services.wrong_codes import HINTS_MAX, LATE_MAX, MISSES_MAX, WrongCodes
from validators.web.one_hop import HeldResponse

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@pytest.fixture
def every_code_is_explained() -> None:
    """Not here: this room is about the bound."""


@pytest.fixture
def clock() -> SetClock:
    """It begins with a minute."""
    return SetClock(wall=1_700_000_040 * 10**9)


@pytest.fixture
def counted(clock: SetClock) -> WrongCodes:
    return WrongCodes(clock.unix)


def miss(counted: WrongCodes, actor: str, times: int) -> None:
    for _ in range(times):
        counted.note(actor)


def test_misses_above_the_limit_are_answered_one_a_second(counted: WrongCodes) -> None:
    miss(counted, "key:1", MISSES_MAX)
    assert counted.late("key:1") == 0.0
    miss(counted, "key:1", 1)
    assert [counted.late("key:1") for _ in range(7)] == [1.0, 2.0, 3.0, 4.0, 5.0, LATE_MAX, LATE_MAX]
    assert counted.late("key:2") == 0.0, "others' misses are answered at once"


def test_the_next_minute_begins_anew(counted: WrongCodes, clock: SetClock) -> None:
    miss(counted, "key:1", MISSES_MAX + 1)
    clock.forward(60.0)
    assert counted.late("key:1") == 0.0
    assert counted.told() == []


def test_callers_with_misses_are_shown_the_most_first(counted: WrongCodes) -> None:
    miss(counted, "key:1", 3)
    miss(counted, "key:2", MISSES_MAX + 1)
    assert counted.told() == [
        {"caller": "key:2", "misses": MISSES_MAX + 1, "late": True},
        {"caller": "key:1", "misses": 3, "late": False},
    ]


def test_a_flood_of_misses_is_audited_once(counted: WrongCodes) -> None:
    miss(counted, "key:7", MISSES_MAX * 3)
    [row] = PlatformAction.objects.filter(actor="key:7")
    assert (row.action, row.outcome) == ("wrong codes", "answered late")


def test_a_caller_gets_few_hints_a_second(counted: WrongCodes, clock: SetClock) -> None:
    assert sum(counted.allows_hint("key:1") for _ in range(50)) == HINTS_MAX
    assert counted.allows_hint("key:2")
    clock.forward(1.0)
    assert counted.allows_hint("key:1")


@pytest.fixture
def own_count(monkeypatch: pytest.MonkeyPatch) -> WrongCodes:
    """The process's count, empty, in a minute that does not end."""
    clock = SetClock(wall=1_700_000_040 * 10**9)
    monkeypatch.setattr(wrong_codes.wrong_codes, "_clock", clock.unix)
    wrong_codes.wrong_codes._callers.clear()
    return wrong_codes.wrong_codes


def scan(api: Api, code: str) -> Any:
    return api.post("tickets/admit", {"event": "fest", "barcode": code, "gate": "north", "device": "d1"})


def test_a_code_that_exists_is_taken_at_once_beside_late_misses(api: Api, own_count: WrongCodes) -> None:
    assert api.call("PUT", "events/fest", {"name": "Fest"}).status_code in (200, 201)
    issued = api.post("tickets", {"event": "fest", "ticket_id": "A-1", "barcodes": ["GOOD-CODE-1"]})
    assert issued.status_code == 200, issued.content
    for number in range(MISSES_MAX):
        refused = scan(api, f"NO-CODE-OF-OURS-{number}")
        assert refused.status_code == 404
        assert not isinstance(refused, HeldResponse)
    late = scan(api, "NO-CODE-OF-OURS-AT-ALL")
    assert isinstance(late, HeldResponse)
    assert late.held_for == 1.0
    assert "check how the reader is set" in read(late)["hint"]
    admitted = scan(api, "GOOD-CODE-1")
    assert (admitted.status_code, isinstance(admitted, HeldResponse)) == (200, False)


def test_a_key_that_may_neither_scan_nor_operate_gets_no_hint(api: Api, own_count: WrongCodes) -> None:
    api.call("PUT", "events/fest", {"name": "Fest"})
    api.post("tickets", {"event": "fest", "ticket_id": "A-1", "barcodes": ["GOOD-CODE-1"]})
    store_key("dtvn_reads_only_and_guesses", label="shop", scopes=[])
    wrong = {"event": "fest", "barcode": "good-code-1"}
    assert "hint" in read(Api(KEY).post("tickets/find", wrong))
    assert "hint" not in read(Api("dtvn_reads_only_and_guesses").post("tickets/find", wrong))
