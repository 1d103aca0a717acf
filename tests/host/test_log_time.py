"""The one function that compares log time with a clock, and its sentences."""

from __future__ import annotations

from dtvn.protocol.log_time import ahead_sentence, span, withheld_sentence
from tests.support.table import table

NOW = 1_800_000_000_000_000


@table(
    ("seconds", "text"),
    [
        (2.6, "3 s"),
        (35.0, "35 s"),
        (119.4, "119 s"),
        (120.0, "2 min"),
        (3_480.0, "58 min"),
        (9_000.0, "2.5 h"),
    ],
    count=6,
)
def test_a_span_is_given_in_the_unit_that_people_think_in(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_the_sentences_name_amount_direction_and_clock() -> None:
    said = "log time is 58 min ahead of this clock; windows of validity are judged by it"
    assert ahead_sentence(3_480.0) == said
    assert withheld_sentence(3_600.0) == "withheld: the proposal's time is 3,600 s ahead of my clock"
    other = "node3 withholds its vote: the proposal's time is 12 s behind its clock"
    assert withheld_sentence(-12.0, "node3") == other
    assert (ahead_sentence(0.0), withheld_sentence(0.0)) == ("", "")
