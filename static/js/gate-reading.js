/*
 * Reads scans: codes that a person types, or a barcode reader that poses as a keyboard, each ended by Enter. A reader
 * does not wait and does not look where the focus is, so what it types goes into the field from everywhere.
 */
dtvn.gateReading = (function () {
  "use strict";

  const TYPED_INTO = "input, select, textarea, dialog";
  const PRESSED = "button, a, summary, label";

  /* Call `take(code)` for each code that is read into the field of the form; `caps(isOn)`: Caps Lock was seen. */
  function follow(form, field, take, caps) {
    const touch = matchMedia("(pointer: coarse)").matches;

    /* On a phone the keyboard of the screen covers the answer: it comes when a person taps the field. */
    function quiet() {
      if (touch) {
        field.inputMode = "none";
      }
      field.focus({ preventScroll: true });
    }

    form.addEventListener("submit", function (event) {
      event.preventDefault();
      const code = field.value.trim();
      field.value = "";
      if (touch) {
        field.blur();
      }
      quiet();
      if (code) {
        take(code);
      }
    });
    field.addEventListener("pointerdown", () => (field.inputMode = "text"));
    field.addEventListener("keydown", (pressed) => caps(pressed.getModifierState("CapsLock")));
    document.addEventListener("keydown", function (pressed) {
      const held = pressed.ctrlKey || pressed.metaKey || pressed.altKey;
      const space = pressed.key === " " && pressed.target.closest(PRESSED);
      if (pressed.key.length === 1 && !held && !space && !form.hidden && !pressed.target.closest(TYPED_INTO)) {
        quiet();
      }
    });
    document.addEventListener("click", function (event) {
      if (!form.hidden && !event.target.closest(`${TYPED_INTO}, ${PRESSED}`) && getSelection().isCollapsed) {
        quiet();
      }
    });
    return { focus: quiet };
  }

  return { follow };
})();
