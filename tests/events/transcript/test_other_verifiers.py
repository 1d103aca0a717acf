"""The stand-alone verifier and the browser's judge a transcript as DTVN's own does, in words of their own."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.events.judging import VoteCertificate
from dtvn.events.transcript import Transcript, decode_transcript, encode_transcript, withhold
from dtvn.proof import read_chain, transcript_json
from dtvn.proof.transcripts import verify_transcript
from dtvn.protocol import canonical
from dtvn.protocol.quorum import Mode
from tests.events.judging.support import changed
from tests.events.transcript.support import CHUNKS, GOLDEN, JudgedRun, cluster, joined, story, voters_of
from tests.proof.support import PaperLog
from tests.proof.verdicts import by_browser
from verifier import dtvn_verify, dtvn_verify_transcript

pytestmark = pytest.mark.ci

FILE = Path(dtvn_verify.__file__)
STORY = bytes.fromhex(GOLDEN.read_text(encoding="ascii"))
CHAIN = cluster().chain()
OURS, THEIRS = read_chain(CHAIN), dtvn_verify.Chain(CHAIN)
REPLACE = msgspec.structs.replace


def verdict(sentences: Callable[[], Iterable[str]]) -> Any:
    """The hashes that its sentences name (head, root, rules), or code and place of the refusal."""
    try:
        return hashes(sentences())
    except ValueError as error:  # ProofError, or a Refused of either copy of the first file
        refused: Any = error
        return str(refused.code), refused.place


def hashes(sentences: Iterable[str]) -> list[str]:
    return sorted(re.findall("[0-9a-f]{64}", " ".join(sentences)))


def verdicts(data: bytes) -> tuple[Any, Any]:
    """Those of DTVN's own and of the stand-alone verifier."""
    ours = verdict(lambda: verify_transcript(data, OURS).sentences())
    return ours, verdict(lambda: dtvn_verify_transcript.sentences(data, THEIRS))


def test_all_say_that_votes_are_not_the_record_of_the_log() -> None:
    vector = {"chain": base64.b64encode(CHAIN).decode(), "transcript": base64.b64encode(STORY).decode()}
    ours = [*verify_transcript(STORY, OURS).sentences()]
    assert "not the record of the log" in ours[-3]
    assert [*dtvn_verify_transcript.sentences(STORY, THEIRS)] == ours
    assert by_browser([vector])[0]["sentences"] == ours


def by_page(transcripts: list[bytes]) -> list[Any]:
    """The same by static/verifier."""
    chain = base64.b64encode(CHAIN).decode()
    vectors = [{"chain": chain, "transcript": base64.b64encode(data).decode()} for data in transcripts]
    found = by_browser(vectors)
    return [
        hashes(each["sentences"]) if "sentences" in each else (each["refused"], each["place"])
        for each in found
    ]


def alike(transcripts: list[bytes]) -> list[Any]:
    """The verdict on each, after all verifiers agreed."""
    found = [verdicts(data) for data in transcripts]
    assert [ours for ours, _theirs in found] == [theirs for _ours, theirs in found]
    assert [ours for ours, _theirs in found] == by_page(transcripts)
    return [ours for ours, _theirs in found]


def over_two_epochs() -> Transcript:
    run = JudgedRun()
    for _ in range(12):
        run.judge(CHUNKS[1], voters_of(cluster()))
    run.judge(CHUNKS[0], voters_of(cluster(), 1), (0, 1, 2, 4))
    return run.transcript()


def test_all_prove_the_same() -> None:
    made = [withhold(story().transcript(), {0, 3}), over_two_epochs()]
    assert all(len(found) == 3 for found in alike([encode_transcript(each) for each in made]))


def test_all_say_the_same_of_many_refusals_over_two_epochs() -> None:
    data = encode_transcript(over_two_epochs())
    vector = {"chain": base64.b64encode(CHAIN).decode(), "transcript": base64.b64encode(data).decode()}
    ours = [*verify_transcript(data, OURS).sentences()]
    assert [*dtvn_verify_transcript.sentences(data, THEIRS)] == ours
    assert by_browser([vector])[0]["sentences"] == ours
    refused = [line for line in ours if re.match(r"event \d+ was refused: ", line)]
    places = [int(line.split()[1]) for line in refused]
    assert (len(refused), places == sorted({*places})) == (10, True)
    all_of_them = int(re.findall(r"(\d+) refused", ours[0])[0])
    assert ours[ours.index(refused[-1]) + 1] == f"... and {all_of_them - 10} more"


@pytest.mark.parametrize("signers", [((0, 1, 2), range(4)), (range(4), (0, 1, 2))])
def test_all_count_the_least_signatures_of_any_chunk(signers: tuple[Sequence[int], ...]) -> None:
    """One chunk has those of all four members, the other of three."""
    run = JudgedRun()
    for chunk, signed in zip(CHUNKS, signers, strict=False):
        run.judge(chunk, voters_of(cluster()), signed)
    data = encode_transcript(run.transcript())
    vector = {"chain": base64.b64encode(CHAIN).decode(), "transcript": base64.b64encode(data).decode()}
    for said in (
        verify_transcript(data, OURS).sentences(),
        dtvn_verify_transcript.sentences(data, THEIRS),
        by_browser([vector])[0]["sentences"],
    ):
        assert re.findall(r"signed by (.*): each by at least (\d) of (\d)", "\n".join(said)) == [
            ("r0, r1, r2, r3", "3", "4")
        ]


def flipped(places: range) -> list[bytes]:
    """The story with one other bit at each of these places."""
    return [STORY[:at] + bytes([STORY[at] ^ 1 << at % 8]) + STORY[at + 1 :] for at in places]


def test_each_changed_byte_is_refused_alike_without_a_browser() -> None:
    for ours, theirs in map(verdicts, flipped(range(len(STORY)))):
        assert isinstance(ours, tuple)
        assert ours == theirs


def test_changed_bytes_are_refused_alike_by_all() -> None:
    assert all(isinstance(found, tuple) for found in alike(flipped(range(0, len(STORY), 7))))


def forgeries() -> list[Transcript]:
    """Transcripts that are whole in form."""
    whole = decode_transcript(STORY)
    one, two, three, four = whole.certificates
    first, second, *rest = whole.events
    sealed = canonical.decode(VoteCertificate, two)
    ballots = sealed.ballots
    found = [
        REPLACE(whole, certificates=certificates)
        for certificates in (
            (two, one, three, four),
            (one, two, three),
            (one, changed(two, VoteCertificate, ballots=ballots[:2])),
            (one, changed(two, VoteCertificate, ballots=ballots[::-1])),
            (one, changed(two, VoteCertificate, ballots=(*ballots[:2], REPLACE(ballots[2], member=4)))),
            (one, changed(two, VoteCertificate, ballots=(*ballots[:2], REPLACE(ballots[2], path=())))),
            (one, changed(two, VoteCertificate, ballots=(*ballots[:2], REPLACE(ballots[2], place=0)))),
            (one, changed(two, VoteCertificate, epoch=1)),
            (one, changed(two, VoteCertificate, epoch=2)),
            (one, changed(two, VoteCertificate, version=2)),
            (one, changed(two, VoteCertificate, cluster=bytes(32))),
            (one, changed(two, VoteCertificate, vote=b"")),
            (one, changed(two, VoteCertificate, vote=sealed.vote.replace(b"_OPEN", b"_OPE\n"))),
            (b"",),
            (),
        )
    ]
    found += [REPLACE(whole, events=events) for events in ((second, first, *rest), (first, *rest), ())]
    lines = [REPLACE(first, **{name: b""}) for name in ("text", "salt")]
    lines += [REPLACE(first, text=first.text + b" "), REPLACE(first, salt=bytes(16))]
    found += [REPLACE(whole, events=(line, second, *rest)) for line in lines]
    found += [REPLACE(whole, **{name: "other"}) for name in ("thread", "run")]
    found += [REPLACE(whole, **{name: bytes(32)}) for name in ("cluster", "rules")]
    return [*found, REPLACE(whole, version=2), REPLACE(whole, run="r" * 1025), joined()]


def test_all_refuse_forgeries_with_one_code_and_place() -> None:
    codes = {code for code, _place in alike([encode_transcript(each) for each in forgeries()])}
    joins = verdicts(encode_transcript(joined()))
    assert joins == (("wrong_chunk", "chunk 1, from event 1"),) * 2
    assert codes == {
        "bad_path",
        "bad_signature",
        "bad_signers",
        "malformed",
        "other_cluster",
        "signature_count",
        "unknown_epoch",
        "unknown_member",
        "unknown_version",
        "wrong_chunk",
        "wrong_event",
    }


def test_the_stand_alone_command_needs_its_third_file(tmp_path: Path) -> None:
    chain, file, odd = tmp_path / "chain", tmp_path / "run.json", tmp_path / "odd.json"
    chain.write_bytes(CHAIN)
    file.write_bytes(transcript_json(STORY))
    odd.write_bytes(transcript_json(STORY[:-1]))

    def run(path: Path) -> tuple[int, str]:
        given = [
            sys.executable,
            "-I",
            *map(str, (tmp_path / FILE.name, "transcript", path, "--genesis", chain)),
        ]
        done = subprocess.run(given, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    shutil.copy(FILE, tmp_path)
    lacks = "transcript is judged by dtvn_verify_transcript.py, which is not beside this file [missing_file]"
    assert run(file) == (1, f"not proved: {lacks}\n")
    shutil.copy(dtvn_verify_transcript.__file__, tmp_path)
    code, said = run(file)
    assert (code, hashes([said])) == (0, hashes(verify_transcript(STORY, OURS).sentences()))
    code, said = run(odd)
    assert (code, said.split()[-1]) == (1, "[malformed]")
    chain.write_bytes(PaperLog(name="foreign").chain())
    code, said = run(file)
    assert (code, said.split()[-1]) == (1, "[other_cluster]")


def test_r44_a_majority_proves_a_transcript_of_a_raft_cluster_to_all() -> None:
    """Three votes of five do, two do not; and all say that no member may lie."""
    log = PaperLog(5, mode=Mode.RAFT)
    chain, made = log.chain(), []
    for signers in ((0, 2, 4), (0, 2)):
        run = JudgedRun()
        run.judge(CHUNKS[0], voters_of(log), signers)
        made.append(encode_transcript(run.transcript()))
    coded = base64.b64encode(chain).decode()
    good, few = by_browser([{"chain": coded, "transcript": base64.b64encode(each).decode()} for each in made])
    said = [*verify_transcript(made[0], read_chain(chain)).sentences()]
    assert (
        "1 chunk of epoch 0 signed by r0, r2, r4: each by at least 3 of 5 members, "
        "crash-only: a lying member is not tolerated"
    ) in said
    theirs = dtvn_verify.Chain(chain)
    assert [*dtvn_verify_transcript.sentences(made[0], theirs)] == said == good["sentences"]
    refusal = ("signature_count", "chunk 0, from event 0, signatures")
    assert verdict(lambda: verify_transcript(made[1], read_chain(chain)).sentences()) == refusal
    assert verdict(lambda: dtvn_verify_transcript.sentences(made[1], theirs)) == refusal
    assert (few["refused"], few["place"]) == refusal
