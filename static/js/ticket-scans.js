/*
 * Codes typed or scanned into the field of the tickets page, each ended by Enter: every one is an admission without
 * a question, one after the other. A barcode reader does not wait, so the field is free at once.
 */
dtvn.ticketScans = (function () {
  "use strict";

  const { call, say } = dtvn.ui;
  const { ACTS, tell } = dtvn.ticketActs;
  const NONCE_BYTES = 16;
  const NO_ANSWER = "No answer from the platform: scan this code again.";
  const KNOWN = ["admitted", "refused"];
  const open = new Map(); // [event, code] as JSON -> nonce of a scan whose outcome is not known: the next one continues it
  let last = Promise.resolve(); // the scan that was taken last

  const fresh = () => [...crypto.getRandomValues(new Uint8Array(NONCE_BYTES))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  /* The answer to one request; without one, nobody knows the outcome. */
  async function asked(event, barcode, nonce) {
    try {
      return await call("POST", ACTS.admit.path, { event, barcode, nonce });
    } catch (error) {
      const message = error.status ? error.message : NO_ANSWER;
      return error.content?.outcome ? { ...error.content, message } : { outcome: "unknown", code: "", message };
    }
  }

  async function scan(event, code) {
    const key = JSON.stringify([event, code]);
    const resumed = open.has(key);
    open.set(key, open.get(key) ?? fresh());
    let told = await asked(event, code, open.get(key));
    if (resumed && told.outcome === "refused") { // a refusal of then; the guest is here now
      open.set(key, fresh());
      told = await asked(event, code, open.get(key));
    }
    if (KNOWN.includes(told.outcome)) {
      open.delete(key);
    }
    tell("admit", told, told.message);
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
