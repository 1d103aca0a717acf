/*
 * Corrections at a gate. The person who made a scan can undo it. A supervisor can let somebody in against the rules of a list, and
 * can annul the newest entry or exit of a ticket, no matter who made it or when; both need a reason.
 */
dtvn.gateCorrections = (function () {
  "use strict";

  const { at, ask: question, button, call, make, root } = dtvn.ui;
  const answers = dtvn.gateAnswers;
  const asking = dtvn.scanAsking;
  const showing = dtvn.gateShowing;
  const MAIN = "main";
  const UNDO_WITHIN = 15 * 60000; // milliseconds; the log has the same rule, by its own time
  const REASON_MAX = Number(root.dataset.reasonMax);
  const SUPERVISES = root.dataset.force !== "";
  const FOUND_WITHIN = 10000; // milliseconds for which a look-up may take
  const [BAD_REQUEST, NOT_FOUND] = [400, 404];
  const MADE = { entry: "Last entry", exit: "Last exit" };

  let gate = null; // of the page: {run, resume, place, focus, show, current}

  // --- what can be taken back --------------------------------------------------------------------

  /* What takes back what this scan did, null if it did nothing or takes back itself. */
  function undoOf(scan, told) {
    if (scan.path === root.dataset.annul || !answers.isDone(told) || !told.ticket_id) {
      return null;
    }
    const { event, list, gate: name, device } = scan.body;
    return { event, ticket_id: told.ticket_id, gate: name, device, ...(list ? { list } : {}), movement: scan.nonce };
  }

  const movesSame = (one, other) => one.event === other.event && one.list === other.list && one.ticket_id === other.ticket_id;

  /* The newest of the last scans that moved the ticket of `moved` on its list. */
  const newestOf = (moved) => showing.rows().find((one) => one.undo && movesSame(one.undo, moved));

  /* Only a ticket's newest entry or exit on the list: that is what is taken back. */
  function buttonsOf(row) {
    if (!row.undo || row.open || newestOf(row.undo).nonce !== row.nonce) {
      return [];
    }
    if (row.actor === root.dataset.actor && Date.now() - row.at <= UNDO_WITHIN) {
      return [button("Undo", () => undo(row), `Undo ${row.word} ${row.what}`)];
    }
    return SUPERVISES ? [button("Annul", () => annul(row.undo), `Annul ${row.word} ${row.what}`)] : [];
  }

  function markUndone(nonce) {
    const row = showing.rows().find((one) => one.nonce === nonce);
    if (row) {
      showing.list({ ...row, word: "Undone", tone: "idle", undo: null });
    }
  }

  async function undo(row) {
    const then = row.word === "Goodbye" ? "the guest is inside again" : "the ticket can enter again";
    const text = `It does not count any more, and ${then}. The log keeps both.`;
    if (await question(`Undo ${row.word.toLowerCase()}: ${showing.titleOf(row)}?`, () => text, "Undo")) {
      gate.run(asking.same(root.dataset.annul, row.undo) ?? asking.begin(root.dataset.annul, row.undo, row.nonce));
    }
    gate.focus();
  }

  // --- what a supervisor may do ------------------------------------------------------------------

  /* [label, its field] of the reason, without which the dialog does not close. */
  function reasonField() {
    const label = make("label", "", "Reason, kept in the log for ever: no personal data");
    const field = make("input");
    Object.assign(field, { type: "text", required: true, maxLength: REASON_MAX, autocomplete: "off" });
    const check = () => field.setCustomValidity(field.value.trim() ? "" : "Give a reason: without one nothing is done.");
    field.addEventListener("input", check);
    check();
    label.append(field);
    return [label, field];
  }

  /* Let the guest in of the scan that is shown as refused. */
  async function force() {
    const refused = gate.current();
    const [label, reason] = reasonField();
    const text = "The guest enters against the rules of the list. It is recorded with your name and the reason.";
    if (await question("Let in all the same?", () => text, "Let in", [label])) {
      const { event, barcode, list, gate: name, device } = refused.body;
      const body = { event, barcode, gate: name, device, ...(list ? { list } : {}), reason: reason.value.trim() };
      gate.run(asking.begin(root.dataset.force, body));
    }
    gate.focus();
  }

  /* Take back the newest entry or exit of a ticket on a list, which is looked up first: the log compares its device. */
  async function annul({ event, ticket_id: id, list, gate: name }) {
    const open = asking.same(root.dataset.annul, { event, ticket_id: id, list });
    if (open) { // its outcome comes first: another one might take back an entry more
      gate.resume(open);
      return;
    }
    const ticket = await looked(id, () => named(event, id));
    const made = ticket && newestMade(ticket, list);
    if (ticket) {
      showing.show(viewOf(ticket, made));
    }
    if (made) {
      await confirmAnnul({ event, ticket_id: id, list }, made, name);
    }
    gate.focus();
  }

  async function confirmAnnul(moved, made, name) {
    const [label, reason] = reasonField();
    const was = `The newest ${made.kind} of ${moved.ticket_id}${made.forced ? ", which was forced" : ""}: ${answers.entryOf(made, Date.now())}.`;
    const text = `${was} It will not count any more. The log keeps both, your name and the reason.`;
    if (await question(`Annul this ${made.kind}?`, () => text, "Annul", [label])) {
      const row = newestOf(moved);
      const named = made.nonce ? { movement: made.nonce } : {}; // what was shown; a movement of old clients has none
      const body = { ...moved, gate: name, device: made.device, ...named, supervised: true, reason: reason.value.trim() };
      gate.run(asking.begin(root.dataset.annul, body, row?.nonce === made.nonce ? row.nonce : undefined));
    }
  }

  // --- a ticket that is looked up ----------------------------------------------------------------

  const signal = () => AbortSignal.timeout(FOUND_WITHIN);
  const named = (event, id) => call("GET", `/tickets/${encodeURIComponent(id)}?${new URLSearchParams({ event })}`, undefined, { signal: signal() });

  /* The ticket with this code, else with this id. */
  async function found(event, text) {
    try {
      return await call("POST", "/tickets/find", { event, barcode: text }, { signal: signal() });
    } catch (error) {
      if (error.status !== BAD_REQUEST && error.status !== NOT_FOUND) {
        throw error;
      }
      return named(event, text);
    }
  }

  /* The ticket that `find` gives; null if it gives none, which is shown, or if the next scan came meanwhile. */
  async function looked(text, find) {
    const look = { body: { barcode: text }, stored: true }; // nothing of it is to be kept
    gate.show(look);
    showing.asking(answers.nameOf(look));
    try {
      const ticket = await find();
      return gate.current() === look ? ticket : null;
    } catch (error) {
      if (gate.current() === look) {
        const unknown = error.status === NOT_FOUND;
        const sentence = unknown ? "No ticket of this event has this code or id." : `${error.status ? error.message : "The platform does not answer."} Look it up again.`;
        showing.show({ tone: "warn", word: unknown ? "Not found" : "Not looked up", what: answers.nameOf(look), sentence, pairs: [] });
      }
      return null;
    }
  }

  /* The newest movement of a ticket on a list that stands; null without one. */
  const newestMade = (ticket, list) => ticket.movements.find((one) => one.stands && one.list === (list ?? MAIN)) ?? null;

  function viewOf(ticket, made) {
    const sentence = made ? "Nothing is recorded by looking." : "It has no entry or exit on this list that could be annulled.";
    const pairs = [["Product", ticket.product], ["Seat", ticket.seat], [MADE[made?.kind], made && answers.entryOf(made, Date.now())]];
    return { tone: "idle", word: "Looked up", what: ticket.ID, ticket: ticket.ID, sentence, pairs: pairs.filter(([, value]) => value), annuls: made ? ticket.ID : "" };
  }

  /* Show what a ticket did last on the list of this place; nothing is recorded. `text`: a code, or the ticket's id. */
  async function lookUp(text) {
    const { event, list } = gate.place();
    const ticket = await looked(text, () => found(event, text));
    if (ticket) {
      showing.show(viewOf(ticket, newestMade(ticket, list)));
    }
  }

  // --- a test of the reader ----------------------------------------------------------------------

  /* Say what the reader sent, and whether it is a ticket; nobody is admitted. */
  async function test(code) {
    const { event } = gate.place();
    const letters = [...code];
    const sent = [["Sent", `${letters.length} characters`], ["First", letters[0]], ["Last", letters.at(-1)]];
    let tested; // {tone, sentence, pairs}
    const look = { body: { barcode: code }, stored: true };
    gate.show(look);
    showing.asking(answers.nameOf(look));
    try {
      const ticket = await call("POST", "/tickets/find", { event, barcode: code }, { signal: signal() });
      const kind = ticket.barcode_valid ? "This is a ticket of this event." : "This is a code that was replaced by another one.";
      const pairs = [["Ticket", ticket.ID], ["Product", ticket.product], ["Seat", ticket.seat]].filter(([, value]) => value);
      tested = { tone: ticket.barcode_valid ? "idle" : "warn", sentence: kind, pairs };
    } catch (error) {
      const { hint, keyboard } = error.content ?? {};
      const sentence = [error.message, keyboard ?? hint].filter(Boolean).join(" ");
      tested = { tone: "warn", sentence, pairs: [] };
    }
    if (gate.current() === look) {
      const sentence = `${tested.sentence} It was a test: nobody is admitted.`;
      showing.show({ tone: tested.tone, word: "Test", what: "", sentence, pairs: [...sent, ...tested.pairs] });
    }
  }

  /* Start with the page's functions. */
  function follow(page) {
    gate = page;
    at("force")?.addEventListener("click", force);
    at("annul")?.addEventListener("click", function () {
      const { event, list, gate: name } = gate.place();
      annul({ event, ticket_id: this.dataset.ticket, gate: name, ...(list === MAIN ? {} : { list }) });
    });
    showing.offer(buttonsOf);
  }

  return { follow, lookUp, markUndone, test, undoOf };
})();
