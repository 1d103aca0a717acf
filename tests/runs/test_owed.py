"""Runs that the platform's rules judged alone wait in rows, and the members judge them after healing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dtvn.gateway.owed_settler import AGAIN_MAX, IDLE, LOOK, PACE
from dtvn.proof import TRANSCRIPT, unwrap
from dtvn.proof.transcripts import verify_transcript
from events.models import JudgedRun, OwedPart, OwedRun, RunRecord
from events.services import owed_rows, run_rows, settling
from events.services.run_table import run_table
from events.services.settling import Settling
from tests.api.conftest import Api, read
from tests.api.test_metrics import scrape
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.runs.test_rest import BAD, GOOD, flowing, read_line, sequence, texts
from validators.services import epochs

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

CUT = frozenset({2, 3})
SECRET = "a-word-of-the-agent"


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Settling:
    """What the thread of a web process does, in the test's own."""
    made = Settling()
    monkeypatch.setattr(settling, "settling", made)
    monkeypatch.setattr("events.web_part.settling", made)
    return made


def cut(fake: FakeGateway) -> None:
    fake.down = fake.events.down = CUT


def heal(fake: FakeGateway) -> None:
    fake.down = fake.events.down = frozenset()


def shown(api: Api, told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = read(api.get(f"events/runs/{told['id']}"))["data"]
    return found


def next_call(api: Api, events: list[bytes], **more: Any) -> dict[str, Any]:
    answer = api.post("events/validate", texts(events, **more))
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = read(answer)["data"]
    return found


def test_a_sequence_judged_here_waits_and_is_judged_by_the_members(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    cut(fake)
    told = sequence(api, BAD)
    assert (told["scope"], told["owed"], told["code"]) == ("LOCAL_ONLY", "waiting", "MESSAGE_NOT_OPEN")
    assert "also if the platform is restarted meanwhile" in told["owed_text"]
    assert len(told["salts"]) == 5
    kept = shown(api, told)
    assert (kept["owed"], kept["here_code"], kept["settled_at"]) == ("waiting", "MESSAGE_NOT_OPEN", None)
    assert kept["here_at"] is not None
    assert (kept["here_valid"], kept["here_events"]) == (False, 5)
    assert thread.settler.turn() == LOOK, "nobody is asked before a quorum answers"
    heal(fake)
    assert thread.settler.turn() == PACE
    kept = shown(api, told)
    assert (kept["owed"], kept["verdict"], kept["code"]) == ("settled", "invalid", "MESSAGE_NOT_OPEN")
    assert (kept["differs"], kept["differences"], kept["failure"]) == (False, [], None)
    assert (kept["events"], kept["record_code"], kept["here_code"]) == (5, "ok", "MESSAGE_NOT_OPEN")
    assert (kept["here_valid"], kept["here_events"]) == (None, None)
    assert kept["here_at"] < kept["settled_at"]
    assert len(bytes.fromhex(kept["scope"])) == 32
    assert [bool(each["certificate"]) for each in kept["pieces"]] == [True], "the one without it is gone"
    assert kept["excerpts"][0]["index"] == 2
    again = read(api.post(f"events/runs/{told['id']}/end"))["data"]
    assert (again["scope"], again["owed"], again["valid"]) == (kept["scope"], "settled", False)
    assert thread.settler.turn() == IDLE
    assert thread.settled == {False: 1}


def test_certificates_that_replace_the_mark_make_a_transcript(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    """With the salts of the first answer: a caller needs no second one."""
    cut(fake)
    told = sequence(api, GOOD)
    heal(fake)
    thread.settler.turn()
    body = texts(GOOD, salts=told["salts"])
    answer = api.post(f"events/runs/{told['id']}/transcript", body)
    assert answer.status_code == 200, answer.content
    data = unwrap(TRANSCRIPT, answer.content)
    assert verify_transcript(data, epochs.known_chain()).events == 5


def test_what_the_members_say_otherwise_is_listed(api: Api, fake: FakeGateway, thread: Settling) -> None:
    cut(fake)
    told = sequence(api, BAD)
    same = sequence(api, GOOD, run="other")
    falsely(fake, 0, 1, 2, errors=((0, "A_LIE"),))
    heal(fake)
    thread.settler.turn()
    fake.events.changed = lambda _member, body: [body]
    thread.settler.turn()
    found = read(api.get("events/runs?differs=true"))["data"]
    assert [each["id"] for each in found] == [told["id"]]
    assert found[0]["differences"] == [
        {"index": 0, "here": "", "members": "A_LIE"},
        {"index": 2, "here": "MESSAGE_NOT_OPEN", "members": ""},
    ]
    assert (found[0]["here_code"], found[0]["code"]) == ("MESSAGE_NOT_OPEN", "A_LIE")
    assert [each["id"] for each in read(api.get("events/runs?differs=false"))["data"]] == [same["id"]]
    page = scrape()
    assert page.value("dtvn_platform_event_settled_total", differs="yes") == 1
    assert page.value("dtvn_platform_event_settled_total", differs="no") == 1
    answer = api.get("events/runs?differs=maybe")
    assert (answer.status_code, "differs" in read(answer)["error"]) == (400, True)


def test_runs_that_wait_are_listed_counted_and_judged_in_their_order(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    cut(fake)
    ids = [sequence(api, GOOD, run=f"r{number}")["id"] for number in range(3)]
    listed = read(api.get("events/runs?owed=waiting"))["data"]
    assert [each["id"] for each in listed] == ids[::-1]
    assert {(each["here_valid"], each["here_events"], each["events"]) for each in listed} == {(True, 5, 0)}
    assert read(api.get("events"))["data"]["owed"] == 3
    assert scrape().value("dtvn_platform_event_owed") == 3
    answer = api.get("events/runs?owed=maybe")
    assert (answer.status_code, "owed" in read(answer)["error"]) == (400, True)
    heal(fake)
    for number in range(3):
        assert thread.settler.turn() == PACE
        waiting = [each["id"] for each in read(api.get("events/runs?owed=waiting"))["data"]]
        assert waiting == ids[:number:-1]
    assert scrape().value("dtvn_platform_event_owed") == 0


def test_a_run_that_gets_no_verdict_keeps_no_other_waiting(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    cut(fake)
    first, second = (sequence(api, GOOD, run=name) for name in ("unanswered", "r"))
    changed = fake.events.changed
    fake.events.changed = lambda member, body: [] if b"unanswered" in body else changed(member, body)
    heal(fake)
    assert thread.settler.turn() == LOOK, "and then twice as long"
    assert thread.settler.turn() == PACE
    assert (shown(api, first)["owed"], shown(api, second)["owed"]) == ("waiting", "settled")
    fake.events.changed = changed
    assert thread.settler.turn() == LOOK, "it was passed over"
    assert thread.settler.turn() == PACE
    assert shown(api, first)["owed"] == "settled"


@pytest.mark.parametrize("algorithm", ["majority", "unanimous", "pbft"])
def test_a_run_is_judged_later_as_it_was_to_be_judged(
    api: Api, fake: FakeGateway, thread: Settling, algorithm: str
) -> None:
    unknown = b'{"type":"NO_SUCH_EVENT"}'
    cut(fake)
    told = sequence(api, [*GOOD[:1], unknown], algorithm=algorithm, drop_unknown=True)
    heal(fake)
    thread.settler.turn()
    kept = shown(api, told)
    assert (kept["algorithm"], kept["verdict"], kept["delivered"]) == (algorithm, "valid", 1)
    assert kept["recorded"] is (algorithm == "pbft")
    assert not kept["differs"]


@pytest.mark.django_db(databases=["default", "learner"], transaction=True)
def test_a_stream_judged_here_waits_too(api: Api, fake: FakeGateway, thread: Settling) -> None:
    cut(fake)
    answer = api.post(
        "events/stream", b"".join(each + b"\n" for each in BAD), Content_Type="application/x-ndjson"
    )
    told = read_line(flowing(answer).splitlines()[-1])["report"]
    assert (told["scope"], told["owed"], len(told["salts"])) == ("LOCAL_ONLY", "waiting", 5)
    heal(fake)
    thread.settler.turn()
    assert shown(api, told)["owed"] == "settled"


def test_rows_hold_each_waiting_event_once_however_often_they_are_written(
    api: Api, fake: FakeGateway
) -> None:
    next_call(api, GOOD[:1])
    cut(fake)
    for text in GOOD[1:4]:
        told = next_call(api, [text], thread="t", run="r")
        run = run_table.writes(told["id"])
        assert run is not None
        run.changed = True
        run_table.sweep()
    here = owed_rows.restored(OwedRun.objects.get())
    assert [event.text for event in here.waiting] == GOOD[:4]
    assert here.codes == {0: None, 1: "", 2: "", 3: ""}


def test_an_open_run_is_judged_without_a_further_call(api: Api, fake: FakeGateway, thread: Settling) -> None:
    cut(fake)
    told = next_call(api, GOOD[:2])
    assert OwedRun.objects.get().pk == told["id"]
    heal(fake)
    assert thread.settler.turn() == PACE
    kept = shown(api, told)
    assert (kept["status"], kept["owed"], kept["events"]) == ("open", "settled", 2)
    last = next_call(api, GOOD[2:], thread="t", run="r", end=True)
    assert (last["valid"], last["events"], last["recorded"]) == (True, 5, "ok")


def test_what_waits_survives_the_process_that_answered(api: Api, fake: FakeGateway, thread: Settling) -> None:
    """An ended run, and an open one, of which another process hears nothing any more."""
    cut(fake)
    ended = sequence(api, BAD, run="ended")
    opened = next_call(api, GOOD[:2])
    live = run_table.writes(opened["id"])
    assert live is not None
    ending = live.end()
    assert ending is not None
    run_table._runs.clear()
    heal(fake)
    fake.events.attend()
    assert thread.settler.turn() == PACE
    assert shown(api, ended)["owed"] == "settled"
    assert thread.settler.turn() == PACE
    assert shown(api, opened)["owed"] == "waiting", "its process may still write it"
    silent = timezone.now() - 2 * run_rows.SILENCE
    JudgedRun.objects.filter(pk=opened["id"]).update(changed_at=silent)
    while thread.settler.turn() != PACE:
        pass
    kept = shown(api, opened)
    assert (kept["owed"], kept["verdict"], kept["status"]) == ("settled", "valid", "ended")


def test_a_run_whose_beginning_is_no_longer_kept_is_refused_and_says_so(
    api: Api, fake: FakeGateway, thread: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.rest.judging.KEPT_BYTES", 100)
    next_call(api, GOOD[:3])
    cut(fake)
    answer = api.post("events/validate", texts(GOOD[3:4], thread="t", run="r"))
    assert (answer.status_code, read(answer)["code"]) == (503, "no_verdict")
    assert "have the whole run judged again" in read(answer)["error"]
    told = next_call(api, GOOD[3:], thread="t", run="r", end=True)
    assert (told["owed"], told["scope"]) == ("refused", "LOCAL_ONLY")
    assert "will not judge these events later: its earlier events" in told["owed_text"]
    assert shown(api, told)["owed"] == "refused"
    heal(fake)
    assert thread.settler.turn() == IDLE


@pytest.mark.parametrize(("bound", "most"), [("WAITING_MAX", 1), ("BYTES_MAX", 300)])
def test_when_no_room_is_left_the_newest_is_refused_and_says_so(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(owed_rows, bound, most)
    cut(fake)
    kept = sequence(api, GOOD)
    told = sequence(api, GOOD, run="other")
    assert (kept["owed"], told["owed"], told["valid"]) == ("waiting", "refused", True)
    assert "wait for the members' judgement already" in told["owed_text"]
    assert [each["id"] for each in read(api.get("events/runs?owed=refused"))["data"]] == [told["id"]]
    answer = api.post("events/validate", texts(GOOD[:1], run="third"))
    assert (answer.status_code, read(answer)["code"]) == (503, "no_verdict")
    assert "wait for the members' judgement already" in read(answer)["error"]
    assert list(OwedRun.objects.values_list("pk", flat=True)) == [kept["id"]]


def test_waiting_runs_make_no_room_for_newer_ones(
    api: Api, fake: FakeGateway, thread: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "RUNS_KEPT", 2)
    cut(fake)
    waits = sequence(api, GOOD, run="waits")
    heal(fake)
    for number in range(4):
        sequence(api, GOOD, run=f"r{number}")
    assert shown(api, waits)["owed"] == "waiting"
    assert thread.settler.turn() == PACE
    assert shown(api, waits)["owed"] == "settled"


def test_a_run_that_is_erased_while_it_waits_is_gone(api: Api, fake: FakeGateway, thread: Settling) -> None:
    cut(fake)
    told = sequence(api, GOOD)
    assert api.call("DELETE", f"events/runs/{told['id']}").status_code == 200
    assert not OwedPart.objects.exists()
    heal(fake)
    assert thread.settler.turn() == IDLE


def test_one_process_has_a_run_judged_until_its_claim_runs_out(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    cut(fake)
    told = sequence(api, GOOD)
    assert owed_rows.claim(told["id"]) is not None
    assert owed_rows.claim(told["id"]) is None
    heal(fake)
    assert thread.settler.turn() == LOOK
    OwedRun.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert thread.settler.turn() == PACE
    assert shown(api, told)["owed"] == "settled"


def test_no_verdict_leaves_it_waiting_and_pauses_grow(api: Api, fake: FakeGateway, thread: Settling) -> None:
    cut(fake)
    told = sequence(api, GOOD)
    fake.down = frozenset()  # links are up, and two members do not vote
    pauses = [thread.settler.turn() for _ in range(20)]
    assert pauses[::2] == [*(LOOK * 2**times for times in range(8)), AGAIN_MAX, AGAIN_MAX]
    assert {*pauses[1::2]} == {LOOK}, "no other one waits"
    assert shown(api, told)["owed"] == "waiting"
    heal(fake)
    assert thread.settler.turn() == PACE
    kept = shown(api, told)
    assert (kept["owed"], kept["record_code"]) == ("settled", "ok")
    cut(fake)
    sequence(api, GOOD, run="r2")
    fake.down = frozenset()
    assert [thread.settler.turn() for _ in range(3)] == [LOOK, LOOK, 2 * LOOK], (
        "after a verdict they begin anew"
    )


def test_a_decision_that_cannot_change_is_settled_without_a_certificate(
    api: Api, fake: FakeGateway, thread: Settling
) -> None:
    cut(fake)
    told = sequence(api, GOOD, algorithm="unanimous")
    falsely(fake, 1, 2)
    heal(fake)
    thread.settler.turn()
    kept = shown(api, told)
    assert (kept["owed"], kept["verdict"], kept["scope"]) == ("settled", "invalid", "LOCAL_ONLY")
    assert kept["differences"] == [{"index": 0, "here": "", "members": "A_LIE"}]


def test_a_verdict_that_was_lost_with_its_process_is_given_again_and_recorded_once(
    api: Api, fake: FakeGateway, thread: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the log has the run, before its row says so."""
    cut(fake)
    told = sequence(api, GOOD)
    heal(fake)
    with monkeypatch.context() as killed:
        killed.setattr(settling, "_write_anew", lambda _run: None)
        thread.settler.turn()
    assert shown(api, told)["owed"] == "waiting"
    assert thread.settler.turn() == PACE
    kept = shown(api, told)
    assert (kept["owed"], kept["record_code"], kept["failure"]) == ("settled", "ok", None)
    assert RunRecord.objects.filter(judged_run_id=told["id"]).count() == 1


def test_a_call_that_is_told_503_owes_nothing(api: Api, fake: FakeGateway) -> None:
    """Its caller asks again: the proxy, `dtvn validate --cluster`, and a WebSocket."""
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    cut(fake)
    answer = api.post(f"{path}/events?from=0", texts(GOOD))
    assert answer.status_code == 503
    assert read(answer)["error"].endswith("Nothing is owed: give these events again.")
    told = read(api.post(f"{path}/end"))["data"]
    assert (told["owed"], told["owed_text"]) == ("", "")
    assert not OwedRun.objects.exists()
