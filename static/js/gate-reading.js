/*
 * Reads codes: typed by a person, or by a barcode reader that poses as a keyboard. A reader neither waits nor looks where
 * the focus is, so its keys are recognised by their speed and belong to the field wherever they land.
 */
dtvn.gateReading = (function () {
  "use strict";

  const TYPED_INTO = "input, select, textarea";
  const PRESSED = "button, a, summary, label";
  const MODIFIERS = ["Shift", "CapsLock", "AltGraph", "Control", "Alt", "Meta", "Dead", "NumLock", "Unidentified"];
  const BURST_KEYS = 6; // keys in a row that only a reader types so fast
  const BURST_GAP = 50; // most milliseconds between two of them
  const SILENCE = 300; // milliseconds that end a code after a burst, and part two codes

  const isHeld = (pressed) => (pressed.ctrlKey || pressed.metaKey || pressed.altKey) && !pressed.getModifierState("AltGraph");
  const isLineFeed = (pressed) => pressed.ctrlKey && (pressed.key === "j" || pressed.key === "m"); // as some readers send it
  const isEnding = (pressed) => pressed.key === "Enter" || (pressed.key === "Tab" && !pressed.shiftKey) || isLineFeed(pressed);

  /*
   * Read into the field of the form, and recognise a reader's codes in all other fields and dialogs.
   * take(code): one code was read. typing(): something was typed or pasted into the field. unclear(code): a reader without
   * an ending paused within this, so it may be two codes. leftover(text): a person had begun to type this before a reader's
   * code. caps(isOn): Caps Lock was seen.
   */
  function follow(form, field, { take, typing, unclear, leftover, caps }) {
    const touch = matchMedia("(pointer: coarse)").matches;
    let keys = null; // since the last pause: {into, begin, text, row, burst, steady, last}
    let ended = -Infinity; // when the last code ended, on the clock of key events
    let silence = null;

    /* On a phone the keyboard of the screen covers the answer: it comes when a person taps the field. */
    function quiet() {
      if (touch) {
        field.inputMode = "none";
      }
      field.focus({ preventScroll: true });
    }

    function reset() {
      clearTimeout(silence);
      keys = null;
    }

    function done(code) {
      reset();
      if (touch) {
        field.blur();
      }
      if (!document.querySelector("dialog[open]") && !form.hidden) {
        quiet();
      }
      if (code) {
        take(code);
      }
    }

    /* The element that a key types into; null for a dialog without a focused field. */
    function landing(pressed) {
      const typed = pressed.target.closest(TYPED_INTO);
      return typed || form.hidden || pressed.target.closest("dialog") ? typed : field;
    }

    function note(pressed) {
      const into = landing(pressed);
      const gap = keys && keys.into === into ? pressed.timeStamp - keys.last : Infinity;
      if (gap >= SILENCE) {
        keys = { into, begin: into?.selectionStart ?? null, text: "", row: 0, burst: false, steady: true };
      }
      const fast = gap <= BURST_GAP && !pressed.repeat;
      keys.row = fast ? keys.row + 1 : 1;
      keys.burst ||= keys.row >= BURST_KEYS;
      keys.steady &&= fast || gap >= SILENCE;
      keys.text += pressed.key;
      keys.last = pressed.timeStamp;
      if (fast && pressed.key === " " && pressed.target.closest(PRESSED)) {
        pressed.preventDefault(); // a space of a code presses no button
      }
      clearTimeout(silence);
      if (keys.burst) {
        silence = setTimeout(() => endBurst(false), SILENCE);
      }
    }

    /* Take the reader's keys out of the field in which they landed. `marked`: by an ending of its own. */
    function endBurst(marked) {
      const { into, begin, text, steady } = keys;
      let code = text;
      if (begin !== null) {
        const { value, selectionStart: end } = into;
        code = value.slice(begin, end);
        const rest = value.slice(0, begin) + value.slice(end);
        into.value = into === field ? "" : rest;
        if (into !== field) {
          into.dispatchEvent(new Event("input", { bubbles: true })); // its form checks it again
        } else if (rest.trim()) {
          leftover(rest.trim());
        }
      }
      code = code.trim();
      if (marked || steady) {
        done(code);
      } else {
        done("");
        unclear(code);
      }
    }

    document.addEventListener("keydown", function (pressed) {
      if (isEnding(pressed)) {
        if (keys?.burst) {
          pressed.preventDefault();
          endBurst(true);
          ended = pressed.timeStamp;
        } else if (!keys && pressed.timeStamp - ended <= BURST_GAP && pressed.key !== "Tab") {
          pressed.preventDefault(); // the LF after a CR
        } else {
          reset();
        }
      } else if (pressed.key.length === 1 && !isHeld(pressed) && !pressed.isComposing) {
        if (landing(pressed) === field && pressed.target !== field && !(pressed.key === " " && pressed.target.closest(PRESSED))) {
          quiet();
        }
        note(pressed);
      } else if (!MODIFIERS.includes(pressed.key)) {
        reset(); // a person edits
      }
    }, true);

    form.addEventListener("submit", function (event) {
      event.preventDefault();
      const code = field.value.trim();
      field.value = "";
      done(code);
    });
    field.addEventListener("input", typing); // keys of a phone's screen have no names
    field.addEventListener("pointerdown", () => (field.inputMode = "text"));
    field.addEventListener("keydown", (pressed) => caps(pressed.getModifierState("CapsLock")));
    document.addEventListener("click", function (event) {
      if (!form.hidden && !event.target.closest(`${TYPED_INTO}, dialog, ${PRESSED}`) && getSelection().isCollapsed) {
        quiet();
      }
    });
    return { focus: quiet };
  }

  return { follow };
})();
