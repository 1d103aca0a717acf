"""A recorded conversation that passes the real proxy, what must come of it in each mode, and its transcript
in a folder that has never seen the cluster."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import psutil

from dtvn.events.judging import VoteCertificate, decode_certificate, open_vote
from dtvn.events.transcript import Transcript, decode_transcript
from dtvn.node.layout import ClusterFolder
from dtvn.proof import TRANSCRIPT, transcript_json, unwrap
from dtvn.protocol.genesis import decode
from tests.events.judging.support import changed
from tests.integration.lying_judge import LyingJudge, only_lies
from tests.integration.network import REPOSITORY, Network, wait_until_gone
from tests.integration.proxied_agent import PROGRAM, Answer, Proxy, proxy
from tests.proof.verdicts import by_browser
from tests.proxy.test_conversation import TEXTS
from tests.waiting import PATIENCE, wait_until

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


@contextmanager
def proxied(running: Network, mode: str, folder: Path, *more: str) -> Iterator[Proxy]:
    key = running.credentials["api_key"]
    with proxy(running.url, key, mode, folder / mode, *(more or PATIENT)) as made:
        yield made


def becomes(running: Network, node_id: str, status: str) -> None:
    wait_until(
        lambda: running.nodes()[node_id]["status"] == status,
        what=lambda: f"{node_id} is {status}\n{running.said()}",
    )


def stop(running: Network, node_id: str) -> None:
    """End a node's process, if it lives, and let it stay ended."""
    with running.client() as client:
        assert client.delete(f"/api/v1/nodes/{node_id}").status_code == 200
    becomes(running, node_id, "stopped")


@contextmanager
def started_again(running: Network, node_id: str) -> Iterator[None]:
    """Start a node that was stopped when the block ends."""
    try:
        yield
    finally:
        with running.client() as client:
            assert client.post("/api/v1/nodes", json={"node_id": node_id}).status_code == 200
    becomes(running, node_id, "running")


def given(running: Network) -> dict[str, str]:
    """What each member says now about a conversation that is valid. *majority* waits for those that it asks,
    which are others for each thread."""
    texts = [text[6:].decode().strip() for text in conversation()]
    body = {"texts": texts, "algorithm": "majority", "recorded": False}
    with running.client() as client:
        told = client.post("/api/v1/events/validate-sequence", json=body).json()["data"]
    assert told["valid"]
    return {each["member"]: each["given"] for piece in told["pieces"] for each in piece["members"]}


@contextmanager
def lying(running: Network, index: int) -> Iterator[LyingJudge]:
    """The real key and the real address of a member say the opposite of the rules, in place of its node."""
    folder, name = ClusterFolder(running.data), f"node{index}"
    genesis = decode(folder.genesis.read_bytes())
    stop(running, name)
    with LyingJudge(genesis, index, folder.node(name).key, only_lies) as liar:
        wait_until(
            lambda: given(running)[name] == "invalid", what=lambda: f"its votes arrive: {liar.turns} turns"
        )
        yield liar


def half_is_judged(running: Network, sent: list[bytes]) -> None:
    """Wait until certificates cover what the agent has sent."""
    thread = json.loads(sent[0].removeprefix(b"data: "))["threadId"]

    with running.client() as client:

        def judged() -> bool:
            rows = client.get("/api/v1/events/runs", params={"thread": thread}).json()["data"]
            return bool(rows and rows[0]["events"] == HALF)

        # Three wait at once: looks without a pause would take the processors from those that judge.
        wait_until(judged, what=lambda: f"the first half is judged\n{running.said()}", pause=0.2)


def kill(running: Network, node_id: str) -> None:
    """kill -9; it is not started again."""
    process = psutil.Process(running.nodes()[node_id]["pid"])
    process.kill()
    wait_until_gone([process], timeout=PATIENCE)
    stop(running, node_id)


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
