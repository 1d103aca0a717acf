"""What a page shows, as text: headings, sentences, tables, links, forms with what they would send.

A person reads it as the page, and a story compares it. Words that only a screen reader hears are told too.
Left out are classes without a meaning, what scripts look for, and the token against forged forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


BLOCKS = _names(
    "address article aside body caption dd details dialog div dl dt fieldset footer form h1 h2 h3 h4 header "
    "legend li main nav noscript ol p section summary table tbody td th thead tr ul"
)
EMPTY = _names("area base br col embed hr img input link meta source track wbr")
SILENT = _names("script style svg template")
MARKS = {
    "h1": "# ",
    "h2": "## ",
    "h3": "### ",
    "li": "* ",
    "dt": "",
    "dd": "  = ",
    "legend": "? ",
    "summary": "> ",
}
TOLD = ("aria-label", "aria-current", "aria-sort", "title", "role", "placeholder", "maxlength", "min", "max")
TOLD_FLAGS = ("hidden", "disabled", "required", "open", "download", "multiple", "readonly")
FIELDS = _names("input select textarea button")
FILTER = re.compile(r"^\* \[(.*)\]\(\?[^)]*\)$")
OPTIONS_SHOWN = 12
"""Of a longer list of options only the chosen ones are told: how many there are differs by machine."""
FRAME = (
    "it will catch up automatically, with nothing missed.",
    "{role='status' hidden}",
    "The [admin pages](/admin/) work without it.",
)
"""Ends of the lines that stand on every page."""
TONES = _names("ok warn bad accent busy soft")


def page_text(html: str, *, within: str = "main") -> str:
    """The text of the first element `within`, or of the whole page if it has no such element."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = reader.lines
    marks = [at for at, (tags, _) in enumerate(lines) if within in tags]
    shown = lines[marks[0] : marks[-1] + 1] if marks else lines
    return "\n".join(_joined(text for _, text in shown))


def _joined(lines: Iterable[str]) -> list[str]:
    """A term with what is said of it, and the items of a list, share a line; a filter is its label."""
    found: list[str] = []
    for line in lines:
        text = FILTER.sub(r"* \1", line)
        joins = text.startswith("= ") or (text.startswith("* ") and found and found[-1].startswith("* "))
        if joins and found:
            found[-1] += f" {text}"
        else:
            found.append(text)
    return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[tuple[tuple[str, ...], str]] = []
        """(Elements around it, text)."""
        self._open: list[str] = []
        self._line = ""
        self._silent = 0
        self._options: list[tuple[str, bool]] | None = None
        self._option: str | None = None
        self._cells: list[str] | None = None
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        known = {name: value or "" for name, value in attrs}
        if tag in BLOCKS and not (tag in ("td", "th") and self._cells is not None):
            self._flush()
        if tag not in EMPTY:
            self._open.append(tag)
        if tag in SILENT:
            self._silent += 1
            return
        if tag == "tr":
            self._cells = []
        elif tag in ("select", "datalist"):
            self._options = []
        elif tag == "option":
            self._begin_option(known)
        elif tag == "br":
            self._flush()
        self._line += MARKS.get(tag, "") + self._named(tag, known)

    def _begin_option(self, known: dict[str, str]) -> None:
        self._end_option()
        self._option = ""
        if self._options is not None:
            self._options.append((known.get("value", ""), "selected" in known))

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        if tag in SILENT:
            self._silent -= 1
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append(self._words())
            self._line = ""
        elif tag == "tr" and self._cells is not None:
            self._line, self._cells = " | ".join(self._cells), None
            self._flush()
        elif tag == "option":
            self._end_option()
        elif tag in ("select", "datalist"):
            self._end_option()
            self._line += self._chosen()
        elif tag == "a" and self._links:
            self._line += f"]({self._links.pop()})"
        elif tag == "button":
            self._line += ">"
        elif tag in BLOCKS:
            self._flush()
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._silent:
            return
        if self._option is not None:
            self._option += data
        else:
            self._line += data

    def _named(self, tag: str, known: dict[str, str]) -> str:
        """What the element itself says."""
        if tag == "a":
            self._links.append(known.get("href", ""))
            return f"{self._said(known)}["
        if tag in FIELDS:
            return self._field(tag, known)
        if tag == "form":
            return f"form {known.get('method', 'get')} to {known.get('action', 'here')} {self._said(known)}"
        tones = TONES.intersection(known.get("class", "").split()) if tag in ("p", "span", "tr") else set()
        return "".join(f"({tone}) " for tone in sorted(tones)) + self._said(known)

    def _field(self, tag: str, known: dict[str, str]) -> str:
        kind = known.get("type", "text") if tag == "input" else tag
        if known.get("name") == "csrfmiddlewaretoken":
            return ""
        chosen = " chosen" if "checked" in known else ""
        value = f"={known['value']!r}" if "value" in known else ""
        name = f" {known['name']}{value}" if "name" in known else value
        target = "".join(f" {key}={known[key]}" for key in ("form", "formaction") if key in known)
        end = "" if tag == "button" else "> "
        return f"<{kind}{name}{chosen}{target} {self._said(known)}".rstrip() + (end or " ")

    @staticmethod
    def _said(known: dict[str, str]) -> str:
        told = [f"{name}={known[name]!r}" for name in TOLD if known.get(name)]
        told += [name for name in TOLD_FLAGS if name in known]
        return f"{{{' '.join(told)}}} " if told else ""

    def _end_option(self) -> None:
        if self._option is not None and self._options:
            value, chosen = self._options[-1]
            label = " ".join(self._option.split())
            both = f"{value}: {label}" if value and label and value != label else value or label
            self._options[-1] = (both, chosen)
        self._option = None

    def _chosen(self) -> str:
        options, self._options = self._options or [], None
        if len(options) > OPTIONS_SHOWN:
            chosen = [label for label, yes in options if yes]
            return f"{{many options, chosen: {', '.join(chosen) or 'none'}}} "
        return "{" + " / ".join(f"*{label}*" if yes else label for label, yes in options) + "} "

    def _words(self) -> str:
        return " ".join(self._line.split())

    def _flush(self) -> None:
        if self._cells is not None:
            return
        if words := self._words():
            self.lines.append((tuple(self._open), words))
        self._line = ""
