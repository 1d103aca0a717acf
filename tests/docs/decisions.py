"""The table in docs/understand/decisions/index.md: number of a decision -> its section. Run as a module, this
writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "understand" / "decisions"
INDEX = FOLDER / "index.md"
HEAD = "| number | section |\n|---|---|\n"
HEADING = re.compile(r"^## (.+ \(([0-9, a-z]+)\))$", re.MULTILINE)


def sections() -> Iterator[tuple[str, str]]:
    """(number, link to the section) of each number that a heading names, in the order of the pages."""
    for page in sorted(FOLDER.glob("*.md")):
        for title, numbers in HEADING.findall(page.read_text(encoding="utf-8")):
            for number in re.findall(r"\d{4}", numbers):
                yield number, f"[{page.stem}]({page.name}#{anchor(title)})"


def anchor(title: str) -> str:
    """The id that Python-Markdown's `toc` extension gives to a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def refreshed(text: str) -> str:
    """The index with its table as the pages are now."""
    rows = "".join(f"|{number}|{link}|\n" for number, link in sorted(sections()))
    return text.partition(HEAD)[0] + HEAD + rows


def main() -> None:
    """Rewrite the table."""
    INDEX.write_text(refreshed(INDEX.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
