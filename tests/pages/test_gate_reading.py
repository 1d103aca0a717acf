"""Codes at a gate, as readers and persons type them: where one ends, and that two are never one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from py_mini_racer import MiniRacer

SCRIPT = Path(__file__).parents[2] / "static/js/gate-reading.js"
CODE, OTHER = "guest-01-zy", "guest-02-zy"
READER = 8
"""Milliseconds between two keys of a reader."""
PAGE = """
let now = 1000, due = [], focused, question = null, clicks = 0;
globalThis.setTimeout = (act, after) => due.push([now + after, act]);
globalThis.clearTimeout = (id) => { if (due[id - 1]) due[id - 1] = [Infinity, () => {}]; };
globalThis.matchMedia = () => ({ matches: false });
globalThis.getSelection = () => ({ isCollapsed: true });
globalThis.Event = class { constructor(type) { this.type = type; } };
const listening = (more) => ({
  on: {}, addEventListener(kind, act) { (this.on[kind] ??= []).push(act); }, ...more,
});
const input = () => Object.defineProperty(listening({
  value: "", inputMode: "", blur() {}, dispatchEvent() {}, focus() { focused = this; },
  closest(wanted) { return wanted.includes("input") ? this : null; },
}), "selectionStart", { get() { return this.value.length; } });
const nowhere = () => ({ closest: () => null });
const button = { closest: (wanted) => (wanted.includes("button") ? button : null) };
const form = listening({ hidden: false });
const [field, reason] = [input(), input()];
globalThis.document = listening({ querySelector: () => question });
function ask(onto) { [question, focused] = [{}, onto]; }
function answer() {
  const target = question;
  [question, focused] = [null, field];
  document.on.close.forEach((act) => act({ target, timeStamp: now }));
}
const taken = [], unclear = [], leftover = [];
let keys = 0; // typed into the field
const dtvn = {};
focused = field;
function press(key, more = {}) {
  let prevented = false;
  const pressed = {
    key, timeStamp: now, target: focused, getModifierState: () => false, ...more,
    preventDefault() { prevented = true; },
  };
  document.on.keydown.forEach((act) => act(pressed));
  if (!prevented && key.length === 1 && !pressed.ctrlKey && "value" in focused) {
    focused.value += key;
    focused.on.input?.forEach((act) => act());
  }
  if (!prevented && key === "Enter" && focused === field) {
    form.on.submit.forEach((act) => act({ preventDefault() {} }));
  }
  if (!prevented && (key === "Enter" || key === " ") && focused === button) clicks += 1;
  if (!prevented && key === "Tab") focused = nowhere();
  return prevented;
}
function pass(milliseconds) {
  for (const end = now + milliseconds; now < end; now += 1) {
    const ready = due.filter(([at]) => at <= now);
    due = due.map((one) => (one[0] <= now ? [Infinity, () => {}] : one));
    ready.forEach(([, act]) => act());
  }
}
"""
FOLLOW = """
dtvn.gateReading.follow(form, field, {
  take: (code) => taken.push(code), typing: () => { keys += 1; }, caps() {},
  unclear: (code) => unclear.push(code), leftover: (text) => leftover.push(text),
});
"""


class Keyboard:
    """The page's field with the focus, and what types into it."""

    def __init__(self) -> None:
        self.engine = MiniRacer()
        self.engine.eval(PAGE)
        self.engine.eval(SCRIPT.read_text(encoding="utf-8"))
        self.engine.eval(FOLLOW)

    def js(self, text: str) -> Any:
        return json.loads(self.engine.eval(f"JSON.stringify(({text}) ?? null)"))

    def type(self, text: str, *endings: str, gap: int = READER) -> None:
        """Each key `gap` milliseconds after the last."""
        for key in (*text, *endings):
            self.engine.eval(f"press({json.dumps(key)}); pass({gap})")

    def waits(self, milliseconds: int) -> None:
        self.engine.eval(f"pass({milliseconds})")

    @property
    def taken(self) -> list[str]:
        return list(self.js("taken"))


@pytest.fixture
def keyboard() -> Keyboard:
    return Keyboard()


@pytest.mark.parametrize("endings", [("Enter",), ("Enter", "Enter"), ("Tab",), ()])
def test_each_ending_of_a_reader_gives_one_scan_a_code(keyboard: Keyboard, endings: tuple[str, ...]) -> None:
    """CR+LF arrives as two Enters."""
    for code in (CODE, OTHER, CODE):
        keyboard.type(code, *endings)
        keyboard.waits(500)
    assert keyboard.taken == [CODE, OTHER, CODE]
    assert keyboard.js("[field.value, unclear, focused === field]") == ["", [], True]


def test_a_line_feed_sent_as_ctrl_j_opens_nothing_and_scans_once(keyboard: Keyboard) -> None:
    keyboard.type(CODE, "Enter")
    assert keyboard.js("press('j', { ctrlKey: true })") is True
    keyboard.waits(1_000)
    assert keyboard.js("press('j', { ctrlKey: true })") is False, "a person's own keys are left alone"
    assert keyboard.taken == [CODE]


@pytest.mark.parametrize("gap", [60, 200, 299, 350, 2_000])
def test_slow_typing_is_never_cut(keyboard: Keyboard, gap: int) -> None:
    keyboard.type(CODE, gap=gap)
    keyboard.waits(5_000)
    assert keyboard.taken == []
    keyboard.type("", "Enter")
    assert keyboard.taken == [CODE]


def test_tab_leaves_a_field_that_a_person_filled(keyboard: Keyboard) -> None:
    for text in ("", "abc"):
        keyboard.type(text, "Tab", gap=100)
        assert keyboard.js("focused !== field") is True
        keyboard.engine.eval("focused = field")
    assert keyboard.taken == []


@pytest.mark.parametrize("pause", [60, 150, 280])
def test_two_codes_without_an_ending_are_never_one(keyboard: Keyboard, pause: int) -> None:
    keyboard.type(CODE)
    keyboard.waits(pause - READER)
    keyboard.type(OTHER)
    keyboard.waits(500)
    assert (keyboard.taken, keyboard.js("unclear")) == ([], [CODE + OTHER])
    keyboard.type(CODE, "Enter")
    assert keyboard.taken == [CODE]


def test_a_code_is_not_joined_to_what_a_person_began_to_type(keyboard: Keyboard) -> None:
    keyboard.type("gue", gap=200)
    keyboard.waits(400)
    keyboard.type(CODE, "Enter")
    assert (keyboard.taken, keyboard.js("leftover"), keyboard.js("field.value")) == ([CODE], ["gue"], "")


def test_a_held_key_and_an_edited_code_are_no_burst(keyboard: Keyboard) -> None:
    keyboard.engine.eval("for (let n = 0; n < 20; n += 1) { press('a', { repeat: n > 0 }); pass(30); }")
    keyboard.waits(1_000)
    keyboard.engine.eval("field.value = ''; press('Backspace')")
    keyboard.type(CODE[:7])
    keyboard.engine.eval("press('Backspace')")
    keyboard.waits(1_000)
    assert keyboard.taken == []


def test_a_reader_is_heard_while_the_focus_is_elsewhere(keyboard: Keyboard) -> None:
    keyboard.engine.eval("focused = nowhere()")
    keyboard.type(CODE, "Enter")
    assert (keyboard.taken, keyboard.js("focused === field")) == ([CODE], True)


def test_a_code_read_into_a_question_is_taken_out_of_its_field(keyboard: Keyboard) -> None:
    """What stands there is kept in the log for ever."""
    keyboard.engine.eval("ask(reason)")
    keyboard.type("lost child ", gap=150)
    keyboard.waits(400)
    keyboard.type(CODE, "Enter")
    assert (keyboard.taken, keyboard.js("reason.value")) == ([CODE], "lost child ")
    keyboard.engine.eval("focused = nowhere()")
    keyboard.type(OTHER)
    keyboard.waits(400)
    assert (keyboard.taken, keyboard.js("field.value")) == ([CODE, OTHER], "")


def test_the_first_key_of_a_code_is_told_before_its_end(keyboard: Keyboard) -> None:
    keyboard.type("g", gap=400)
    assert (keyboard.js("keys"), keyboard.taken) == (1, [])
    keyboard.engine.eval("field.value += 'pasted'; field.on.input.forEach((act) => act())")
    assert (keyboard.js("keys"), keyboard.taken) == (2, [])


@pytest.mark.parametrize("gap", [READER, 70, 200, 400])
@pytest.mark.parametrize("onto", ["button", "nowhere()"])
@pytest.mark.parametrize("endings", [("Enter",), ("Enter", "Enter"), ("Tab",)])
def test_a_code_read_beside_the_fields_of_a_question_is_a_scan_at_any_pace(
    keyboard: Keyboard, gap: int, onto: str, endings: tuple[str, ...]
) -> None:
    """Its ending answers no question, nor does a space in it."""
    keyboard.engine.eval(f"ask({onto})")
    keyboard.type("g", gap=gap)
    assert keyboard.js("keys") == 1, "the answer behind the question is of the guest before"
    keyboard.type("uest 01-zy", *endings, gap=gap)
    keyboard.waits(1_000)
    assert (keyboard.taken, keyboard.js("[clicks, leftover, unclear]")) == (["guest 01-zy"], [0, [], []])


def test_a_question_is_answered_by_the_keys_of_a_person(keyboard: Keyboard) -> None:
    keyboard.engine.eval("ask(button)")
    keyboard.type(" ", "ArrowLeft", "Enter", gap=200)
    keyboard.type(CODE, "Enter", gap=70)
    keyboard.waits(1_000)
    keyboard.type(" ", "Enter", gap=200)
    assert (keyboard.js("clicks"), keyboard.taken) == (4, [CODE])


def test_a_stray_key_at_a_question_joins_no_code(keyboard: Keyboard) -> None:
    keyboard.engine.eval("ask(button)")
    keyboard.type("y", gap=2_000)
    keyboard.type(CODE, "Enter")
    assert (keyboard.taken, keyboard.js("leftover")) == ([CODE], ["y"])


def test_a_code_that_the_end_of_a_question_cuts_is_not_lost(keyboard: Keyboard) -> None:
    for gap in (READER, 70):
        keyboard.engine.eval("ask(button)")
        keyboard.type(CODE[:7], gap=gap)
        keyboard.engine.eval("answer()")
        keyboard.type(CODE[7:], "Enter", gap=gap)
    keyboard.engine.eval("ask(button)")
    keyboard.type(CODE[:7], gap=70)
    keyboard.waits(1_000)
    keyboard.engine.eval("answer()")
    assert (keyboard.taken, keyboard.js("leftover")) == ([CODE, CODE], [CODE[:7]])
