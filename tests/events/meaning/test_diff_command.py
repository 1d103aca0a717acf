"""`dtvn diff`: what it prints, its exit codes, and the forms of streams that it reads."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtvn.cli import diff
from tests.events.meaning.support import Manner, Told, stream
from tests.events.rules.samples import event
from tests.proxy.support import sse

PAGE = Path(__file__).parents[3] / "docs/use/events.md"
PLAIN = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
BY_LETTERS = Manner(list, lambda sort, number: f"{number}-{sort}", chunks=True, by_delta=True, time=1)
SAID: list[tuple[str, str, Any]] = [
    ("text", "It is sunny in Rome, and it will stay so for some days. Take a hat with you.", None),
    ("weather", '{"city": "Rome"}', '{"sky": "clear", "degrees": 30}'),
]
TOLD = Told(SAID, {"city": "Rome", "days": [1, 2]})
CHANGED = Told(
    [
        ("text", SAID[0][1].replace("sunny", "rainy").replace("hat", "coat"), None),
        ("weather", '{"city": "Milan"}', '{"degrees": 3e1, "sky": "clear"}'),
        ("book", "{}", None),
    ],
    {"city": "Milan", "days": [1, 2]},
    "The model is overloaded.",
)
SHOWN = """\
A one and B other differ in 1 message, 2 tool calls, the state and the outcome.

message 1, assistant
  It is [-sunny-]{+rainy+} in Rome, and it will stay so for some days. Take a [-hat-]{+coat+} with you.

tool call 1, weather
  /arguments/city: [-Rome-]{+Milan+}

tool call 2 of B, book
  only in B: book({})

final state
  /city: [-Rome-]{+Milan+}

outcome of run 1
  A {"type": "success"}
  B {"type": "error", "message": "The model is overloaded."}
"""


def compared(
    folder: Path, one: bytes | None, other: bytes | None, *, stdin: bytes = b"", **options: Any
) -> tuple[int, str, str]:
    """Exit code, output and errors; None in the place of a stream: it is read from standard input."""
    names = {"one": "-", "other": "-"}
    for name, content in (("one", one), ("other", other)):
        if content is not None:
            (folder / name).write_bytes(content)
            names[name] = name
    out, err = io.StringIO(), io.StringIO()
    code = diff.run({"json": False} | names | options, io.BytesIO(stdin), out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_differences_are_shown_where_they_are_as_on_the_page(tmp_path: Path) -> None:
    assert f"```\n{SHOWN}```\n" in PAGE.read_text(encoding="utf-8")
    assert compared(tmp_path, sse(stream(TOLD, PLAIN)), sse(stream(CHANGED, BY_LETTERS))) == (1, SHOWN, "")


@pytest.mark.parametrize("form", ["sse", "ndjson", "list", "stdin"])
def test_each_form_is_read(tmp_path: Path, form: str) -> None:
    texts = stream(TOLD, BY_LETTERS)
    forms = {"sse": sse(texts), "ndjson": b"\n".join(texts), "list": b"[" + b",".join(texts) + b"]"}
    found = compared(tmp_path, sse(stream(TOLD, PLAIN)), forms.get(form), stdin=sse(texts))
    name = "-" if form == "stdin" else "other"
    assert found == (0, f"one and {name} mean the same.\n", "")


def test_json_has_all_and_leaves_out_what_a_side_lacks(tmp_path: Path) -> None:
    code, out, err = compared(tmp_path, sse(stream(TOLD, PLAIN)), sse(stream(CHANGED, PLAIN)), json=True)
    found = json.loads(out)
    assert (code, err, found["same"], found["a"], found["b"]) == (1, "", False, "one", "other")
    assert found["differences"][1:4] == [
        {"where": "call", "number": 1, "name": "weather", "at": "/arguments/city", "a": "Rome", "b": "Milan"},
        {"where": "call", "number": 2, "name": "book", "at": "", "b": {"arguments": {}}},
        {"where": "state", "at": "/city", "a": "Rome", "b": "Milan"},
    ]
    same = compared(tmp_path, sse(stream(TOLD, PLAIN)), sse(stream(TOLD, PLAIN)), json=True)
    assert (same[0], json.loads(same[1])["same"], json.loads(same[1])["differences"]) == (0, True, [])


def test_a_refused_stream_is_never_the_same_without_a_word(tmp_path: Path) -> None:
    one, other = ([event("RS"), event("TC:z"), event(last)] for last in ("RF", "RE"))
    code, out, err = compared(tmp_path, sse(one), sse(other))
    said = (
        "one and other mean the same up to events 1 and 1, which are refused: nothing behind them counts.\n"
    )
    assert (code, out, err.count("event 1 is refused")) == (0, said, 2)
    _, out, _ = compared(tmp_path, sse(one), sse(other), json=True)
    assert json.loads(out)["refused_events"] == {"a": 1, "b": 1}
    code, out, _ = compared(tmp_path, sse(one), sse([event("RS"), event("TC:y")]))
    assert (code, "outcome" in out) == (1, True)


def test_what_is_not_followed_is_said(tmp_path: Path) -> None:
    one, other = (sse(stream(Told([], {"a": text}), PLAIN)) for text in ("x" * 2**20, "x"))
    code, out, _ = compared(tmp_path, one, other)
    assert (code, out) == (
        1,
        "A one and B other do not differ in what is followed.\nNot compared: the state.\n\nfinal state\n"
        "  not followed in A: above 1,048,576 bytes or 128 levels, or unreadable\n",
    )
    _, out, _ = compared(tmp_path, one, one, json=True)
    assert json.loads(out)["differences"] == [{"where": "state", "at": "", "not_followed": ["a", "b"]}]


def test_two_calls_never_stand_under_one_heading(tmp_path: Path) -> None:
    rome, paris = ("weather", '{"city": "Rome"}', "clear"), ("weather", '{"city": "Paris"}', "rain")
    told = [rome], [paris, ("weather", '{"city": "Rome"}', "storm")]
    _, out, _ = compared(tmp_path, *(sse(stream(Told([*each]), PLAIN)) for each in told))
    assert [line for line in out.splitlines() if line.startswith("tool call")] == [
        "tool call 1 of B, weather",
        "tool call 1 of A and 2 of B, weather",
    ]


def test_long_texts_are_shown_near_their_differences(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(200)]
    changed = [*words[:100], "other", *words[101:]]
    one, other = (sse(stream(Told([("text", " ".join(each), None)]), PLAIN)) for each in (words, changed))
    _, out, _ = compared(tmp_path, one, other)
    line = out.splitlines()[-1]
    assert "word98 word99 [-word100-]{+other+} word101 word102" in line
    assert len(line) < 130
    huge = [("text", " x" * 5_000, None)], [("text", " y" * 5_000, None)]
    _, out, _ = compared(tmp_path, *(sse(stream(Told(each), PLAIN)) for each in huge))
    assert len(out) < 1_000


def test_no_sign_of_a_stream_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    one, other = (sse(stream(Told([("text", text, None)]), PLAIN)) for text in ("a\x1b[2Jb", "a\x1b[2Jc\nd"))
    _, out, _ = compared(tmp_path, one, other)
    assert "\x1b" not in out
    assert out.splitlines()[-1].endswith("[-2Jb-]{+2Jc\\nd+}")


def test_of_many_differences_the_first_are_shown(tmp_path: Path) -> None:
    states = ({"l": [value] * 150} for value in (1, 2))
    _, out, _ = compared(tmp_path, *(sse(stream(Told([], each), PLAIN)) for each in states))
    assert out.splitlines()[-1] == "  ... and 50 more, which --json lists"
    assert out.count("/l/") == 100


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (b"", "one holds no event"),
        (b": ping\n\n", "one holds no event"),
        (b"x" * 70_000, "cannot read one: neither server-sent events"),
        (b"[1,", "cannot read one: a JSON list that cannot be read"),
    ],
)
def test_what_cannot_be_read_is_2_and_a_sentence(tmp_path: Path, one: bytes, said: str) -> None:
    code, out, err = compared(tmp_path, one, sse(stream(TOLD, PLAIN)))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"dtvn diff: {said}")


def test_two_streams_on_standard_input_and_none_at_all_are_2(tmp_path: Path) -> None:
    assert compared(tmp_path, None, None)[::2] == (
        2,
        "dtvn diff: standard input can only be one of the two\n",
    )
    err = io.StringIO()
    options = {"one": "nowhere", "other": "-", "json": False}
    assert diff.run(options, io.BytesIO(), io.StringIO(), err) == 2
    assert err.getvalue() == "dtvn diff: cannot read nowhere: No such file or directory\n"


def test_a_refused_event_is_said_and_is_an_outcome(tmp_path: Path) -> None:
    bad = [event("RS"), event("TC:z"), event("RF")]
    code, out, err = compared(tmp_path, sse(bad), sse([event("RS"), event("RF")]))
    assert code == 1
    assert 'A {"type": "refused", "code": "MESSAGE_NOT_OPEN", "event": ' in out
    assert err == (
        "dtvn diff: one: event 1 is refused, and nothing behind it counts: MESSAGE_NOT_OPEN: "
        'Message "z" is not open.\n'
    )
    assert compared(tmp_path, sse(bad), sse(bad))[0] == 0


def test_streams_that_mean_the_same_until_both_are_refused_name_both_places(tmp_path: Path) -> None:
    one, other = ([*stream(TOLD, manner)[:-1], event("TC:zz")] for manner in (PLAIN, BY_LETTERS))
    code, out, err = compared(tmp_path, sse(one), sse(other))
    assert (code, err.count("is refused")) == (0, 2)
    assert f"up to events {len(one) - 1} and {len(other) - 1}, which are refused" in out


def test_the_program_compares_without_the_extra_libraries(tmp_path: Path) -> None:
    for name, told in (("a.sse", TOLD), ("b.sse", CHANGED)):
        (tmp_path / name).write_bytes(sse(stream(told, PLAIN)))
    start = (
        "import sys; sys.modules.update(dict.fromkeys(['httpx', 'uvicorn', 'jsonschema', 'django']));"
        "from dtvn.cli.main import command; command()"
    )
    given = [sys.executable, "-c", start, "diff", "a.sse"]
    for other, code in (("a.sse", 0), ("b.sse", 1)):
        root = str(Path(__file__).parents[3])
        done = subprocess.run([*given, other], env={"PYTHONPATH": root}, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (code, b"")
