/*
 * Reads codes: typed by a person, or by a barcode reader that poses as a keyboard. A reader neither waits nor looks where
 * the focus is, so its keys are recognised by their speed and belong to the field wherever they land. A question has nothing
 * to type into but its fields, so there all keys beside them are a code, whatever their speed.
 */
dtvn.gateReading = (function () {
  "use strict";

  const TYPED_INTO = "input, select, textarea";
  const PRESSED = "button, a, summary, label";
  const MODIFIERS = ["Shift", "CapsLock", "AltGraph", "Control", "Alt", "Meta", "Dead", "NumLock", "Unidentified"];
  const BURST_KEYS = 6; // keys in a row that only a reader types so fast
  const BURST_GAP = 50; // most milliseconds between two of them
  const SILENCE = 300; // milliseconds that end a code after a burst, and part two codes
  const AFTER_END = 600; // milliseconds after a code in which an Enter is the rest of its ending, and answers no question

  const isHeld = (pressed) => (pressed.ctrlKey || pressed.metaKey || pressed.altKey) && !pressed.getModifierState("AltGraph");
  const isLineFeed = (pressed) => pressed.ctrlKey && (pressed.key === "j" || pressed.key === "m"); // as some readers send it
  const question = () => document.querySelector("dialog[open]"); // null: none is open
  const isEnding = (pressed) => pressed.key === "Enter" || (pressed.key === "Tab" && !pressed.shiftKey) || isLineFeed(pressed);

  /*
   * Read into the field of the form, and recognise a reader's codes in all other fields and dialogs.
   * take(code): one code was read. typing(): something was typed or pasted into the field, or beside the fields of a
   * question. unclear(code): a reader without an ending paused within this, so it may be two codes. leftover(text): this
   * was typed before a reader's code, or before a question was answered. caps(isOn): Caps Lock was seen.
   */
  function follow(form, field, { take, typing, unclear, leftover, caps }) {
    const touch = matchMedia("(pointer: coarse)").matches;
    let keys = null; // since the last pause: {into, aside, begin, text, part, row, burst, steady, last};
    // aside: beside the fields of a question; part: where in the text its last pause was
    let ended = -Infinity; // when the last key of the last code came, on the clock of key events
    let silence = null;
    let swallowed = false; // whether a space was a code's: some browsers press a button when it is released

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
      if (!question() && !form.hidden) {
        quiet();
      }
      if (code) {
        take(code);
      }
    }

    /* The element that a key types into, or the question that is open beside its fields; null for neither. */
    const landing = (pressed) => pressed.target.closest(TYPED_INTO) ?? question() ?? (form.hidden ? null : field);

    function begin(into) {
      if (keys?.aside) {
        leftover(keys.text); // a person went into a field of the question
      }
      const aside = into !== null && into === question();
      keys = { into, aside, begin: into?.selectionStart ?? null, text: "", part: 0, row: 0, burst: false, steady: true };
      if (aside) {
        typing();
      }
    }

    function note(pressed) {
      const into = landing(pressed);
      const gap = keys && keys.into === into ? pressed.timeStamp - keys.last : Infinity;
      if (gap === Infinity || (gap >= SILENCE && !keys.aside)) {
        begin(into);
      } else if (gap >= SILENCE) {
        keys.part = keys.text.length;
      }
      const fast = gap <= BURST_GAP && !pressed.repeat;
      keys.row = fast ? keys.row + 1 : 1;
      keys.burst ||= keys.row >= BURST_KEYS;
      keys.steady &&= fast || gap >= SILENCE;
      keys.text += pressed.key;
      keys.last = pressed.timeStamp;
      if (keys.part && keys.text.length - keys.part === keys.row && keys.row >= BURST_KEYS) {
        leftover(keys.text.slice(0, keys.part)); // a stray key, then a reader's code
        Object.assign(keys, { text: keys.text.slice(keys.part), part: 0, steady: true });
      }
      if ((fast || keys.aside) && pressed.key === " " && pressed.target.closest(PRESSED)) {
        pressed.preventDefault(); // a space of a code presses no button
        swallowed = true;
      }
      clearTimeout(silence);
      if (keys.burst) {
        silence = setTimeout(() => endCode(false), SILENCE);
      }
    }

    /* Take the reader's keys out of the field in which they landed. `marked`: by an ending of its own. */
    function endCode(marked) {
      const { into, begin: start, text, steady } = keys;
      let code = text;
      ended = keys.last;
      if (start !== null) {
        const { value, selectionStart: end } = into;
        code = value.slice(start, end);
        const rest = value.slice(0, start) + value.slice(end);
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
        if (keys?.burst || keys?.aside) {
          pressed.preventDefault();
          endCode(true);
          ended = pressed.timeStamp;
        } else if (!keys && pressed.timeStamp - ended <= (question() ? AFTER_END : BURST_GAP) && pressed.key !== "Tab") {
          pressed.preventDefault(); // the LF after a CR
        } else {
          reset();
        }
      } else if (pressed.key === " " && question() && !pressed.target.closest(TYPED_INTO) && !keys?.aside) {
        reset(); // a person presses a button
      } else if (pressed.key.length === 1 && !isHeld(pressed) && !pressed.isComposing) {
        if (landing(pressed) === field && pressed.target !== field && !(pressed.key === " " && pressed.target.closest(PRESSED))) {
          quiet();
        }
        note(pressed);
      } else if (!MODIFIERS.includes(pressed.key) && !keys?.aside) {
        reset(); // a person edits
      }
    }, true);

    document.addEventListener("keyup", function (released) {
      if (released.key === " " && swallowed) {
        released.preventDefault();
        swallowed = false;
      }
    }, true);

    /* A question ends while a reader types: the rest of its code comes into the field. */
    document.addEventListener("close", function (event) {
      if (keys?.into !== event.target) {
        return;
      }
      if (event.timeStamp - keys.last < SILENCE) {
        Object.assign(keys, { into: field, aside: false, begin: field.value.length });
        field.value += keys.text;
      } else {
        leftover(keys.text);
        reset();
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
