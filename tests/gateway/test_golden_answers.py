"""What a validator makes of answers: texts, failures, its own verdicts, and calls with drawn pieces."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from dtvn.events.config import Algorithm, ConfigError
from dtvn.events.judging import AlgorithmNotOffered, Verdict
from dtvn.events.rules import Severity, Violation
from dtvn.gateway import Given, Judged, JudgedPiece, Overloaded, RunEnded, RunIsLive
from dtvn.gateway.events_face import MemberAnswer, RunEnd, RunPlace, refusal_of
from dtvn.gateway.face import GatewayClosed
from dtvn.gateway.owed import differences, is_final, is_unanswered, refused_here
from dtvn.gateway.validator_answers import (
    Owing,
    failure_of,
    followed,
    joined,
    local_result,
    result_of,
    texts_of,
)
from dtvn.machine.reasons import NOT_NEXT, NOT_PERMITTED
from tests.gateway.wording import Wording
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
CODES = ("FIRST_EVENT", "MESSAGE_NOT_OPEN", "A_LIE")


def test_answers(golden: Compare) -> None:
    told, words = Telling(), Wording()
    told.chapter("Texts")
    long = "é" * (512 * 1024)
    for events in (["{}", b"{}", "é\ud800"], [None], ["{}", 5, None, b"{}"], [{"a": 1}, long + "x"], [long]):
        texts, wrong = texts_of(events)  # type: ignore[arg-type]
        told.say(f"{[str(each)[:9] for each in events]}: {list(map(len, texts))} {words(wrong)}")
    told.chapter("Failures")
    for error in (
        AlgorithmNotOffered("so", (Algorithm.PBFT,)),
        ConfigError("so"),
        RunIsLive("so"),
        RunEnded("so"),
        Overloaded("so"),
        GatewayClosed("so"),
        TimeoutError("so"),
        ValueError("so"),
    ):
        told.say(f"{type(error).__name__}: {words(failure_of(error, 3, 1.5))}")
    told.chapter("Verdicts of this process alone")
    found = [_violation(2, Severity.ERROR), _violation(3, Severity.WARNING), _violation(4, Severity.ERROR)]
    for owing in Owing:
        for violations, refusal in (([], ""), (found, ""), (found[1:2], "No room")):
            result = local_result(violations, 5, 0.5, owing=owing, owed_id=7, refusal=refusal)
            told.say(f"{owing!r}: {words(result)}")
    told.chapter("Refusals of the log")
    for code in ("", "ok", "busy", NOT_NEXT, NOT_PERMITTED):
        end = RunEnd("r'1\n", RunPlace(0, b"", bytes(32)), code)
        told.say(f"{code!r}: {end.refusal} {refusal_of(code, 'r2')}")
    told.chapter("Differences")
    here, members = {1: "A", 2: "B", 5: "C"}, {1: "A", 2: "X", 3: "Y", 9: "Z"}
    told.say(words(differences(here, members, range(7))))
    told.say(words(refused_here([*found, _violation(2, Severity.ERROR, "LATER")])))
    golden(GOLDEN / "answers.txt", told.text)


def _violation(index: int, severity: Severity, code: str = "FIRST_EVENT") -> Violation:
    return Violation(index, code, severity, None, f"said of {index}", "")


def _piece(drawn: random.Random, position: int) -> JudgedPiece:
    count = drawn.randrange(1, 4)
    verdict = drawn.choice((*[Verdict.VALID] * 4, *[Verdict.INVALID] * 3, Verdict.NONE))
    given = [drawn.choice((*Given, *[Given.INVALID] * 7)) for _member in range(4)]
    errors = [
        tuple(
            (position + drawn.randrange(count), drawn.choice(CODES)) for _error in range(drawn.randrange(3))
        )
        if each is Given.INVALID
        else ()
        for each in given
    ]
    members = tuple(MemberAnswer(f"r{at}", *pair) for at, pair in enumerate(zip(given, errors, strict=True)))
    return JudgedPiece(
        position=position,
        count=count,
        verdict=verdict,
        code=drawn.choice(("", "", "NO_QUORUM")) if verdict is Verdict.NONE else "",
        text=drawn.choice(("", "Because.")),
        errors=tuple(dict.fromkeys(code for told in errors for _at, code in told)),
        certificate=b"c" * 70 if verdict is not Verdict.NONE and drawn.random() < 0.95 else b"",
        epoch=1,
        members=members,
        quorum=3,
        believable=2,
        partial=drawn.random() < 0.2,
    )


def _judged(drawn: random.Random, position: int) -> Judged:
    pieces: list[JudgedPiece] = []
    at = position
    for _piece_number in range(drawn.randrange(4)):
        pieces.append(_piece(drawn, at))
        at += pieces[-1].count
    severities = (Severity.ERROR, Severity.WARNING)
    found = tuple(
        _violation(drawn.randrange(position, at + 2), drawn.choice(severities), drawn.choice(CODES))
        for _violation_number in range(drawn.randrange(3))
    )
    salts = (bytes(16),) * (at - position + drawn.choice((0, 0, 2)) or 1)
    refusal = drawn.choice((("", ""), ("", ""), (NOT_NEXT, "It was recorded before.")))
    return Judged("t", "r", Algorithm.PBFT, position, tuple(pieces), found, salts, refusal)


@pytest.mark.parametrize("seed", [1, 2])
def test_results_of_drawn_calls(golden: Compare, seed: int) -> None:
    """Each answer to a call, and what it is together with the next one."""
    drawn, told, words = random.Random(seed), Telling(), Wording()
    before = _judged(drawn, 0)
    for number in range(60):
        judged = _judged(drawn, drawn.randrange(9))
        told.say(
            f"{number}: {judged.verdict} certified {judged.certified} partial {judged.partial} failure "
            f"{judged.failure} certificates {len(judged.certificates)} unanswered {is_unanswered(judged)}"
        )
        for piece in judged.pieces:
            told.say(f"  {piece.position}+{piece.count} {dict(piece.refusals)} final {is_final(piece, 3)}")
        told.say(f"  {words(_short(judged))}")
        whole = followed(joined(before, judged), number % 3)
        told.say(
            f"  joined {whole.position} {len(whole.pieces)} {len(whole.salts)} {words(whole.violations)}"
        )
        told.say(f"  {whole.verdict} certified {whole.certified} failure {whole.failure}")
        before = judged
    golden.drawn(GOLDEN / f"answers-{seed}.txt", told.text)


def _short(judged: Judged) -> object:
    """Its result, without the pieces that are told already."""
    return msgspec.structs.replace(result_of(judged, len(judged.salts), 0.25), pieces=())
