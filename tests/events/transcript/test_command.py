"""`dtvn verify-transcript`: files in each form, the chain of the cluster, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dtvn.cli.main import run
from dtvn.events.transcript import decode_transcript, encode_transcript, withhold
from dtvn.proof import TRANSCRIPT, chain_json, read_file, transcript_json
from dtvn.protocol import genesis as g
from tests.events.transcript.support import CHUNKS, JudgedRun, cluster, story, voters_of
from tests.proof.support import PaperLog


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "epochs.json"
    path.write_bytes(chain_json(cluster().chain()))
    return path


def written(folder: Path, data: bytes) -> Path:
    path = folder / "transcript"
    path.write_bytes(data)
    return path


def test_a_transcript_is_proved_offline(
    tmp_path: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = encode_transcript(withhold(story().transcript(), {1}))
    for file in (data, transcript_json(data)):
        assert run(["verify-transcript", str(written(tmp_path, file)), "--genesis", str(chain)]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[:2] == [
            "run r1 of thread t1: 7 events, 1 refused, 1 withheld",
            "event 3 was refused: MESSAGE_NOT_OPEN",
        ]


def test_one_event_is_shown_without_the_others(
    tmp_path: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = story().transcript()
    file = str(written(tmp_path, encode_transcript(whole)))
    assert run(["withhold", file, "--keep", "3"]) == 0
    shown = tmp_path / "shown"
    shown.write_text(capsys.readouterr().out)
    lines = decode_transcript(read_file(TRANSCRIPT, shown)).events
    assert [index for index, line in enumerate(lines) if line.shown] == [3]
    assert lines[3] == whole.events[3]
    assert run(["verify-transcript", str(shown), "--genesis", str(chain)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "run r1 of thread t1: 7 events, 1 refused, 6 withheld",
        "event 3 was refused: MESSAGE_NOT_OPEN",
    ]
    for again, place, said in (
        (str(shown), "2", "the transcript does not show event 2"),
        (file, "7", "the transcript does not show event 7"),
        (file, "-1", "the transcript does not show event -1"),
        (
            str(tmp_path / "none"),
            "0",
            f"{tmp_path / 'none'} cannot be read: No such file or directory [unreadable]",
        ),
    ):
        assert run(["withhold", again, "--keep", "3", place]) == 1
        assert capsys.readouterr() == ("", f"dtvn withhold: {said}\n")


def test_the_chain_names_the_members_of_a_later_epoch(
    tmp_path: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = JudgedRun()
    judged.judge(CHUNKS[0], voters_of(cluster(), 1), (0, 1, 2, 4))
    file = str(written(tmp_path, encode_transcript(judged.transcript())))
    assert run(["verify-transcript", file, "--genesis", str(chain)]) == 0
    genesis = tmp_path / "genesis"
    genesis.write_bytes(g.encode(cluster().genesis))
    assert run(["verify-transcript", file, "--genesis", str(genesis)]) == 1
    assert capsys.readouterr().err.endswith(
        "not proved: chunk 0, from event 0: epoch 1 is not in this chain, which ends with 0 [unknown_epoch]\n"
    )


def test_a_malformed_or_foreign_transcript_is_refused(
    tmp_path: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = encode_transcript(story().transcript())
    foreign = tmp_path / "foreign"
    foreign.write_bytes(PaperLog(name="foreign").chain())
    for file, known, code in (
        (data[:-1], chain, "malformed"),
        (chain.read_bytes(), chain, "wrong_file"),
        (data.replace(b"an alle", b"an alte"), chain, "wrong_event"),
        (data, foreign, "other_cluster"),
        (data, tmp_path / "none", "unreadable"),
    ):
        assert run(["verify-transcript", str(written(tmp_path, file)), "--genesis", str(known)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.endswith(f" [{code}]\n")


def test_the_program_needs_no_django(tmp_path: Path, chain: Path) -> None:
    start = "import sys; from dtvn.cli.main import run; code = run(sys.argv[1:]); print(code, *sys.modules)"
    file = written(tmp_path, encode_transcript(story().transcript()))
    given = [sys.executable, "-c", start, "verify-transcript", str(file), "--genesis", str(chain)]
    told = subprocess.run(given, capture_output=True, text=True, check=True)
    said = told.stdout.splitlines()[-1].split()
    assert said[0] == "0"
    assert not {"django", "httpx", "zmq", "asyncio"} & set(said)
