"""The one function that compares log time with a clock, and its sentences."""

from __future__ import annotations

from dtvn.protocol.log_time import ahead_sentence, behind_sentence, doubtful_sentence, span, withheld_sentence
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


def test_the_sentences_of_a_time_that_is_held_back_and_of_a_doubtful_clock() -> None:
    waits = "windows, leases and locks wait for it"
    assert behind_sentence(30.0) == f"log time is 30 s behind this clock; {waits}"
    held = "log time is 30 s behind this clock, held back by the clocks of node1, node2"
    assert behind_sentence(30.0, ["node1", "node2"]) == f"{held}; {waits}"
    goes = "and others do not agree: it goes by the time that they share"
    assert doubtful_sentence(-7_200.0, "node1") == f"the clock of node1 was set 2.0 h back, {goes}"
    said = (
        "this clock was set 30 s ahead, and others do not agree: this node goes by the time that they share"
    )
    assert doubtful_sentence(30.0) == said
    assert (behind_sentence(0.0), doubtful_sentence(0.0)) == ("", "")
