"""Bodies as Structs: what counts as absent, and how an error names its field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.api.bodies import Number, convert, read_body, request_of
from dtvn.api.errors import InvalidRequest
from dtvn.machine import Admit, Issue, Seed
from dtvn.machine.bodies import Body, Text
from dtvn.machine.fields import DATA_BYTES_MAX
from dtvn.machine.kinds import OPERATIONS


class Example(Body, frozen=True, kw_only=True):
    count: Number | None = None
    note: Text = "none"


class Optional(Example, frozen=True, kw_only=True):
    may_be_empty = True


def test_null_and_unknown_fields_count_as_absent() -> None:
    for content in (b"{}", b"null", b'{"count":null,"note":null}', b'{"other":[1]}'):
        assert read_body(content, Example) == Example()


def test_only_optional_bodies_may_be_empty() -> None:
    assert read_body(b" \n", Optional) == Optional()
    for content in (b"", b"{", b"[]", b"5"):
        with pytest.raises(InvalidRequest, match="Invalid request body"):
            read_body(content, Example)


@pytest.mark.parametrize("content", [b"", b"form=1", b"[]", b"{}"])
def test_a_seed_takes_any_body(content: bytes) -> None:
    assert request_of("seed", read_body(content, OPERATIONS["seed"].body)).command == Seed()


@pytest.mark.parametrize(
    ("kind", "field", "said"),
    [
        ("admit", {"gate": 5}, "gate must be a string"),
        ("admit", {"nonce": []}, "nonce must be a string"),
        ("admit", {"ticket_id": 5}, "ticket_id must be a string"),
        ("admit", {"ticket_id": ""}, "ticket_id is required"),
        ("consume", {"ticket_id": None}, "ticket_id is required"),
        ("seed", {"event": 7}, "event must be a string"),
        ("validate", {"data": "%"}, "data must be standard base64 of at most 65536 bytes"),
        ("issue", {"data": "A" * 4 * DATA_BYTES_MAX}, "data must be standard base64 of at most"),
        ("issue", {"metadata": {"a": 1}}, "metadata must be an object of strings"),
        ("issue", {"not_after": -1}, "not_after must be a number of Unix seconds"),
        ("issue", {"not_after": 1_785_542_400_000}, "not_after must be a number of Unix seconds, at most 25"),
        ("issue", {"commitment": "ab" * 32 + "\n"}, "commitment must be 64 hex digits"),
        ("admit", {"gate": "n" * 65}, "gate must be a string of at most 64 characters"),
        (
            "admit",
            {"device": "n\x00"},
            "device must be a string of at most 64 characters without control characters",
        ),
        ("admit", {"ticket_id": "T 1"}, "ticket_id must be a string of 1 to 128 characters of A-Z"),
        ("admit", {"ticket_id": "T\n"}, "ticket_id must be a string of 1 to 128 characters of A-Z"),
        ("dispute", {"reason": "r\n"}, "reason must be a string of at most 256 characters without control"),
        ("admit", {"event": "e" * 65}, "event must be a string of 1 to 64 characters of A-Z"),
        ("admit", {"nonce": ""}, "nonce must be a string of 1 to 64 bytes"),
        ("issue", {"seat": "s" * 129}, "seat must be a string of at most 128 characters"),
        ("issue", {"metadata": dict.fromkeys(map(str, range(17)), "")}, "metadata must be an object of"),
        ("dispute", {"reason": "r" * 257}, "reason must be a string of at most 256 characters"),
        ("resolve", {}, 'verdict must be "clear" or "uphold"'),
        ("resolve", {"verdict": "perhaps"}, 'verdict must be "clear" or "uphold"'),
    ],
)
def test_an_error_names_the_field_and_its_rule(kind: str, field: dict[str, Any], said: str) -> None:
    content = msgspec.json.encode({"ticket_id": "T"} | field)
    with pytest.raises(InvalidRequest) as refused:
        read_body(content, OPERATIONS[kind].body)
    assert str(refused.value).startswith(said)
    assert refused.value.code == ("ticket_id_required" if "required" in said else "bad_request")


def test_the_command_has_the_fields_of_its_body() -> None:
    admit = read_body(b'{"ticket_id":"T","gate":"n","device":"d"}', OPERATIONS["admit"].body)
    assert request_of("admit", admit).command == Admit(gate="n", device="d", code=b"")
    issue = read_body(
        b'{"ticket_id":"T","not_after":2,"commitment":"' + b"AB" * 32 + b'","metadata":{"b":"1","a":"2"}}',
        OPERATIONS["issue"].body,
    )
    wanted = Issue(not_after=2_999_999, commitment=b"\xab" * 32, metadata=(("a", "2"), ("b", "1")))
    assert request_of("issue", issue).command == wanted
    unbounded = read_body(b'{"ticket_id":"T"}', OPERATIONS["issue"].body)
    assert request_of("issue", unbounded).command == Issue()


def test_a_text_is_composed_before_it_is_counted() -> None:
    """As the log keeps it: "e" with an accent of its own is one character there."""
    decomposed = {"ticket_id": "T", "gate": "e\u0301" * 64}
    body = read_body(msgspec.json.encode(decomposed), OPERATIONS["admit"].body)
    assert request_of("admit", body).command == Admit(gate="\u00e9" * 64, code=b"")


@pytest.mark.parametrize("kind", ["field", "header"])
@pytest.mark.parametrize(
    ("text", "fits"), [("", False), ("n", True), ("é" * 32, True), ("é" * 32 + "n", False)]
)
def test_a_nonce_has_1_to_64_bytes_wherever_it_stands(kind: str, text: str, fits: bool) -> None:
    """The log bounds the number of bytes, not of characters."""
    body = {"ticket_id": "T-1"} | ({"nonce": text} if kind == "field" else {})
    header = text.encode().decode("latin-1") if kind == "header" else None
    shape = OPERATIONS["validate"].body
    if fits:
        assert request_of("validate", convert(body, shape), header).nonce == text.encode()
        return
    name = "nonce must" if kind == "field" else "Idempotency-Key must"
    with pytest.raises(InvalidRequest, match=rf"^{name} (be a string of|have) 1 to 64 bytes( of UTF-8)?$"):
        request_of("validate", convert(body, shape), header)


def test_a_nonce_in_both_places_must_be_the_same() -> None:
    body = convert({"ticket_id": "T-1", "nonce": "n-1"}, OPERATIONS["validate"].body)
    assert request_of("validate", body, "n-1").nonce == b"n-1"
    assert request_of("validate", body).nonce == b"n-1"
    with pytest.raises(InvalidRequest, match=r"^nonce and Idempotency-Key differ$"):
        request_of("validate", body, "n-2")


def test_the_text_of_a_key_of_repetition_is_not_composed() -> None:
    """Two requests are told apart by the bytes of their keys."""
    body = convert({"ticket_id": "T-1", "nonce": "e\u0301"}, OPERATIONS["validate"].body)
    assert request_of("validate", body).nonce == b"e\xcc\x81"
