/* What was decided about a scan, in the words, the colour and the facts that a person at a gate is shown. */
dtvn.gateAnswers = (function () {
  "use strict";

  const { root } = dtvn.ui;
  const { reasons } = JSON.parse(document.getElementById("words").textContent);
  const CODE_END = 4; // characters of a code that are shown: a whole code could be printed
  const FORCEABLE = ["already_consumed", "list_closed", "list_full", "no_longer_valid", "not_yet_valid", "still_inside", "wrong_product"];
  const ANNULLABLE = ["already_consumed", "not_inside", "not_the_newest", "still_inside", "too_late_to_annul"]; // by a supervisor
  const ANNULLABLE_ONCE_ENTERED = ["blocked", "revoked", "wrong_product"]; // the guest may be inside since before
  const MOVED_MEANWHILE = "The ticket entered or left elsewhere meanwhile, or has nothing to annul: look it up again.";
  const MOVED_SINCE = "The ticket entered or left since, or this was taken back already: nothing is changed.";
  const MADE_UP = /^t-[0-9a-f]{20}$/; // ids that an import made from codes
  const TWICE_WITHIN = 15000; // milliseconds between two readings of one guest's code
  const { LOGIN_ENDED } = dtvn.scanAsking;

  const shortTime = (text) => text.slice(11, 16);
  /* What a scan is called by: an id that the import made up is no name for anybody, so the end of the code is. */
  const whatOf = (told, scan) => (MADE_UP.test(told.ticket_id ?? "") ? endOf(scan.body.barcode ?? "") : told.ticket_id ?? nameOf(scan));
  const nameOf = ({ body }) => body.ticket_id ?? endOf(body.barcode);
  const endOf = (code) => (code.length > CODE_END ? `…${code.slice(-CODE_END)}` : code);

  /* "12:03" today, else "2026-08-01 12:03", on the clocks of the event. */
  function momentOf(text, now) {
    const offset = /([+-])(\d\d):(\d\d)$/.exec(text);
    const ahead = offset ? Number(`${offset[1]}1`) * (Number(offset[2]) * 60 + Number(offset[3])) * 60000 : 0;
    const today = new Date(now + ahead).toISOString().slice(0, 10);
    return text.startsWith(today) ? shortTime(text) : `${text.slice(0, 10)} ${shortTime(text)}`;
  }

  function entryOf(entry, now) {
    const where = [entry.gate && `gate ${entry.gate}`, entry.device].filter(Boolean).join(", ");
    return [entry.at ? momentOf(entry.at, now) : "at a time that is not known", where].filter(Boolean).join(" at ");
  }

  /* Was the ticket admitted by this very device a moment ago? Then its code was probably read twice. */
  function wasReadTwice(told, scan, now) {
    const { gate, device, at: moment } = told.last_entry ?? {};
    const own = gate === scan.body.gate && device === scan.body.device;
    return told.code === "already_consumed" && own && now - Date.parse(moment) < TWICE_WITHIN;
  }

  function entriesOf({ entries_used: used, entries_allowed: allowed }) {
    return (used ?? null) === null ? "" : `${used} of ${allowed ?? "any number"}`;
  }

  const isDone = (told) => told.whose === null && (told.outcome === "admitted" || told.outcome === "done");

  /* [tone, the one word, the sentence] of an answer to an undo, or to a supervisor's annulment. */
  function undoneOf(told, { body: { supervised } }) {
    if (isDone(told)) {
      return ["idle", supervised ? "Annulled" : "Undone", "It does not count any more: the guest is where the guest was before."];
    }
    if (told.whose === "network") {
      return ["warn", "Wait", "This is asked again by itself."];
    }
    const moved = told.code === "not_the_newest";
    const sentence = supervised ? MOVED_MEANWHILE : MOVED_SINCE;
    return ["warn", supervised ? "Not annulled" : "Not undone", moved ? sentence : told.message];
  }

  /* [tone, the one word, the sentence] of an answer to a scan. */
  function headOf(told, scan) {
    if (scan.body.kind === "exit" && isDone(told)) {
      return ["ok", "Goodbye", "The exit is recorded."];
    }
    if (told.whose === null && told.outcome === "admitted") {
      return ["ok", "Admitted", scan.path === root.dataset.force ? "Against the rules of the list, for the reason given." : ""];
    }
    if (told.keyboard) {
      return ["warn", "Wrong keyboard", `${told.keyboard} Nothing is said about the guest.`];
    }
    if (told.code === "not_inside") {
      return ["warn", "Not inside", "No entry of this ticket is open here, so no exit is recorded. The guest may leave."];
    }
    if (told.whose === "guest") {
      const more = told.code === "blocked" && told.block_reason ? `: ${told.block_reason}` : "";
      return ["bad", "Refused", `${(reasons[told.code] ?? told.message).replace(/\.$/, "")}${more}.`];
    }
    if (told.code === LOGIN_ENDED) {
      return ["warn", "byLink" in root.dataset ? "Link ended" : "Sign in again", `The guest waits here. ${told.message}`];
    }
    if (told.whose === "network") {
      return ["warn", "Wait", `The guest waits here. This scan is asked again by itself. ${told.message}`.trim()];
    }
    const word = told.hint ? "Check the gate" : "Call the office";
    return ["warn", word, `${told.message} This says nothing about the guest.`];
  }

  const isAnnullable = (told) => ANNULLABLE.includes(told.code) || (told.last_entry && ANNULLABLE_ONCE_ENTERED.includes(told.code));

  /* What is shown of an answer to a scan. */
  function viewOf(told, scan, now) {
    const [tone, word, sentence] = scan.path === root.dataset.annul ? undoneOf(told, scan) : headOf(told, scan);
    const admitted = tone === "ok" && scan.body.kind !== "exit";
    const pairs = [
      ["Product", told.product],
      ["Seat", told.seat],
      ["Name", told.holder],
      ["Entries", entriesOf(told)],
      ["Last entry", !admitted && told.last_entry && entryOf(told.last_entry, now)],
      ["Valid from", told.code === "not_yet_valid" && told.valid_from && momentOf(told.valid_from, now)],
      ["Valid until", told.code === "no_longer_valid" && told.valid_until && momentOf(told.valid_until, now)],
      ["Perhaps", wasReadTwice(told, scan, now) && "read twice: this device admitted it just now"],
      ["Perhaps", told.whose === "guest" && told.hint],
    ];
    return {
      tone, word, sentence,
      what: whatOf(told, scan),
      pairs: pairs.filter(([, value]) => value),
      ticket: told.ticket_id ?? "",
      forceable: tone === "bad" && FORCEABLE.includes(told.code) && scan.body.kind !== "exit",
      annuls: tone !== "ok" && isAnnullable(told) ? told.ticket_id ?? "" : "",
    };
  }

  /* What is shown of several tickets that were admitted in one act, or let out (`past`): green only if each one was. */
  function viewOfAll(each, past) {
    const done = each.filter(({ tone }) => tone === "ok").length;
    const tone = done === each.length ? "ok" : each.every((one) => one.tone === "bad") ? "bad" : "warn";
    return { tone, word: `${done} of ${each.length} ${past}`, what: "", sentence: "", pairs: [], each };
  }

  return { entryOf, isDone, nameOf, viewOf, viewOfAll };
})();
