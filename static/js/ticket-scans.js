/*
 * Codes typed or scanned into the field of the tickets page, each ended by Enter: every one is an admission without
 * a question, asked as on the gate's page. A barcode reader does not wait, so the field is free at once.
 */
dtvn.ticketScans = (function () {
  "use strict";

  const { say } = dtvn.ui;
  const { ACTS, tell } = dtvn.ticketActs;
  const asking = dtvn.scanAsking;
  const WAITS = "The guest waits: this scan is asked again by itself.";

  let last = Promise.resolve(); // the scan that was taken last: answers stand in the order of the scans

  /* Resolves when something was told: the outcome, or that it is not known yet. */
  function scan(event, barcode) {
    const body = { event, barcode };
    if (asking.same(ACTS.admit.path, body)) {
      return null; // read again while it is asked
    }
    return new Promise(function (resolve, reject) {
      let waits = false;
      function wait(unknown) {
        if (!waits) {
          tell("admit", unknown, `${WAITS} ${unknown.message}`);
          resolve();
        }
        waits = true;
      }
      asking.settle(asking.begin(ACTS.admit.path, body), wait).then(function (told) {
        if (told) {
          tell("admit", told, told.message);
        }
        resolve();
      }, reject);
    });
  }

  /* Take what stands in the field at each Enter, for the event that is chosen then. */
  function follow(field, event) {
    field.addEventListener("keydown", function (pressed) {
      if (pressed.key !== "Enter" || pressed.isComposing) {
        return;
      }
      pressed.preventDefault();
      const [code, chosen] = [field.value.trim(), event.value];
      field.value = "";
      if (code) {
        say("");
        last = last.then(() => scan(chosen, code)).catch((error) => say(error.message, "bad"));
      }
    });
  }

  return { follow };
})();
