"""What the rules and the advice say of drawn streams: each refusal, each warning, and the state between.

The first story tells of each event what the rules alone say, with small limits. The second tells what
`validate` reports of streams that are mostly right, in each profile.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.report import as_json, as_text
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Linter, Stream, Violation, decode_state
from dtvn.events.validation import configured, report_of
from tests.events.rules.drawn_streams import NOW, SMALL, drawn_stream
from tests.golden import Compare

HERE = Path(__file__).parent / "golden"
SEEDS = range(12)
STATE_EVERY = 12


def sentence(found: Violation) -> str:
    return f"{found.severity} {found.code} {found.field}: {found.message}"


def lines_of_rules(texts: list[bytes], *, accept_0x: bool, drop_unknown: bool) -> list[str]:
    stream = Stream(SMALL, accept_0x=accept_0x, drop_unknown=drop_unknown)
    loud, quiet = Linter(stream), Linter(stream, quiet=True, checks=[lambda _event: None])
    lines = []
    for number, text in enumerate(texts):
        verdict = stream.feed(text)
        said = [sentence(each) for each in verdict.violations]
        if verdict.accepted:
            said += [f"loud {sentence(each)}" for each in loud.advise(text, NOW)]
            said += [f"quiet {sentence(each)}" for each in quiet.advise(text, None)]
        parts = [type(part).__name__ for part in stream.parts]
        lines.append(f"{number} {'ok' if verdict.accepted else 'NO'} {shown(text)} {' '.join(parts)}")
        lines += [f"     {each}" for each in said]
        encoded = stream.state.encoded()
        assert decode_state(encoded, SMALL).encoded() == encoded
        if number % STATE_EVERY == STATE_EVERY - 1:
            lines.append(f"  state {stream.state.digest().hex()[:16]} open {stream.state.open_items()}")
    lines += [f"end loud {sentence(each)}" for each in loud.end()]
    lines += [f"end quiet {sentence(each)}" for each in quiet.end()]
    return lines


def shown(text: bytes) -> str:
    said = text.decode()
    return said if len(said) < 200 else f"{said[:150]}... {len(said)} characters"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_rules_say_of_each_event(seed: int, golden: Compare) -> None:
    texts = drawn_stream(seed, 110, refused=0.15)
    lines = lines_of_rules(texts, accept_0x=seed % 2 == 1, drop_unknown=seed % 3 == 1)
    golden.drawn(HERE / f"drawn-rules-{seed}.txt", "\n".join(lines) + "\n")


def test_a_run_as_votes_see_it(golden: Compare) -> None:
    lines = []
    for seed in SEEDS:
        run = RuledRun(SMALL, drop_unknown=seed == 2)
        lines.append(f"== stream {seed}, rules {run.rules_digest().hex()[:16]}")
        for number, text in enumerate(drawn_stream(100 + seed, 30, refused=0.2)):
            before = run.copy()
            code = run.feed(text)
            judged = before.judge(text, 1000 + number)
            assert before.state == run.state
            refused = "; ".join(f"{each.index} {sentence(each)}" for each in judged)
            lines.append(f"{number} {code or 'ok'} {run.state_digest().hex()[:12]} {refused}".rstrip())
    golden.drawn(HERE / "drawn-votes.txt", "\n".join(lines) + "\n")


REPORTS: dict[str, dict[str, Any]] = {
    "default": {},
    "seed": {"profile": "seed", "now_ms": NOW},
    "client": {"profile": "client", "complete": True},
    "chosen": {"off": "EMPTY_ID,ID_FORMAT", "accept_0x": True, "now_ms": NOW},
}


def report(texts: list[bytes], given: dict[str, Any]) -> str:
    config = configured(
        given.get("profile", "default"),
        given.get("off", ()),
        given.get("only", ()),
        accept_0x=given.get("accept_0x", False),
    )
    complete = given.get("complete", False)
    found = report_of(texts, config, complete=complete, now_ms=given.get("now_ms"))
    counted = json.loads(as_json(found, "drawn"))
    del counted["violations"]
    return f"{as_text(found, 'drawn')}\n{json.dumps(counted)}\n"


@pytest.mark.parametrize("choice", REPORTS)
def test_what_validate_reports(choice: str, golden: Compare) -> None:
    lines = [
        f"== stream {seed}\n{report(drawn_stream(seed, 36, refused=0.1), REPORTS[choice])}"
        for seed in range(200, 206)
    ]
    golden.drawn(HERE / f"drawn-report-{choice}.txt", "".join(lines))
