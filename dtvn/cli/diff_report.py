"""Differences between two streams, as text for people and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from dtvn.events.meaning import ABSENT, DEPTH, NOT_FOLLOWED, STATE_BYTES, Aligner, Difference
from dtvn.wording import counted, one_line, printable

AROUND = 40
"""Characters of what is alike that are shown on either side of a difference within a text."""
VALUE_CHARACTERS = 300
"""Most characters of a value that are shown; --json has all."""
SHOWN = 100
"""Most differences of one message, one call or the state that are shown."""
Refused = tuple[int, int] | None
"""Places of the events behind which nothing counts, if A and B do not differ before."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def as_json(names: tuple[str, str], found: Sequence[Difference], refused: Refused) -> str:
    """One JSON object on one line, in ASCII, which any encoding of the output holds."""
    told: dict[str, Any] = {"same": not found, "a": names[0], "b": names[1]}
    if refused is not None:
        told["refused_events"] = dict(zip("ab", refused, strict=True))
    told["differences"] = [*map(_listed_in_json, found)]
    return json.dumps(told, separators=(",", ":"), default=repr) + "\n"


def _listed_in_json(each: Difference) -> dict[str, Any]:
    shown: dict[str, Any] = {"where": each.where}
    if each.number:
        shown["number"] = each.number
    if each.other_number:
        shown["b_number"] = each.other_number
    if each.name:
        shown["name"] = each.name
    shown["at"] = each.at
    sides = (("a", each.one), ("b", each.other))
    if not each.followed:
        return shown | {"not_followed": [side for side, value in sides if value is NOT_FOLLOWED]}
    return shown | {side: value for side, value in sides if value is not ABSENT}


def as_text(names: tuple[str, str], found: Sequence[Difference], refused: Refused) -> str:
    """For people: how much differs, then each difference under the name of what it is in."""
    return "\n".join(_lines(names, found, refused)) + "\n"


def _lines(names: tuple[str, str], found: Sequence[Difference], refused: Refused) -> Iterator[str]:
    one, other = map(one_line, names)
    if not found:
        yield f"{one} and {other} mean the same{_up_to(refused)}."
        return
    parts = _counted([each for each in found if each.followed])
    differ = f"differ in {_listed(parts)}" if parts else "do not differ in what is followed"
    yield f"A {one} and B {other} {differ}."
    if missed := _counted([each for each in found if not each.followed]):
        yield f"Not compared: {_listed(missed)}."
    aligner = Aligner()
    for heading, group in groupby(found, _heading):
        yield ""
        yield heading
        listed = [*group]
        for each in listed[:SHOWN]:
            yield from _difference(each, aligner)
        if len(listed) > SHOWN:
            yield f"  ... and {len(listed) - SHOWN:,} more, which --json lists"


def _up_to(refused: Refused) -> str:
    if refused is None:
        return ""
    return " up to events {} and {}, which are refused: nothing behind them counts".format(*refused)


def _counted(found: Sequence[Difference]) -> list[str]:
    """How many of each sort these differences are in, in words."""
    count = Counter(group[0].where for _, each in groupby(found, _heading) if (group := [*each]))
    parts = [
        counted(count[where], noun)
        for where, noun in (("message", "message"), ("call", "tool call"), ("activity", "activity"))
        if count[where]
    ]
    parts += ["the state"] if count["state"] else []
    parts += ["the outcome"] if count["outcome"] else []
    return parts


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _heading(each: Difference) -> str:
    if each.where == "state":
        return "final state"
    if each.where == "outcome":
        return f"outcome of run {each.number}"
    sort = {"call": "tool call"}.get(each.where, each.where)
    return f"{sort} {_number(each)}, {_printable(each.name)}"


def _number(each: Difference) -> str:
    """Its number, which is one of A or of B if the other has another or lacks it."""
    if each.other_number is not None:
        return f"{each.number} of A and {each.other_number} of B"
    if each.at == "" and ABSENT in (each.one, each.other):
        return f"{each.number} of {'B' if each.one is ABSENT else 'A'}"
    return str(each.number)


def _difference(each: Difference, aligner: Aligner) -> Iterator[str]:
    at = f"  {_printable(each.at)}: " if each.at not in ("", "/text", "/content") else "  "
    if not each.followed:
        sides = [side for side, value in (("A", each.one), ("B", each.other)) if value is NOT_FOLLOWED]
        bounds = f"above {STATE_BYTES:,} bytes or {DEPTH} levels, or unreadable"
        yield f"{at}not followed in {_listed(sides)}: {bounds}"
    elif each.other is ABSENT or each.one is ABSENT:
        side, value = ("A", each.one) if each.other is ABSENT else ("B", each.other)
        yield f"{at}only in {side}: {_shown(value) if each.at else _whole(each, value)}"
    elif isinstance(each.one, str) and isinstance(each.other, str):
        yield f"{at}{_word_by_word(each.one, each.other, aligner)}"
    else:
        yield f"{at}A {_shown(each.one)}"
        yield f"{' ' * len(at)}B {_shown(each.other)}"


def _word_by_word(one: str, other: str, aligner: Aligner) -> str:
    """Both texts as one: what only one of them has in marks, of what is alike only what is near."""
    words, others = _WORDS.findall(one), _WORDS.findall(other)
    made = []
    a = b = 0
    for first, second, size in aligner.blocks(words, others):
        gone, new = "".join(words[a:first]), "".join(others[b:second])
        made.append(f"[-{_cut(_printable(gone))}-]" if gone else "")
        made.append(f"{{+{_cut(_printable(new))}+}}" if new else "")
        a, b = first + size, second + size
        behind = a < len(words) or b < len(others)
        made.append(_near("".join(words[first:a]), before=first > 0 or second > 0, behind=behind))
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
        given = _shown(value["arguments"]) if "arguments" in value else ""
        answer = f" gives {_shown(value['result'])}" if "result" in value else ""
        return f"{_printable(each.name)}({given}){answer}" + (f", {_shown(more)}" if more else "")
    return _shown(value)


def _shown(value: Any) -> str:
    return _cut(_printable(json.dumps(value, ensure_ascii=False, default=repr)))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 3]}..."


def _printable(text: str) -> str:
    """Line ends as \\n; no characters that a terminal would interpret."""
    return printable(text.replace("\n", "\\n"))
