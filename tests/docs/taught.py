"""Commands and programs as the documentation shows them, for tests that run them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMAND = "manage.py genesis "


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page (a path below docs/) in this language, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Arguments of each `manage.py genesis` command on the page."""
    lines = [line.strip() for line in text.splitlines()]
    return [shlex.split(line.removeprefix(COMMAND)) for line in lines if line.startswith(COMMAND)]
