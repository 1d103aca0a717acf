"""Runs judged over REST: verdicts, repeats, bounds, and what is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from dtvn.api import event_findings
from dtvn.proof import TRANSCRIPT, unwrap
from dtvn.proof.transcripts import verify_transcript
from events.feed import newest_event, read_frames
from events.models import JudgedRun, RunPiece, RunRecord
from events.services import open_runs, run_rows
from events.services import run_table as run_table_module
from events.services.run_table import run_table
from tests.api.conftest import Api, read
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from validators.services import epochs

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

GOOD = [event("RS:r", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF:r", threadId="t")]
BAD = [
    event("RS:r", threadId="t"),
    event("TS:m"),
    event("TC:other"),
    event("TE:m"),
    event("RF:r", threadId="t"),
]


def texts(events: list[bytes], **more: Any) -> dict[str, Any]:
    return {"texts": [each.decode() for each in events], **more}


def sequence(api: Api, events: list[bytes], **more: Any) -> dict[str, Any]:
    answer = api.post("events/validate-sequence", texts(events, **more))
    assert answer.status_code == 200, answer.content
    return read(answer)["data"]


def test_who_was_not_waited_for_is_told_from_who_was_silent(api: Api, fake: FakeGateway) -> None:
    given = [each["given"] for each in sequence(api, GOOD)["pieces"][0]["members"]]
    assert given == ["valid", "valid", "valid", "not_waited_for"]
    fake.events.down = frozenset({2, 3})
    told = read(api.post("events/validate", texts(GOOD[:1], thread="u", run="cut")))["data"]
    assert [each["given"] for each in told["pieces"][0]["members"]] == ["valid", "valid", "silent", "silent"]


@pytest.mark.parametrize("name", ["raft", "paxos"])
def test_an_algorithm_that_is_not_offered_is_422_and_those_offered_are_named(api: Api, name: str) -> None:
    shown = name if name == "raft" else f'"{name}"'
    why = " (this cluster was founded with pbft; another one is founded with `make up CONSENSUS=raft` or "
    why = f"{why}`manage.py genesis init --consensus raft`)" if name == "raft" else ""
    said = f"algorithm: {shown} is not offered here{why}; offered: majority, unanimous, pbft"
    for answer in (
        api.post("events/validate", texts(GOOD, algorithm=name)),
        api.post("events/validate-sequence", texts(GOOD, algorithm=name)),
        api.post("events/runs", {"algorithm": name}),
        api.post(f"events/stream?algorithm={name}", b"\n".join(GOOD)),
    ):
        assert (answer.status_code, read(answer)["code"]) == (422, "algorithm_not_offered")
        assert read(answer)["error"] == said


@pytest.mark.parametrize("down", [frozenset[int](), frozenset({1, 2, 3})], ids=["judged", "local"])
def test_violations_that_are_not_listed_are_counted_by_rule(
    api: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, down: frozenset[int]
) -> None:
    """Violations that only the platform's rules found are counted too."""
    wrong = [GOOD[0], b"{", b"[", event("TC:other")]
    whole = sequence(api, wrong, thread="t", run="whole")
    codes = [each["code"] for each in whole["violations"]]
    assert (len(codes) > 2, whole["omitted"]) == (True, {})
    monkeypatch.setattr(event_findings, "VIOLATIONS_MAX", 2)
    fake.events.down = down
    told = sequence(api, wrong, thread="t", run="cut")
    assert [each["code"] for each in told["violations"]] == codes[:2]
    assert told["omitted"] == Counter(codes[2:])
    assert (told["scope"] == "LOCAL_ONLY") is bool(down)


def test_a_repeated_chunk_gets_the_same_answer(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    chunk = b"\n".join(GOOD[:3])
    first = api.post(f"{path}/events?from=0", chunk, Content_Type="application/x-ndjson")
    again = api.post(f"{path}/events?from=0", chunk, Content_Type="application/x-ndjson")
    assert first.content == again.content
    other = api.post(f"{path}/events?from=0", GOOD[3], Content_Type="application/x-ndjson")
    assert (other.status_code, read(other)["code"]) == (409, "not_next")
    assert "event 3" in read(other)["error"]


def test_a_call_repeated_without_a_quorum_leaves_one_uncertified_row(api: Api, fake: FakeGateway) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    assert api.post(f"{path}/events?from=0", texts(GOOD[:1])).status_code == 200
    fake.events.down = frozenset({2, 3})
    for number in range(10):
        assert api.post(f"{path}/events?from=1", texts(GOOD[1:3])).status_code == 503
        if number % 3:
            run_table.sweep()
    api.post(f"{path}/end")
    kept = RunPiece.objects.order_by("id").values_list("position", "certificate")
    assert [(position, bool(certificate)) for position, certificate in kept] == [(0, True), (1, False)]


def test_a_run_has_one_writer(api: Api) -> None:
    api.post("events/runs", {"thread": "t", "run": "r"})
    answer = api.post("events/runs", {"thread": "t", "run": "r"})
    assert (answer.status_code, read(answer)["code"]) == (409, "run_is_live")
    answer = api.post("events/validate-sequence", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (409, "run_is_live")
    assert read(answer)["error"].startswith('Run "r" of thread "t" is still being written')


@pytest.mark.parametrize("other", [GOOD, [*GOOD[:2], *GOOD[3:]]], ids=["the same", "another"])
def test_a_run_that_was_recorded_before_is_said_and_stays_valid(api: Api, other: list[bytes]) -> None:
    assert sequence(api, GOOD)["recorded"] == "ok"
    told = sequence(api, other)
    assert (told["valid"], told["code"], told["verdict"]) == (True, None, "valid")
    assert (told["recorded"], told["failure"]["code"]) == ("not_next", "not_next")
    assert told["failure"]["text"].startswith('Run "r" was recorded before; a run is recorded once.')
    path = f"events/runs/{told['id']}"
    again = read(api.post(f"{path}/end"))["data"]
    assert again == {name: told[name] for name in again}
    assert read(api.get("events/runs?verdict=invalid"))["data"] == []
    shown = read(api.get(path))["data"]
    assert (shown["verdict"], shown["code"], shown["failure"]) == ("valid", None, "not_next")
    answer = api.post(f"{path}/transcript", texts(other, salts=told["salts"]))
    assert (answer.status_code, read(answer)["code"]) == (409, "not_next")
    assert read(answer)["error"] == told["failure"]["text"]


@pytest.mark.parametrize("path", ["validate", "validate-sequence"])
def test_a_run_waits_while_an_earlier_one_of_its_names_ends(api: Api, fake: FakeGateway, path: str) -> None:
    first = read(api.post("events/validate", texts(GOOD[:2], recorded=False)))["data"]
    earlier = run_table.find(first["id"], JudgedRun.objects.get(pk=first["id"]).actor)
    assert earlier._run is not None
    earlier.ending = fake.events.ending(earlier._run)
    assert not earlier.ending.done()
    answer = api.post(f"events/{path}", texts(GOOD))
    assert answer.status_code == 200, answer.content
    assert earlier.ending.done()
    told = read(answer)["data"]
    assert (told["valid"], told["events"], told["id"]) == (True, 5, first["id"] + 1)


def test_a_run_whose_record_has_an_unknown_outcome_stays_valid(api: Api, fake: FakeGateway) -> None:
    fake.mute = True
    told = sequence(api, GOOD)
    assert (told["valid"], told["recorded"]) == (True, "outcome_unknown")


def test_exact_bytes_of_an_event_are_judged(api: Api) -> None:
    spaced = b'{ "type" : "RUN_STARTED",  "threadId":"t","runId":"r" }'
    body = b'{"salts":["%b"],"recorded":false,"events":[%b]}' % (b"A" * 22 + b"==", spaced)
    told = read(api.post("events/validate-sequence", body))["data"]
    assert told["valid"]
    transcript = api.post(
        f"events/runs/{told['id']}/transcript",
        b'{"events":[%b],"salts":["%b"]}' % (spaced, b"A" * 22 + b"=="),
    )
    assert transcript.status_code == 200, transcript.content
    closer = b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'
    other = api.post(
        f"events/runs/{told['id']}/transcript",
        b'{"events":[%b],"salts":["%b"]}' % (closer, b"A" * 22 + b"=="),
    )
    assert (other.status_code, read(other)["code"]) == (422, "not_proved")


def test_runs_are_listed_filtered_and_paged(api: Api) -> None:
    ids = [sequence(api, GOOD, run=f"r{number}")["id"] for number in range(3)]
    bad = sequence(api, BAD, run="bad")["id"]
    page = api.get("events/runs?limit=2")
    assert [each["id"] for each in read(page)["data"]] == [bad, ids[2]]
    assert page.headers["X-Total-Count"] == "4"
    following = api.get(page.headers["Link"].partition(">")[0][1:])
    assert following.headers["X-Total-Count"] == "4"
    assert [each["id"] for each in read(following)["data"]] == [ids[1], ids[0]]
    found = read(api.get("events/runs?verdict=invalid"))["data"]
    assert [each["id"] for each in found] == [bad]
    assert read(api.get("events/runs?run=r1"))["data"][0]["id"] == ids[1]
    assert api.get("events/runs?verdict=maybe").status_code == 400


def test_pages_are_told_once_of_the_runs_that_changed(api: Api) -> None:
    assert read_frames(newest_event()) == (0, [])
    first, second = (sequence(api, GOOD, run=name)["id"] for name in ("r1", "r2"))
    newest, frames = read_frames(0)
    assert frames == [{"type": "event_runs", "runs": [second, first]}]
    assert newest == newest_event()
    assert read_frames(newest) == (newest, [])
    third = sequence(api, BAD, run="r3")["id"]
    assert read_frames(newest)[1] == [{"type": "event_runs", "runs": [third]}]


def test_pieces_of_a_run_are_paged(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    for number, each in enumerate(GOOD):
        api.post(f"{path}/events?from={number}", each, Content_Type="application/x-ndjson")
    api.post(f"{path}/end")
    page = api.get(f"{path}/pieces?limit=3")
    assert [each["position"] for each in read(page)["data"]] == [0, 1, 2]
    rest = api.get(page.headers["Link"].partition(">")[0][1:])
    assert [each["position"] for each in read(rest)["data"]] == [3, 4]


def test_an_open_run_cannot_be_erased(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    assert read(api.call("DELETE", path))["code"] == "run_is_live"
    run_table._runs.pop(int(path.rpartition("/")[2])).end()
    assert read(api.call("DELETE", path))["code"] == "run_is_live", "another web process writes it"


def test_an_idle_run_ends_by_itself(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    api.post(f"{path}/events", GOOD[0], Content_Type="application/x-ndjson")
    monkeypatch.setattr(open_runs, "IDLE", 0.0)
    run_table.sweep()
    run_table.sweep()
    shown = read(api.get(path))["data"]
    assert (shown["status"], shown["events"], shown["record_code"]) == ("ended", 1, "ok")


def test_an_idle_run_that_never_began_ends_by_itself_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = api.post("events/runs", {}).headers["Location"]
    monkeypatch.setattr(open_runs, "IDLE", 0.0)
    run_table.sweep()
    shown = read(api.get(path))["data"]
    assert (shown["status"], shown["events"], len(run_table)) == ("ended", 0, 0)


def test_a_run_that_waits_for_its_client_is_not_taken_for_lost(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    run_table.sweep()
    JudgedRun.objects.update(changed_at=timezone.now() - 2 * run_rows.SILENCE)
    run_table._heard = -run_table_module.HEARD_INTERVAL
    run_table.sweep()
    assert read(api.get(path))["data"]["status"] == "open"


def test_the_runs_of_a_gateway_that_was_closed_are_ended_like_others(api: Api, fake: FakeGateway) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    api.post(f"{path}/events", GOOD[0], Content_Type="application/x-ndjson")
    fake.close()
    (run,) = run_table._runs.values()
    run.touched = -open_runs.IDLE
    run_table.sweep()
    run_table.sweep()
    assert len(run_table) == 0
    assert (JudgedRun.objects.get().status, JudgedRun.objects.get().events) == ("ended", 1)


def test_a_run_whose_process_is_gone_is_lost_and_not_valid(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    run_table._runs.clear()
    JudgedRun.objects.update(changed_at=timezone.now() - 2 * run_rows.SILENCE)
    assert read(api.get(path))["data"]["status"] == "lost"
    assert read(api.post(f"{path}/end"))["data"]["valid"] is False
    assert api.call("DELETE", path).status_code == 200


def test_a_run_of_another_web_process_is_said_to_be_there(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    run = run_table._runs.pop(int(path.rpartition("/")[2]))
    run.end()
    for call in (f"{path}/events", f"{path}/end"):
        answer = api.post(call, GOOD[0] if call.endswith("events") else None)
        assert (answer.status_code, read(answer)["code"]) == (409, "run_elsewhere")
        assert "begin another run" in read(answer)["error"]
    answer = api.post("events/validate-sequence", texts(GOOD))
    assert (answer.status_code, read(answer)["code"]) == (409, "run_is_live")
    JudgedRun.objects.update(changed_at=timezone.now() - 2 * run_rows.SILENCE)
    assert sequence(api, GOOD)["recorded"] == "ok"
    lost = api.post(f"{path}/events", GOOD[0], Content_Type="application/x-ndjson")
    assert (read(lost)["code"], "begin another" in read(lost)["error"]) == ("run_ended", True)


def test_a_transcript_may_rest_on_the_answers_where_the_log_lacks_records(api: Api) -> None:
    told = sequence(api, BAD)
    RunRecord.objects.all().delete()
    body = texts(BAD, salts=told["salts"])
    assert api.post(f"events/runs/{told['id']}/transcript", body).status_code == 200
    short = texts(BAD[:3], salts=told["salts"][:3])
    answer = api.post(f"events/runs/{told['id']}/transcript", short)
    assert (answer.status_code, read(answer)["code"]) == (409, "not_covered")
    assert "first 5 events" in read(answer)["error"]


def test_the_oldest_runs_make_room(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_rows, "RUNS_KEPT", 3)
    ids = [sequence(api, GOOD, run=f"r{number}")["id"] for number in range(5)]
    assert sorted(JudgedRun.objects.values_list("id", flat=True)) == ids[-3:]


def test_a_caller_may_open_a_bounded_number_of_runs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_table_module, "OPEN_EACH", 2)
    codes = [api.post("events/runs", {"thread": "t", "run": f"r{n}"}).status_code for n in range(3)]
    assert codes == [201, 201, 429]


def test_another_caller_cannot_write_a_run(api: Api) -> None:
    path = api.post("events/runs", {"thread": "t", "run": "r"}).headers["Location"]
    store_key("another key", label="other")
    answer = Api("another key").post(f"{path}/events", GOOD[0], Content_Type="application/x-ndjson")
    assert answer.status_code == 403


def test_a_run_belongs_to_whoever_had_it_judged_and_to_admin(api: Api) -> None:
    run_id = read(api.post("events/runs", {"thread": "t", "run": "r"}))["data"]["id"]
    api.post(f"events/runs/{run_id}/events", texts(BAD))
    store_key("another recorder", label="other", scopes=["record"])
    other = Api("another recorder")
    for act in ("end", "transcript"):
        assert other.post(f"events/runs/{run_id}/{act}", {}).status_code == 403
    assert read(api.post(f"events/runs/{run_id}/end", {}))["data"]["id"] == run_id
    assert other.call("DELETE", f"events/runs/{run_id}").status_code == 403
    shown = read(other.get(f"events/runs/{run_id}"))["data"]
    assert (len(shown["violations"]) > 0, shown["excerpts"]) == (True, [])
    store_key("an administrator", label="admin", scopes=["record", "admin"])
    admin = Api("an administrator")
    assert read(admin.get(f"events/runs/{run_id}"))["data"]["excerpts"]
    assert admin.call("DELETE", f"events/runs/{run_id}").status_code == 200


def test_a_transcript_verifies_and_a_touched_one_does_not(api: Api) -> None:
    told = sequence(api, BAD)
    body = texts(BAD, salts=told["salts"])
    answer = api.post(f"events/runs/{told['id']}/transcript", body)
    assert "attachment" in answer.headers["Content-Disposition"]
    data = unwrap(TRANSCRIPT, answer.content)
    found = verify_transcript(data, epochs.known_chain())
    assert (found.events, found.refused, found.head.hex()) == (5, ((2, "MESSAGE_NOT_OPEN"),), told["scope"])
    for touched in (texts([*BAD[:4], BAD[3]]), texts(BAD[::-1])):
        answer = api.post(f"events/runs/{told['id']}/transcript", touched | {"salts": told["salts"]})
        assert (answer.status_code, read(answer)["code"]) == (422, "not_proved")


@pytest.mark.django_db(databases=["default", "learner"], transaction=True)
def test_a_stream_is_judged_while_its_verdicts_flow(api: Api) -> None:
    sse = b"".join(b"data: %b\n\n" % each for each in BAD)
    answer = api.post("events/stream?run=s1&recorded=false", sse)
    lines = [read_line(line) for line in flowing(answer).splitlines()]
    assert [each["accepted"] for each in lines[:-1]] == [True, True, False, True, True]
    report = lines[-1]["report"]
    assert (report["valid"], report["code"], report["recorded"]) == (False, "MESSAGE_NOT_OPEN", "")
    answer = api.post("events/stream?run=s2&recorded=false", b"\n".join(GOOD), Accept="text/event-stream")
    assert answer.headers["Content-Type"] == "text/event-stream"
    parts = flowing(answer).split(b"\n\n")
    assert all(part.startswith(b"data: {") for part in parts[:-1])
    assert len(parts) == len(GOOD) + 2


def read_line(line: bytes) -> Any:
    return msgspec.json.decode(line)


def flowing(answer: Any) -> bytes:
    async def collect() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    assert answer.status_code == 200
    return async_to_sync(collect)()
