"""Codes: normalisation and digests are part of the protocol, so they have vectors (R40)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.machine import codes
from dtvn.machine.codes import CodeError, code_digest, default_salt, normalised
from tests.support.table import table

VECTORS = [
    ("ABC123", "ABC123"),
    (" \t\r\nABC123\r\n", "ABC123"),
    ("\ufeffABC123", "ABC123"),
    ("\u200eABC\u200f", "ABC"),
    ("\u200b\u2060ABC\u00ad", "ABC"),
    ("\u3000ABC\u00a0", "ABC"),
    ("\x00ABC\x7f", "ABC"),
    ("A B\tC", "A B\tC"),  # inside, nothing is stripped
    ("A\u200bB", "A\u200bB"),
    ("abc", "abc"),  # nor is case changed
    ("ＡＢＣ１２３", "ABC123"),
    ("Ａ\u3000Ｂ", "A B"),
    ("＋／＝", "+/="),
    ("Cafe\u0301", "Caf\u00e9"),
    ("Ａ\u0301", "\u00c1"),
    ("\u212b", "\u00c5"),
    ("\ufb01", "\ufb01"),  # a ligature: NFC, not NFKC
    ("\u0660\u0661", "\u0660\u0661"),  # other digits stay
    ("https://t.example/x?a=1&b=%20", "https://t.example/x?a=1&b=%20"),
    ('{"id": 7}', '{"id": 7}'),
    ("3fa85f64/9c+A==", "3fa85f64/9c+A=="),
    ("\U0001f3ab", "\U0001f3ab"),
    ("\u180eA\U000e0041", "A"),
    ("é" * 256, "é" * 256),
]


@table(("read", "kept"), VECTORS, count=24)
def test_normalisation_has_vectors(read: str, kept: str) -> None:
    assert normalised(read) == kept


@given(st.text())
def test_normalisation_applied_twice_changes_nothing_more(text: str) -> None:
    try:
        once = normalised(text)
    except CodeError:
        return
    assert normalised(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert 1 <= len(once.encode()) <= codes.CODE_BYTES_MAX


@given(st.text(alphabet="\u0301\u200d \u3000ＡA\ufeff\u1100\u1161\u11a8é", min_size=1))
def test_normalisation_is_idempotent_where_its_three_rules_meet(text: str) -> None:
    if text.strip("\u200d \u3000\ufeff"):
        assert normalised(normalised(text)) == normalised(text)


def test_what_is_stripped_are_the_categories_of_unicode_14() -> None:
    """Later versions of Python know more characters; the rule stays."""
    stripped = {chr(point) for first, last in codes._STRIPPED for point in range(first, last + 1)}
    known = {
        letter
        for letter in map(chr, range(0x110000))
        if unicodedata.category(letter) in ("Zs", "Zl", "Zp", "Cc", "Cf")
    }
    if unicodedata.unidata_version == "14.0.0":
        assert stripped == known
    assert stripped <= known


@table(
    ("text", "why"),
    [
        ("", "empty"),
        (" \u200b\ufeff", "empty"),
        ("A\ud800", "surrogate"),
        ("A" * 513, "513 bytes"),
        ("é" * 257, "514 bytes"),
    ],
    count=5,
)
def test_a_text_that_cannot_be_a_code_is_refused_and_not_repeated(text: str, why: str) -> None:
    with pytest.raises(CodeError, match=why) as refused:
        normalised(text)
    assert "AAAA" not in str(refused.value)


def test_digests_have_vectors() -> None:
    salt = default_salt(bytes(range(32)), "opera")
    assert salt.hex() == "47fa164bbbad091d19fcfb3649936dd28c3beaac0ca08bbda3f508133d151376"
    assert (
        code_digest(salt, "ABC123").hex()
        == "0d8c3c9c24ef1b671afdbb503638283ca3d072d1716daa495a4f465263fe3807"
    )
    assert code_digest(salt, "\ufeff ＡＢＣ123\r\n") == code_digest(salt, "ABC123")
    assert code_digest(default_salt(bytes(range(32)), "ballet"), "ABC123") != code_digest(salt, "ABC123")
    assert default_salt(bytes(32), "opera") != salt
