"""Differences between two streams, as text for people and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from dtvn.events.meaning import ABSENT, Difference
from dtvn.wording import counted

AROUND = 40
"""Characters of what is alike that are shown on either side of a difference within a text."""
VALUE_CHARACTERS = 300
"""Most characters of a value that are shown; --json has all."""
SHOWN = 100
"""Most differences of one message, one call or the state that are shown."""
WORDS_MAX = 4_000
"""Longest texts, in words, that are compared word by word: the time grows with the square."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def as_json(names: tuple[str, str], found: Sequence[Difference]) -> str:
    """One JSON object on one line, in ASCII, which any encoding of the output holds."""
    listed = []
    for each in found:
        shown: dict[str, Any] = {"where": each.where}
        if each.number:
            shown |= {"number": each.number}
        if each.name:
            shown |= {"name": each.name}
        shown |= {"at": each.at}
        sides = (("a", each.one), ("b", each.other))
        listed.append(shown | {side: value for side, value in sides if value is not ABSENT})
    told = {"same": not found, "a": names[0], "b": names[1], "differences": listed}
    return json.dumps(told, separators=(",", ":")) + "\n"


def as_text(names: tuple[str, str], found: Sequence[Difference]) -> str:
    """For people: how much differs, then each difference under the name of what it is in."""
    return "\n".join(_lines(names, found)) + "\n"


def _lines(names: tuple[str, str], found: Sequence[Difference]) -> Iterator[str]:
    one, other = names
    if not found:
        yield f"{one} and {other} mean the same."
        return
    count = Counter(where for (where, _, _), _ in groupby(found, _place))
    parts = [
        counted(count[where], noun)
        for where, noun in (("message", "message"), ("call", "tool call"), ("activity", "activity"))
        if count[where]
    ]
    parts += ["the state"] if count["state"] else []
    parts += ["the outcome"] if count["outcome"] else []
    yield f"A {one} and B {other} differ in {_listed(parts)}."
    for (where, number, name), group in groupby(found, _place):
        yield ""
        yield _heading(where, number, name)
        listed = [*group]
        for each in listed[:SHOWN]:
            yield from _difference(each)
        if len(listed) > SHOWN:
            yield f"  ... and {len(listed) - SHOWN:,} more, which --json lists"


def _place(each: Difference) -> tuple[str, int, str]:
    return each.where, each.number, each.name


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _heading(where: str, number: int, name: str) -> str:
    if where == "state":
        return "final state"
    if where == "outcome":
        return f"outcome of run {number}"
    sort = {"call": "tool call"}.get(where, where)
    return f"{sort} {number}, {_printable(name)}"


def _difference(each: Difference) -> Iterator[str]:
    at = f"  {_printable(each.at)}: " if each.at not in ("", "/text", "/content") else "  "
    if each.other is ABSENT or each.one is ABSENT:
        side, value = ("A", each.one) if each.other is ABSENT else ("B", each.other)
        yield f"{at}only in {side}: {_shown(value) if each.at else _whole(each, value)}"
    elif isinstance(each.one, str) and isinstance(each.other, str):
        yield f"{at}{_word_by_word(each.one, each.other)}"
    else:
        yield f"{at}A {_shown(each.one)}"
        yield f"{' ' * len(at)}B {_shown(each.other)}"


def _word_by_word(one: str, other: str) -> str:
    """Both texts as one: what only one of them has in marks, of what is alike only what is near."""
    words, others = _WORDS.findall(one), _WORDS.findall(other)
    if max(len(words), len(others)) > WORDS_MAX:
        return f"[-{_cut(_printable(one))}-]{{+{_cut(_printable(other))}+}}"
    made = []
    opcodes = SequenceMatcher(None, words, others, autojunk=False).get_opcodes()
    for place, (tag, a1, a2, b1, b2) in enumerate(opcodes):
        if tag == "equal":
            made.append(_near("".join(words[a1:a2]), before=place > 0, behind=place < len(opcodes) - 1))
            continue
        gone, new = "".join(words[a1:a2]), "".join(others[b1:b2])
        made.append(f"[-{_cut(_printable(gone))}-]" if gone else "")
        made.append(f"{{+{_cut(_printable(new))}+}}" if new else "")
    return "".join(made)


def _near(text: str, *, before: bool, behind: bool) -> str:
    """The beginning of what is alike if a difference is before it, and its end if one is behind it."""
    text = _printable(text)
    if len(text) <= (before + behind) * AROUND + len(" ... "):
        return text
    return (text[:AROUND] if before else "") + " ... " + (text[-AROUND:] if behind else "")


def _whole(each: Difference, value: Any) -> str:
    """A message or a call that only one side has, as a person would say it."""
    if each.where == "message" and value.keys() == {"text"} and isinstance(value["text"], str):
        return _cut(_printable(value["text"]))
    if each.where == "call":
        more = {name: each for name, each in value.items() if name not in ("arguments", "result")}
        answer = f" gives {_shown(value['result'])}" if "result" in value else ""
        return f"{_printable(each.name)}({_shown(value['arguments'])}){answer}" + (
            f", {_shown(more)}" if more else ""
        )
    return _shown(value)


def _shown(value: Any) -> str:
    return _cut(_printable(json.dumps(value, ensure_ascii=False)))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 3]}..."


def _printable(text: str) -> str:
    """Line ends as \\n; no characters that a terminal would interpret."""
    text = text.replace("\n", "\\n")
    return "".join(sign if sign.isprintable() else "?" for sign in text)
