"""Tables that the site shows are made from the code, each on one page."""

from __future__ import annotations

import re
from types import SimpleNamespace

from dtvn.machine.kinds import KINDS
from tests.docs.tables import DOCS, RULES_PAGE, TABLES, named_tests, on_page_markdown, planted


def shown(page: str) -> str:
    """The page as the site has it, in Markdown."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=page)))


def test_each_table_is_marked_on_exactly_one_page() -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    marks = [name for page in pages for name in re.findall(r"^<!-- table: (\w+) -->$", page, re.MULTILINE)]
    assert sorted(marks) == sorted(TABLES)


def test_the_site_replaces_a_mark_by_its_table() -> None:
    text = shown("understand/protocol/tickets.md")
    assert "<!-- table" not in text
    assert "| `already_consumed` | 13 | 409 |" in text


def test_each_operation_is_in_the_row_of_its_scope() -> None:
    text = (DOCS / "use" / "api.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        if kind.rest is not None:
            (row,) = re.findall(rf"^\| `{kind.capability}` \|.*$", text, re.MULTILINE)
            assert f"`{kind.name}`" in row or f"`POST {kind.path.removeprefix('/api/v1')}`" in row


def test_each_rule_shows_its_bugs_and_tests() -> None:
    text = shown(RULES_PAGE)
    for rule, found in [*planted().items(), *named_tests().items()]:
        (row,) = re.findall(rf"^\| {rule} \|.*$", text, re.MULTILINE)
        assert [name for name in found if f"`{name}`" not in row] == []
