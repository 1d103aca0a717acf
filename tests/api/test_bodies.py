"""Bodies as Structs: what counts as absent, and how an error names its field."""

from __future__ import annotations

import pytest

from dtvn.api.bodies import convert, read_body, request_of
from dtvn.api.errors import InvalidRequest
from dtvn.machine import Seed
from dtvn.machine.kinds import OPERATIONS
from tests.support.table import table


@pytest.mark.parametrize("content", [b"", b"form=1", b"[]", b"{}"])
def test_a_seed_takes_any_body(content: bytes) -> None:
    assert request_of("seed", read_body(content, OPERATIONS["seed"].body)).command == Seed()


@table("kind", ["field", "header"], count=2)
@table(("text", "fits"), [("", False), ("n", True), ("é" * 32, True), ("é" * 32 + "n", False)], count=4)
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
