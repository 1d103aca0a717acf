"""JSON Patch: the examples of RFC 6902, what fails and why, and that nothing grows without bound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from dtvn.events.advice import json_patch
from dtvn.events.advice.json_patch import OPERATIONS_MAX, Document, Failure, TooLarge
from dtvn.events.rules.messages import Patch
from tests.support.table import table

LIMIT = 4096


def patched(document: Any, *operations: dict[str, Any]) -> tuple[Any, Failure | None]:
    made = Document(json.dumps(document).encode(), LIMIT)
    failure = made.apply(msgspec.json.decode(json.dumps(operations), type=Patch))
    return made.value, failure


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


# Appendix A of RFC 6902.
APPENDIX: dict[str, tuple[Any, list[dict[str, Any]], Any]] = {
    "A.1": ({"foo": "bar"}, [op("add", "/baz", value="qux")], {"baz": "qux", "foo": "bar"}),
    "A.2": ({"foo": ["bar", "baz"]}, [op("add", "/foo/1", value="qux")], {"foo": ["bar", "qux", "baz"]}),
    "A.3": ({"baz": "qux", "foo": "bar"}, [op("remove", "/baz")], {"foo": "bar"}),
    "A.4": ({"foo": ["bar", "qux", "baz"]}, [op("remove", "/foo/1")], {"foo": ["bar", "baz"]}),
    "A.5": ({"baz": "qux"}, [op("replace", "/baz", value="boo")], {"baz": "boo"}),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [op("move", "/qux/thud", **{"from": "/foo/waldo"})],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [op("move", "/foo/3", **{"from": "/foo/1"})],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [op("test", "/baz", value="qux"), op("test", "/foo/1", value=2)],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10": (
        {"foo": "bar"},
        [op("add", "/child", value={"grandchild": {}})],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.14": ({"/": 9, "~1": 10}, [op("test", "/~01", value=10)], {"/": 9, "~1": 10}),
    "A.16": ({"foo": ["bar"]}, [op("add", "/foo/-", value=["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),
    "whole document": ({"a": 1}, [op("replace", "", value=[1]), op("add", "/-", value=2)], [1, 2]),
    "copy": (
        {"a": [1]},
        [op("copy", "/b", **{"from": "/a"}), op("add", "/b/0", value=0)],
        {"a": [1], "b": [0, 1]},
    ),
}
REFUSED: dict[str, tuple[Any, list[dict[str, Any]], str, str]] = {
    "A.9": (
        {"baz": "qux"},
        [op("test", "/baz", value="bar")],
        "/baz",
        "the test fails: /baz has another value",
    ),
    "A.12": ({"foo": "bar"}, [op("add", "/baz/bat", value="qux")], "/baz", "/baz does not exist"),
    "A.15": (
        {"/": 9, "~1": 10},
        [op("test", "/~01", value="10")],
        "/~01",
        "the test fails: /~01 has another value",
    ),
    "missing member": ({}, [op("replace", "/steps", value=1)], "/steps", "/steps does not exist"),
    "missing parent": ({}, [op("add", "/a/b/c", value=1)], "/a", "/a does not exist"),
    "index out of range": (
        {"items": ["a"]},
        [op("add", "/items/5", value="b")],
        "/items/5",
        "index 5 is out of range: /items has length 1",
    ),
    "index after the last": (
        ["a"],
        [op("remove", "/1")],
        "/1",
        "index 1 is out of range: the whole document has length 1",
    ),
    "no place for -": (
        ["a"],
        [op("replace", "/-", value=1)],
        "/-",
        "/- does not exist: - is the place after the last item",
    ),
    "index with a zero": (
        [1, 2],
        [op("remove", "/01")],
        "/01",
        "the whole document is a list, and 01 is no index",
    ),
    "name in a list": ({"a": []}, [op("add", "/a/b", value=1)], "/a/b", "/a is a list, and b is no index"),
    "below a text": ({"a": "x"}, [op("add", "/a/b", value=1)], "/a/b", "/a is a text: nothing is below it"),
    "below null": ({"a": None}, [op("add", "/a/b", value=1)], "/a/b", "/a is null: nothing is below it"),
    "slash not escaped": (
        {"a/b": 1},
        [op("replace", "/a/b", value=2)],
        "/a",
        "/a does not exist; the name a/b is written /a~1b",
    ),
    "true is no 1": ({"a": True}, [op("test", "/a", value=1)], "/a", "the test fails: /a has another value"),
    "into itself": (
        {"a": {}},
        [op("move", "/a/b", **{"from": "/a"})],
        "/a/b",
        "a value cannot move into itself",
    ),
    "move from nowhere": ({}, [op("move", "/a", **{"from": "/b"})], "/b", "/b does not exist"),
    "copy from nowhere": (
        [],
        [op("copy", "", **{"from": "/0"})],
        "/0",
        "index 0 is out of range: the whole document has length 0",
    ),
    "prototype": ({}, [op("add", "/__proto__", value=1)], "/__proto__", "clients refuse the name __proto__"),
}


@table(("document", "operations", "result"), APPENDIX.values(), ids=APPENDIX, count=13)
def test_a_patch_applies(document: Any, operations: list[dict[str, Any]], result: Any) -> None:
    assert patched(document, *operations) == (result, None)


@table(("document", "operations", "at", "reason"), REFUSED.values(), ids=REFUSED, count=18)
def test_a_patch_fails_and_says_why(
    document: Any, operations: list[dict[str, Any]], at: str, reason: str
) -> None:
    assert patched(document, *operations) == (document, Failure(0, at, reason))


def test_a_patch_that_fails_late_leaves_nothing_behind() -> None:
    document = {"a": [1, 2, 3], "b": {"c": 1}}
    operations = [
        op("remove", "/a/0"),
        op("add", "/a/1", value=9),
        op("replace", "/b/c", value=2),
        op("add", "/d", value=1),
        op("move", "/b/e", **{"from": "/d"}),
        op("copy", "/f", **{"from": "/a"}),
        op("remove", "/b"),
        op("replace", "", value={"a": 1}),
        op("remove", "/nothing"),
    ]
    value, failure = patched(document, *operations)
    assert value == document
    assert failure == Failure(8, "/nothing", "/nothing does not exist")


def test_a_document_beyond_the_limit_is_given_up() -> None:
    with pytest.raises(TooLarge):
        Document(json.dumps("x" * LIMIT).encode(), LIMIT)
    grows = [op("add", "/-", value="x" * 100)] * 100
    with pytest.raises(TooLarge):
        patched([], *grows)


def test_values_that_come_and_go_are_no_growth() -> None:
    swaps = [op("replace", "/a", value="x" * 100)] * 200
    assert patched({"a": 1}, *swaps) == ({"a": "x" * 100}, None)


def test_copies_and_long_patches_are_bounded() -> None:
    doubles = [op("copy", "/-", **{"from": ""})] * 40
    with pytest.raises(TooLarge):
        patched([1], *doubles)
    with pytest.raises(TooLarge):
        patched({}, *[op("test", "", value={})] * (OPERATIONS_MAX + 1))


def test_a_document_nested_too_deep_is_given_up() -> None:
    made = Document(b"{}", 1024 * 1024)
    deeper: Any = msgspec.json.decode(json.dumps([op("copy", "/a", **{"from": ""})] * 5_000), type=Patch)
    with pytest.raises((TooLarge, RecursionError, ValueError, msgspec.MsgspecError)):
        made.apply(deeper)


@pytest.mark.parametrize("fits", [True, False])
def test_a_deep_path_costs_what_its_length_does(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = 4_000
    made = Document(b"{}", 1024 * 1024)
    deepest = made.value
    for _ in range(depth):
        deepest["a"] = deepest = {}
    built: list[int] = []
    pointer = json_patch.pointer

    def counted(path: Sequence[str]) -> str:
        built.append(len(path))
        return pointer(path)

    monkeypatch.setattr(json_patch, "pointer", counted)
    path = "/a" * depth + ("/b" if fits else "/b" * depth)
    failure = made.apply(msgspec.json.decode(json.dumps([op("add", path, value=1)]), type=Patch))
    if fits:
        assert (failure, deepest, built) == (None, {"b": 1}, [])
    else:
        assert failure is not None
        assert failure.at == "/a" * depth + "/b"
        assert built == [depth, depth + 1]
