"""Evidence that a member voted twice on one question about agent events, in the eyes of both verifiers."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from dtvn.events import judging
from dtvn.events.judging import Electorate, MemberVote, Question, Vote, open_turn, sign_turn
from dtvn.proof import evidence_json
from dtvn.proof.evidence import EVENT_VOTE, encode_evidence
from dtvn.proof.transcripts import electorate
from dtvn.protocol import canonical
from tests.host.support import key_pair
from tests.proof.test_evidence import CHAIN, GENESIS, PAPER
from tests.proof.verdicts import Verdict, evidence_by_dtvn, evidence_by_two_files
from tests.support.table import table
from verifier import dtvn_verify, dtvn_verify_evidence, dtvn_verify_transcript

ZERO = bytes(32)
ASKED = Question("thread", "run\x1b[2J", 7, 2, ZERO, ZERO, ZERO)
LATER = Question("thread", "run\x1b[2J", 9, 2, ZERO, ZERO, ZERO)
VALID, INVALID = Vote(ASKED, ZERO, ()), Vote(ASKED, ZERO, ((1, "A_LIE"),))
DIGEST = canonical.digest(canonical.encode(ASKED)).hex()
TOLD = {
    "convicted": "r2",
    "code": "event_vote",
    "epoch": 0,
    "where": f"run run?[2J, event 7, question {DIGEST[:16]}",
}
VERIFIER = [Path(each.__file__ or "") for each in (dtvn_verify, dtvn_verify_evidence, dtvn_verify_transcript)]


def signed(vote: Vote, member: int = 2, *beside: Vote, key: str = "") -> MemberVote:
    """A vote as a gateway opens it, signed in one turn with those `beside` it; or with a stranger's key."""
    secret = key_pair(key or f"r{member}")[1]
    data = sign_turn([vote, *beside], cluster=PAPER.cluster, epoch=0, member=member, secret=secret)
    voters = electorate(CHAIN, 0)
    return open_turn(data, stranger(voters, member, key) if key else voters, member)[0]


def stranger(voters: Electorate, member: int, key: str) -> Electorate:
    """The same members, one of them with the key of another name."""
    members = list(voters.members)
    members[member] = type(members[member])(members[member].id, key_pair(key)[0], "127.0.0.1", 7000)
    return Electorate(voters.cluster, voters.epoch, tuple(members), voters.mode)


def two_votes(position: int) -> bytes:
    """What a gateway found: two votes of r2 on a question of its own."""
    asked = Question("thread", "run", position, 2, ZERO, ZERO, ZERO)
    one, other = (signed(Vote(asked, ZERO, errors)) for errors in ((), ((1, "A_LIE"),)))
    return judging.encode_evidence(one, other, electorate(CHAIN, 0))


def piece(one: MemberVote, other: MemberVote, *, cluster: bytes = PAPER.cluster, epoch: int = 0) -> bytes:
    voters = electorate(CHAIN, 0)
    votes = judging.encode_evidence(one, other, Electorate(cluster, epoch, voters.members, voters.mode))
    return encode_evidence(PAPER.cluster, EVENT_VOTE, [votes])


def verdict(data: bytes) -> Verdict:
    """The verdict of both verifiers."""
    found = evidence_by_dtvn(data, GENESIS)
    assert evidence_by_two_files(data, GENESIS) == found
    return found


def test_two_answers_to_one_question_convict() -> None:
    assert verdict(piece(signed(VALID), signed(INVALID))) == TOLD
    assert verdict(piece(signed(INVALID, 2, VALID, *[Vote(LATER, ZERO, ())] * 3), signed(VALID))) == TOLD


@table(
    ("data", "code", "place"),
    [
        (piece(signed(VALID), signed(VALID)), "no_contradiction", "votes"),
        (piece(signed(VALID), signed(VALID, 2, INVALID)), "no_contradiction", "votes"),
        (piece(signed(VALID), signed(Vote(LATER, ZERO, ()))), "no_contradiction", "votes"),
        (piece(signed(VALID), signed(INVALID, 1)), "no_contradiction", "votes"),
        (piece(signed(VALID), signed(INVALID, key="stranger")), "bad_signature", "r2"),
        (piece(signed(VALID), signed(INVALID), cluster=ZERO), "other_cluster", "evidence"),
        (piece(signed(VALID), signed(INVALID), epoch=1), "unknown_epoch", "epoch 1"),
        (encode_evidence(PAPER.cluster, EVENT_VOTE, [bytes(80 * 1024 + 1)]), "too_large", "evidence"),
        (encode_evidence(PAPER.cluster, EVENT_VOTE, [b"\x90"]), "malformed", "evidence"),
        (encode_evidence(PAPER.cluster, EVENT_VOTE, []), "unknown_evidence", "event_vote"),
        (encode_evidence(PAPER.cluster, EVENT_VOTE, [b"", b""]), "unknown_evidence", "event_vote"),
    ],
    count=11,
)
def test_other_votes_convict_nobody(data: bytes, code: str, place: str) -> None:
    assert verdict(data) == {"refused": code, "place": place}


def test_every_changed_byte_of_two_votes_is_refused() -> None:
    data = piece(signed(VALID), signed(INVALID, 2, Vote(LATER, ZERO, ())))
    for at in range(len(data)):
        assert "refused" in verdict(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]), at


def test_the_commands_convict_offline(tmp_path: Path) -> None:
    (tmp_path / "chain").write_bytes(GENESIS)
    file, out = tmp_path / "evidence.json", StringIO()
    file.write_bytes(evidence_json(piece(signed(VALID), signed(INVALID))))
    call_command("verify_evidence", str(file), "--genesis", str(tmp_path / "chain"), stdout=out)
    assert out.getvalue() == f"r2 is convicted: event_vote, epoch 0, {TOLD['where']}\n"
    for each in VERIFIER:
        (tmp_path / each.name).write_bytes(each.read_bytes())
    command = [sys.executable, "-I", tmp_path / VERIFIER[0].name]
    given = ["evidence", file, "--genesis", tmp_path / "chain"]
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=True)
    assert done.stdout == out.getvalue()
    (tmp_path / VERIFIER[2].name).unlink()
    done = subprocess.run([*command, *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.endswith("[missing_file]\n")) == (1, True)
