"""A page as plain text: what a person reads, and the links, forms and data that are in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog", "div"),
        *("dl", "dt", "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "header", "html", "hr"),
        *("legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary", "table", "tbody"),
        *("tfoot", "thead", "title", "tr", "ul"),
    }
)
ROW = "row"
"""Begins the line of a table's row."""
UNSEEN = frozenset({"style", "svg", "template"})
FIELDS = ("type", "name", "value", "min", "max", "maxlength", "pattern", "placeholder", "autocomplete")
FLAGS = ("checked", "disabled", "hidden", "multiple", "readonly", "required", "selected")
TOKEN = re.compile(r"^[A-Za-z0-9]{64}$")
"""A token against forged forms, other each time."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._line: list[str] = []
        self._depth = 0
        """Of elements that are not shown."""
        self._data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag in UNSEEN:
            self._depth += 1
        if tag == "script":
            self._data = "json" in named.get("type", "")
            self._depth += not self._data
            self.end()
            if self._data:
                self._line.append(f"data {named.get('id', '')}:")
        if self._depth:
            return
        if tag in BLOCKS:
            self.end()
        if told := _told(tag, named):
            self._line.append(told)

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN or (tag == "script" and not self._data):
            self._depth -= 1
        elif tag in BLOCKS or tag == "script":
            self.end()
        elif tag == "a" and not self._depth:
            self._line.append("]")

    def handle_data(self, data: str) -> None:
        if not self._depth and data.strip():
            self._line.append(" ".join(data.split()))

    def end(self) -> None:
        """Ends a line."""
        if self._line:
            self.lines.append(" ".join(self._line).replace(" ]", "]"))
        self._line = []


def _told(tag: str, named: dict[str, str]) -> str:
    fields = [f"{name}={named[name]}" for name in FIELDS if named.get(name) and not TOKEN.match(named[name])]
    fields += [name for name in FLAGS if name in named]
    match tag:
        case "a":
            return f"[{named.get('href', '')}:"
        case "form":
            return f"form {named.get('method', 'get')} {named.get('action', '')}"
        case "input" | "button" | "textarea" | "select":
            return f"<{' '.join([tag, *fields])}>"
        case "option":
            return f"<{' '.join([tag, *fields])}>"
        case "li" | "td" | "th" | "tr" | "dt" | "dd" | "h1" | "h2" | "h3":
            return {"li": "-", "h1": "#", "h2": "##", "h3": "###", "tr": ROW}.get(tag, "|")
    found = [
        f"{name}={named[name]}"
        for name in sorted(named)
        if name.startswith("data-") and named[name] and not TOKEN.match(named[name])
    ]
    return f"<{' '.join(found)}>" if found else ""


def plain_text(page: str) -> list[str]:
    """The page's lines."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    reader.end()
    return reader.lines
