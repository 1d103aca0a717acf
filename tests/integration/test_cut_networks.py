"""Real nodes on hosts of their own are cut in two while people are admitted and agents' sequences judged. A
side that is a quorum goes on, one that is none says so and judges alone; after healing all have one state,
and the members have judged what was owed. Hosts are network namespaces; without these the test is skipped.

Of seven members with PBFT, of whom two may lie, five decide: cut 5 | 2 one side goes on, cut 4 | 3 none may.
With Raft, where none may, four of seven decide, and three of five.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dtvn.gateway import DistributedValidator, Gateway, Owing
from dtvn.protocol.quorum import Mode, quorum
from tests.integration.cut_town import Gate, Town, await_sentence, issue, network, same_everywhere, town
from tests.integration.owing_program import STRICT, judged
from tests.integration.owing_program import shown as as_json
from tests.integration.test_owed import Program, check
from tests.pages.browsing import Complaints, browser, log_in, opened, shown  # noqa: F401 - a fixture
from tests.waiting import wait_until
from validators.network_watch.cuts import named

pytestmark = [
    *(pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.embedded_only),
    pytest.mark.timeout(1_800),
]

WHOLE = "All members that report hear each other."
TOLD_MS = 60_000
"""A cut is told within some ten seconds, on a machine of its own."""
RUNS = 12
"""Owed by those who are cut off, in two lives of their program."""
HEARD_EVERY = 3.0
"""Seconds between two words of a member at the most, on a busy machine: a cut counts from the last."""
MINE = 101
"""Number of the run that is judged on this side meanwhile."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:  # noqa: F811
    """Logged in nowhere yet."""
    with opened(browser, "http", Complaints()) as found:
        yield found


@pytest.mark.parametrize(
    ("mode", "members", "side"),
    [(Mode.PBFT, 7, 5), (Mode.PBFT, 7, 4), (Mode.RAFT, 7, 4), (Mode.RAFT, 5, 3)],
    ids=["pbft-5-2", "pbft-4-3", "raft-4-3", "raft-3-2"],
)
def test_a_cut_is_told_and_survived_and_what_is_owed_is_judged(
    mode: Mode, members: int, side: int, tmp_path: Path, page: Page
) -> None:
    decides = side >= quorum(members, mode)
    with (
        town(tmp_path, members, mode, side) as running,
        running.gateway() as gateway,
        Gate(gateway) as gate,
        DistributedValidator(gateway, wait=5.0, owed_folder=tmp_path / "here") as validator,
    ):
        look_on(page, running)
        assert judged(validator, MINE - 1).certified
        gate.goes_on()
        program = running.program(tmp_path / "owed")
        begun = time.time()
        with running.apart():
            page_tells(page, running, decides=decides)
            admitted = len(gate.admitted)
            others_tell(running, decides=decides)
            owed = judge_alone(program, running)
            mine = judged(validator, MINE)
            assert (mine.certified, mine.owing) == (decides, Owing.NOTHING if decides else Owing.ON_DISK)
            if decides:
                gate.goes_on()
            else:
                assert len(gate.admitted) == admitted, "no side decides, and nothing diverges"
            ended = time.time()
        expect(shown(page, "cut-sentence")).to_have_text(WHOLE, timeout=TOLD_MS)
        gate.goes_on()
        all_is_judged(program, owed, gateway)
        mine_is_judged(validator, gateway, decides=decides)
        histories_tell(page, running, begun, ended, decides=decides)
        gate.stop()
        assert gate.codes <= {"ok", "outcome_unknown", "unavailable"}
        same_everywhere(gateway, gate.admitted)


def look_on(page: Page, running: Town) -> None:
    """The page Network of this side, before the cut."""
    here, there = running.platforms
    log_in(page, here.url, here.credentials)
    page.goto(f"{here.url}/dashboard/network")
    expect(shown(page, "cut-sentence")).to_have_text(WHOLE, timeout=TOLD_MS)
    await_sentence(there, WHOLE)


def page_tells(page: Page, running: Town, *, decides: bool) -> None:
    """Live, on this side: who is apart since when, and who goes on."""
    sentence = rf"^{re.escape(running.apart_in_words())} since \d\d:\d\d; "
    expect(shown(page, "cut-sentence")).to_have_text(re.compile(sentence), timeout=TOLD_MS)
    told = "and go on; " if decides else "No side has a quorum"
    expect(shown(page, "cut-consequence")).to_contain_text(told)


def others_tell(running: Town, *, decides: bool) -> None:
    """The other side says the same, not knowing if those run that it does not see, and decides nothing."""
    there = running.platforms[1]
    found = await_sentence(there, running.apart_in_words())["cut"]
    assert (found["decides"], found["may_decide"]) == ([], list(running.here if decides else ()))
    rest = f"{named(running.there)} decide nothing" if decides else "No side has a quorum"
    assert rest in found["consequence"]
    assert issue(there, "THERE") in (503, 504)


def judge_alone(program: Program, running: Town) -> dict[int, str]:
    """Id -> run of what a program on the other side judged in two lives, which knew what they are."""
    owed = program.judge_and_die(0, RUNS // 2) | program.judge_and_die(RUNS // 2, RUNS)
    assert list(owed.values()) == [f"r{number}" for number in range(RUNS)]
    assert [(kind, sorted(missed)) for kind, missed in program.partitions] == [
        ("minority", sorted(running.here))
    ] * 2
    return owed


def all_is_judged(program: Program, owed: dict[int, str], gateway: Gateway) -> None:
    """By the members, each once, in order."""
    settled = program.settle()
    assert [(each["id"], each["run"]) for each in settled] == sorted(owed.items())
    for number, each in enumerate(settled):
        check(each, number, gateway)
    assert [each["run"] for each in settled if each["differences"]] == [f"r{STRICT}"]


def mine_is_judged(validator: DistributedValidator, gateway: Gateway, *, decides: bool) -> None:
    """Also what this side judged alone, if it is no quorum."""
    wait_until(lambda: not validator.get_owed(), what="nothing is owed")
    settled = validator.get_settled()
    assert [each.run for each in settled] == ([] if decides else [f"r{MINE}"])
    for each in settled:
        check(as_json(each), MINE, gateway)


def histories_tell(page: Page, running: Town, begun: float, ended: float, *, decides: bool) -> None:
    """Afterwards the page and both platforms know the cut, when it began, and that it is over."""
    groups = [list(running.here), list(running.there)]
    for desk, known in zip(running.platforms, ("decides", "may_decide"), strict=True):
        await_sentence(desk, WHOLE)
        history = network(desk)["history"]
        told = [each for each in history if each["groups"] == groups]
        assert len(told) == 1, history
        [cut] = told
        assert cut[known] == (groups[0] if decides else [])
        assert begun - HEARD_EVERY < moment(cut["started_at"]) < ended < moment(cut["ended_at"])
    row = shown(page, "cuts").locator("tr").filter(has_text=running.apart_in_words())
    expect(row).to_have_count(1, timeout=TOLD_MS)
    expect(row).not_to_contain_text("lasts", timeout=TOLD_MS)


def moment(text: str) -> float:
    """Unix seconds."""
    return datetime.fromisoformat(text).timestamp()
