"""Tables of the documentation that are made from code and tests: a hook of mkdocs (`make docs`).

A page has a mark, `<!-- table: NAME -->`, where the site shows the table. On the page of rules each row gets
the planted bugs and the tests of its rule.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dtvn.machine import REASONS
from dtvn.machine.bodies import SHARED
from dtvn.machine.kinds import KINDS
from dtvn.protocol.consensus.evidence import SENTENCES
from dtvn.protocol.consensus.offences import OFFENCES
from simulator.mutants import MUTANTS
from tests.docs.names import parts, short
from tests.docs.parity import cases, kind_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RULES_PAGE = "understand/protocol/rules.md"
RULE_ROW = re.compile(r"^\| ([RP]\d+) \| (.+) \|$", re.MULTILINE)
RULE_HEAD = "| rule | about |\n|---|---|\n"
NAMED = re.compile(r"def (test_(r|p|row)_?(\d+)_\w+)")
MARK = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(names: Iterable[str]) -> str:
    """Names as code, one a line of the cell."""
    return "<br>".join(f"`{name}`" for name in names)


def parity() -> str:
    """Each case of the contract, what proves it, and how."""
    rows = [
        [name, case["about"], kind_of(case.get("tests", [])), case.get("open") or code(case.get("tests", []))]
        for name, case in cases().items()
    ]
    return table(["case", "about", "proof", "tests"], rows)


def names() -> str:
    """Each name of the contract of agent events that is another one here, or none."""
    rows = [
        [part["about"], f"`{name}`", short(other["python"]), other["why"]]
        for part in parts()
        for name, other in part["others"].items()
    ]
    return table(["part", "contract", "Python", "note"], rows)


def reasons() -> str:
    """Each code of an answer."""
    rows = [
        [
            f"`{reason.code}`",
            "-" if reason.number is None else str(reason.number),
            str(reason.status),
            reason.sentence,
            reason.whose or "-",
            reason.pretix or "-",
        ]
        for reason in REASONS.values()
    ]
    return table(["code", "number", "status", "sentence", "whose", "pretix"], rows)


def suspicions() -> str:
    """Each code of a refusal."""
    rows = [[f"`{one.code}`", one.sentence, "yes" if one.grave else ""] for one in OFFENCES.values()]
    return table(["code", "the peer", "grave"], rows)


def evidence() -> str:
    """Each code of evidence that a replica notices by itself."""
    return table(["code", "the member"], [[f"`{name}`", sentence] for name, sentence in SENTENCES.items()])


def said_first(folder: Path) -> dict[str, str]:
    """Module, as a path below the folder -> the first paragraph of its docstring."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.relative_to(folder).with_suffix("").as_posix()] = " ".join(
            text.partition("\n\n")[0].split()
        )
    return found


def core() -> str:
    """Each file of the consensus core with what it does; the subprotocols first."""
    folder = ROOT / "dtvn" / "protocol" / "consensus"
    made = (folder / "subprotocols.py").read_text(encoding="utf-8")
    said = sorted(said_first(folder).items(), key=lambda each: f"consensus.{each[0]} import" not in made)
    return table(["file", "what it does"], [[f"`{name}.py`", text] for name, text in said])


def checkers() -> str:
    """Each checker of the simulator with its question."""
    said = said_first(ROOT / "simulator" / "checkers")
    return table(["checker", "question"], [[f"`{name}`", text] for name, text in said.items() if "?" in text])


def liars() -> str:
    """Each liar of the simulator with what it does."""
    said = said_first(ROOT / "simulator" / "adversary")
    rows = [[f"`{name}`", text] for name, text in said.items() if name not in ("__init__", "base")]
    return table(["liar", "what it does"], rows)


def operations() -> str:
    """Each operation that REST offers, with the fields of its body besides those of all."""
    rows = []
    for kind in KINDS.values():
        if kind.rest is not None:
            _, shapes = msgspec.json.schema_components([kind.rest.body])
            fields = shapes[kind.rest.body.__name__]["properties"]
            said = [f"`{name}`: {_described(each)}" for name, each in fields.items() if name not in SHARED]
            call = f"`POST {kind.path.removeprefix('/api/v1')}`"
            rows.append([call, f"`{kind.capability}`", "<br>".join(said), kind.rest.summary])
    return table(["call", "scope", "body besides `ticket_id`, `event`, `nonce`", "does"], rows)


def _described(field: dict[str, Any]) -> str:
    """The description of a field, or of the one type that it may have besides null."""
    return next(each["description"] for each in (field, *field.get("anyOf", ())) if "description" in each)


TABLES: dict[str, Callable[[], str]] = {
    "names": names,
    "parity": parity,
    "operations": operations,
    "reasons": reasons,
    "suspicions": suspicions,
    "evidence": evidence,
    "core": core,
    "checkers": checkers,
    "liars": liars,
}


def named_tests() -> dict[str, set[str]]:
    """Rule -> file name::test name of the tests that bear its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, kind, number in NAMED.findall(path.read_text(encoding="utf-8")):
            found[("R" if kind == "r" else "P") + number].add(f"{path.relative_to(ROOT / 'tests')}::{name}")
    return found


def planted() -> dict[str, set[str]]:
    """Rule -> names of the bugs that take it out."""
    found: dict[str, set[str]] = defaultdict(set)
    for mutant in MUTANTS.values():
        for rule in mutant.rule.split():
            found[rule].add(mutant.name)
    return found


def rule_rows(text: str) -> list[tuple[str, str]]:
    """(rule, what it is about) of each row of the page of rules."""
    return RULE_ROW.findall(text)


def with_bugs_and_tests(text: str) -> str:
    """The page of rules with two more columns."""
    bugs, tests = planted(), named_tests()

    def longer(row: re.Match[str]) -> str:
        rule, about = row.groups()
        return f"| {rule} | {about} | {code(sorted(bugs[rule]))} | {code(sorted(tests[rule]))} |"

    text = text.replace(RULE_HEAD, "| rule | about | planted bugs | tests |\n|---|---|---|---|\n")
    return RULE_ROW.sub(longer, text)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs for each page before it is rendered."""
    if page.file.src_uri == RULES_PAGE:
        return with_bugs_and_tests(markdown)
    return MARK.sub(lambda mark: TABLES[mark[1]](), markdown)
