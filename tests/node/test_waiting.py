"""What a command says of its waiting: nothing at first, then for what."""

from __future__ import annotations

import threading

from dtvn.waiting import SAID_AFTER, saying, saying_in_silence
from tests.waiting import wait_until


def test_a_wait_is_named_once_it_lasts() -> None:
    said: list[str] = []
    with saying("the members", after=0.001, say=said.append):
        wait_until(lambda: said, what="the line")
    assert said == ["waiting for the members"]


def test_a_wait_that_ends_in_time_is_not_named() -> None:
    said: list[str] = []
    before = threading.active_count()
    with saying("the members", after=3_600, say=said.append):
        assert threading.active_count() == before + 1
    wait_until(lambda: threading.active_count() == before, what="the end of the timer")
    assert said == []
    assert SAID_AFTER == 2.0


def test_a_silence_is_named_once_and_again_after_a_sign_of_progress() -> None:
    said: list[str] = []
    with saying_in_silence("the network", after=0.001, say=said.append) as heard:
        wait_until(lambda: len(said) == 1, what="the first line")
        heard()
        wait_until(lambda: len(said) == 2, what="the second line")
    assert said == ["waiting for the network"] * 2
