"""A recorded conversation through the real proxy, judged by a real platform's four nodes, of which one lies,
or is killed, or both; and its transcript where nobody has ever seen that cluster."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest

from dtvn.events.judging import VoteCertificate, decode_certificate, open_vote
from dtvn.events.transcript import Transcript, decode_transcript, encode_transcript
from dtvn.node.layout import ClusterFolder
from dtvn.proof import TRANSCRIPT, transcript_json, unwrap
from dtvn.protocol.genesis import decode
from tests.events.judging.support import changed
from tests.integration.lying_judge import LyingJudge, only_lies
from tests.integration.network import REPOSITORY, Network, network
from tests.integration.proxied_agent import PROGRAM, Answer, Proxy, proxy
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.proof.verdicts import by_browser
from tests.proxy.test_conversation import TEXTS
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODES = ("observe", "mark", "refuse")
WRONG = b'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"never-opened","delta":"?"}\n\n'
WRONG_AT = 17
HALF = 10
PATIENT = ("--verdict-seconds", "30")
REPLACE = msgspec.structs.replace
_threads = count()


def conversation() -> list[bytes]:
    """A thread that no other test has: text, tools, state, steps, reasoning, an error."""
    thread = b'"threadId":"proxied-%d"' % next(_threads)
    return [text.replace(b'"threadId":"t"', thread) for text in TEXTS]


def faulty() -> list[bytes]:
    texts = conversation()
    return [*texts[:WRONG_AT], WRONG, *texts[WRONG_AT:]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("proxied") / "data") as started:
        started.start()
        wait_until_everyone_runs(started)
        yield started


@contextmanager
def proxied(running: Network, mode: str, folder: Path, *more: str) -> Iterator[Proxy]:
    key = running.credentials["api_key"]
    with proxy(running.url, key, mode, folder / mode, *(more or PATIENT)) as made:
        yield made


@contextmanager
def stopped(running: Network, node_id: str) -> Iterator[None]:
    """Without the process of a node."""

    def becomes(status: str) -> None:
        wait_until(
            lambda: running.nodes()[node_id]["status"] == status,
            what=lambda: f"{node_id} is {status}\n{running.said()}",
        )

    with running.client() as client:
        assert client.delete(f"/api/v1/nodes/{node_id}").status_code == 200
        try:
            becomes("stopped")
            yield
        finally:
            assert client.post("/api/v1/nodes", json={"node_id": node_id}).status_code == 200
    becomes("running")


@contextmanager
def lying(running: Network) -> Iterator[None]:
    """The real key and the real address of node3 say the opposite of the rules."""
    folder = ClusterFolder(running.data)
    genesis = decode(folder.genesis.read_bytes())
    with stopped(running, "node3"), LyingJudge(genesis, 3, folder.node("node3").key, only_lies) as liar:
        with running.client() as client:

            def lied() -> bool:
                body = {"texts": [text[6:].decode().strip() for text in conversation()], "recorded": False}
                told = client.post("/api/v1/events/validate-sequence", json=body).json()["data"]
                assert told["valid"]
                return any(
                    (each["member"], each["given"]) == ("node3", "invalid")
                    for piece in told["pieces"]
                    for each in piece["members"]
                )

            wait_until(lied, what=lambda: f"its votes arrive: {liar.turns} turns")
        yield


def half_is_judged(running: Network, sent: list[bytes]) -> None:
    """Wait until certificates cover what the agent has sent."""
    thread = json.loads(sent[0].removeprefix(b"data: "))["threadId"]

    def judged() -> bool:
        with running.client() as client:
            rows = client.get("/api/v1/events/runs", params={"thread": thread}).json()["data"]
        return bool(rows and rows[0]["events"] == HALF)

    wait_until(judged, what=lambda: f"the first half is judged\n{running.said()}")


def kill(running: Network, node_id: str) -> None:
    os.kill(running.nodes()[node_id]["pid"], signal.SIGKILL)


def is_judged(mode: str, made: Proxy, folder: Path, **between: object) -> None:
    """Both conversations get the verdicts of the rules, and transcripts that prove them."""
    good, bad = conversation(), faulty()
    answer = made.pass_on(good, **between)  # type: ignore[arg-type]
    is_right(answer, mode, good, refused=None)
    wrong = made.pass_on(bad)
    is_right(wrong, mode, bad, refused=WRONG_AT)
    for each, sent in ((answer, good), (wrong, bad)):
        proves(folder, each, sent)


def is_right(answer: Answer, mode: str, sent: list[bytes], *, refused: int | None) -> None:
    report, body = answer.report, answer.body
    assert report["not_validated"] is None
    assert report["valid"] is (refused is None)
    assert len(bytes.fromhex(report["scope"])) == 32
    code = None if refused is None else "MESSAGE_NOT_OPEN"
    assert report["code"] == code
    if mode == "observe" or (mode == "refuse" and refused is None):
        assert body == b"".join(sent)
    elif mode == "refuse":
        assert body.startswith(b"".join(sent[:WRONG_AT]))
        assert [answer.events[WRONG_AT][name] for name in ("type", "code")] == ["RUN_ERROR", code]
        assert len(answer.events) == WRONG_AT + 1
    else:
        marks = [each["value"] for each in answer.events if each.get("name") == "dtvn.verdict"]
        runs = [(each["valid"], each["code"]) for each in marks if "events" in each]
        assert runs == [(refused is None, code), (True, None)]
        assert [each["index"] for each in marks if "index" in each] == ([] if refused is None else [refused])


# --- the transcript, elsewhere -------------------------------------------------------------------------


def proves(folder: Path, answer: Answer, sent: list[bytes]) -> None:
    data = unwrap(TRANSCRIPT, answer.transcript)
    texts = [line.text for line in decode_transcript(data).events]
    whole = [text.removeprefix(b"data: ").strip() for text in sent]
    assert texts == whole[: len(texts)]
    assert len(texts) >= answer.report["events"]
    refusals = [WRONG_AT] if len(sent) > len(TEXTS) else []
    for code, said in verdicts(folder, data):
        assert code == 0, said
        assert [f"event {index} was refused: MESSAGE_NOT_OPEN" in said for index in refusals] == [True] * len(
            refusals
        )


def verdicts(folder: Path, data: bytes) -> list[tuple[int, str]]:
    """(exit code, what is said) by `dtvn verify-transcript`, the stand-alone verifier and the page's code, in
    a folder with nothing but the file and the chain, without any network where the system allows that."""
    elsewhere = folder / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    (elsewhere / "run.json").write_bytes(transcript_json(data))
    chain = (folder / "epochs.json").read_bytes()
    (elsewhere / "epochs.json").write_bytes(chain)
    for name in ("dtvn_verify", "dtvn_verify_transcript"):
        shutil.copy(REPOSITORY / f"verifier/{name}.py", elsewhere)
    files = ["run.json", "--genesis", "epochs.json"]
    found = []
    for words in (
        [*PROGRAM, "verify-transcript", *files],
        [sys.executable, "-I", "dtvn_verify.py", "transcript", *files],
    ):
        done = subprocess.run(
            [*_alone(), *words],
            cwd=elsewhere,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        found.append((done.returncode, done.stdout + done.stderr))
    encoded = {"chain": chain, "transcript": transcript_json(data)}
    (by_page,) = by_browser([{name: base64.b64encode(each).decode() for name, each in encoded.items()}])
    if "sentences" in by_page:
        found.append((0, "\n".join(by_page["sentences"])))
    else:
        found.append((1, f"{by_page['place']} [{by_page['refused']}]"))
    return found


def _alone() -> list[str]:
    """A command that runs another one without network, or nothing."""
    words = ["unshare", "--net", "--map-root-user"]
    allowed = shutil.which("unshare") and subprocess.run([*words, "true"], check=False).returncode == 0
    return words if allowed else []


def touched(whole: Transcript) -> dict[str, Transcript]:
    """By what was touched."""
    one, two, three, *rest = whole.events
    louder = REPLACE(two, text=two.text.replace(b"plan", b"plot"))
    last = whole.certificates[-1]
    sealed = decode_certificate(last)
    vote = changed(sealed.vote, type(open_vote(sealed.vote)), errors=((0, "MESSAGE_NOT_OPEN"),))
    other = changed(last, VoteCertificate, vote=vote)
    return {
        "byte": REPLACE(whole, events=(one, louder, three, *rest)),
        "event": REPLACE(whole, events=(one, three, *rest)),
        "order": REPLACE(whole, events=(one, three, two, *rest)),
        "verdict": REPLACE(whole, certificates=(*whole.certificates[:-1], other)),
    }


# --- the tests -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(running: Network, tmp_path: Path) -> Path:
    """Where transcripts are put, with the chain beside them."""
    with running.client() as client:
        (tmp_path / "epochs.json").write_bytes(client.get("/api/v1/epochs").content)
    return tmp_path


def test_a_conversation_is_judged_beside_a_liar(running: Network, folder: Path) -> None:
    with lying(running):
        for mode in MODES:
            with proxied(running, mode, folder) as made:
                is_judged(mode, made, folder)


def test_a_conversation_is_judged_through_a_kill(running: Network, folder: Path) -> None:
    for mode, node_id in zip(MODES, ("node1", "node2", "node3"), strict=True):
        wait_until_everyone_runs(running)
        with proxied(running, mode, folder) as made:
            is_judged(mode, made, folder, at=HALF, between=lambda node_id=node_id: kill(running, node_id))
    wait_until_everyone_runs(running)


@pytest.mark.parametrize("outage", ["pass", "refuse"])
def test_a_liar_and_a_kill_at_once_are_an_outage_that_is_said(
    running: Network, folder: Path, outage: str
) -> None:
    terms = ("--verdict-seconds", "3", "--on-outage", outage)
    with lying(running):
        for mode in MODES if outage == "refuse" else ("refuse",):
            sent = conversation()
            with proxied(running, mode, folder, *terms) as made, stopped_within(running, sent) as stop:
                answer = made.pass_on(sent, at=HALF, between=stop)
            assert answer.report["not_validated"] == "no verdict within 3 s"
            said = answer.events[-1]
            if mode == "observe":
                assert answer.body == b"".join(sent)
            elif mode == "refuse" and outage == "refuse":
                assert (said["type"], said["code"]) == ("RUN_ERROR", "NO_VERDICT")
                assert answer.body.startswith(b"".join(sent[:HALF]))
            else:
                (note,) = [each["value"] for each in answer.events if each.get("name") == "dtvn.verdict"][:1]
                assert (note["valid"], note["not_validated"]) == (None, "no verdict within 3 s")
                assert [each for each in sent if each not in answer.body] == []
            covered = decode_transcript(unwrap(TRANSCRIPT, answer.transcript)).events
            assert len(covered) >= HALF
            for code, text in verdicts(folder, unwrap(TRANSCRIPT, answer.transcript)):
                assert code == 0, text


@contextmanager
def stopped_within(running: Network, sent: list[bytes]) -> Iterator[object]:
    """A function that kills node2 for as long as the block lasts, once the stream is judged so far."""
    done: list[object] = []

    def stop() -> None:
        half_is_judged(running, sent)
        kill(running, "node2")
        holder = stopped(running, "node2")
        holder.__enter__()
        done.append(holder)

    try:
        yield stop
    finally:
        for holder in done:
            holder.__exit__(None, None, None)  # type: ignore[attr-defined]


def test_a_bad_key_is_said_in_the_stream(running: Network, folder: Path) -> None:
    for mode in ("mark", "refuse"):
        with proxy(running.url, "dtvn_wrong", mode, folder / f"{mode}-without", *PATIENT) as made:
            answer = made.pass_on(conversation())
        reason = answer.report["not_validated"]
        assert reason.startswith("the cluster's platform answers 401: ")
        assert (answer.report["valid"], answer.transcript) == (None, b"")
        if mode == "refuse":
            assert [each["message"] for each in answer.events] == [f"Not validated: {reason}."]
        else:
            notes = [each["value"] for each in answer.events if each.get("name") == "dtvn.verdict"]
            assert notes == [{"valid": None, "scope": "", "not_validated": reason}]


def test_a_platform_that_goes_away_is_said_and_comes_back(running: Network, folder: Path) -> None:
    """Its web process is killed within a stream: it began the run, so the rest of it is not judged."""
    wait_until_everyone_runs(running)
    with proxied(running, "refuse", folder) as made:
        sent = conversation()
        web = running.wait_for_title("dtvn web")

        def gone() -> None:
            half_is_judged(running, sent)
            web.kill()
            running.wait_for_title("dtvn web", besides=web.pid)

        answer = made.pass_on(sent, at=HALF, between=gone)
        assert answer.body.startswith(b"".join(sent[:HALF]))
        assert [answer.events[-1][name] for name in ("type", "code")] == ["RUN_ERROR", "NO_VERDICT"]
        assert "Another web process began run" in answer.events[-1]["message"]
        is_judged("refuse", made, folder)


def test_a_touched_transcript_is_refused_and_the_place_named(running: Network, folder: Path) -> None:
    with proxied(running, "observe", folder) as made:
        answer = made.pass_on(conversation())
    whole = decode_transcript(unwrap(TRANSCRIPT, answer.transcript))
    assert len(whole.events) == len(TEXTS)
    first = "chunk 0, from event 0"
    places = {"byte": "event 1 ", "event": first, "order": first, "verdict": "chunk "}
    for name, odd in touched(whole).items():
        found = verdicts(folder, encode_transcript(odd))
        assert {code for code, _said in found} == {1}, name
        assert len({said.strip().rpartition(" [")[2] for _code, said in found}) == 1
        assert places[name] in found[0][1], (name, found)
