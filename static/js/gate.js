/* The gate's page: each scan from its reading to the answer. */
(function () {
  "use strict";

  const { at, button, counted, root } = dtvn.ui;
  const answers = dtvn.gateAnswers;
  const asking = dtvn.scanAsking;
  const corrections = dtvn.gateCorrections;
  const places = dtvn.gatePlace;
  const showing = dtvn.gateShowing;
  const signals = dtvn.gateSignals;
  const REDRAW_EVERY = 30000; // milliseconds: what can no longer be undone offers it no more
  const TICK_EVERY = 1000; // milliseconds
  const LACK_EVERY = 10000; // milliseconds between two looks at the platform before the first scan
  const AMBER_AFTER = 1000; // milliseconds without an answer; most answers take a tenth of it
  const NO_ENDING =
    "The reader sent two codes without an end between them, or paused within one. Set it to end each code with Enter, then scan again.";
  const WAITING = { tone: "warn", word: "Wait", sentence: "It is asked again by itself" };
  const READY = { tone: "idle", word: "Ready", what: "", sentence: "", pairs: [] };
  const form = at("scan-form");

  let leaving = false; // whether scans are exits
  let special = ""; // "look": the next scan only looks a ticket up; "test": scans are tests; "": neither
  let current = null; // the scan, or the look-up, that the large answer is about
  let put = []; // codes that wait for the answer to a question: [{code, nonce}]

  // --- what a scan is ----------------------------------------------------------------------------

  at("leaving").addEventListener("click", () => setMode(!leaving, ""));
  at("testing").addEventListener("click", () => setMode(leaving, special === "test" ? "" : "test"));
  at("looking")?.addEventListener("click", () => setMode(leaving, special === "look" ? "" : "look"));

  /* What the next scan is. */
  function setMode(exits, next) {
    pass();
    if (exits !== leaving) {
      dtvn.gateGuests.close(); // who may come in is not who may leave
    }
    [leaving, special] = [exits, next];
    at("leaving").setAttribute("aria-pressed", leaving);
    at("testing").setAttribute("aria-pressed", special === "test");
    at("looking")?.setAttribute("aria-pressed", special === "look");
    at("code-label").textContent = { look: "Look up", test: "Test" }[special] ?? (leaving ? "Exit" : "Code");
    form.classList.toggle("exit", leaving && !special);
    form.classList.toggle("look", special !== "");
    reader.focus();
  }

  /* The answer belongs to the guest before, and so does one that is still to come. */
  function pass() {
    if (current) {
      current.passed = true;
    }
    showing.age();
  }

  function begin(place) {
    signals.setScanning(true);
    reader.focus();
    sayReady(place);
  }

  /* Say whether the platform is reached, until the first scan at this place. */
  async function sayReady(place) {
    const lack = await places.lack();
    if (current !== null || places.now() !== place) {
      return;
    }
    const isFirst = !showing.rows().some((one) => new Date(one.at).toDateString() === new Date().toDateString());
    const next = isFirst ? "Before the first guest, press Test and scan a ticket: a test admits nobody." : "";
    const ready = { ...READY, sentence: `The platform answers. ${next}`.trim() };
    showing.draw(lack ? { ...ready, tone: "warn", word: "Not ready", sentence: lack } : ready, { stays: true });
    setTimeout(() => sayReady(place), LACK_EVERY);
  }

  // --- scans -------------------------------------------------------------------------------------

  function rowOf(scan, view) {
    const { Name: name, Product: product, Seat: seat } = Object.fromEntries(view.pairs);
    return {
      nonce: scan.nonce, actor: scan.actor, tone: view.tone, word: view.word, what: view.what, at: scan.at, open: false, buttons: null,
      name, about: [product, seat].filter(Boolean).join(", "), more: "",
    };
  }

  function take(code) {
    if (at("confirm").open) {
      putOff(code);
    } else if (form.hidden) {
      places.warn("A code was read, and nothing was asked: choose where you scan, then scan it again.");
      signals.give("warn");
    } else if (special === "test") {
      corrections.test(code);
    } else if (special === "look") {
      setMode(leaving, ""); // one ticket: the guest behind is scanned
      corrections.lookUp(code);
    } else {
      scan(code);
    }
  }

  /* An admission of a ticket, or its exit, by `barcode` or `ticket_id`, on the list of this place. */
  function admissionOf(ticket) {
    const { event, list, gate, device } = places.now();
    return { event, ...ticket, gate, device, ...(list === places.MAIN ? {} : { list }), ...(leaving ? { kind: "exit" } : {}) };
  }

  /* Ask about a code. */
  function scan(barcode) {
    const body = admissionOf({ barcode });
    const open = asking.same(root.dataset.admit, body);
    if (!open) {
      run(asking.begin(root.dataset.admit, body));
      return;
    }
    open.again = true; // the guest stands here, or again
    resume(open);
  }

  /* Show an open scan again, and ask about it if nobody does. */
  function resume(open) {
    open.passed = false;
    if (!open.runs) {
      run(open);
      return;
    }
    current = open;
    wait(open, { outcome: "unknown", whose: "network", message: "" });
  }

  /* Ask about a scan until its outcome is known, and show that, unless an act on several tickets (`isPart`) shows it. */
  async function run(scan, isPart = false) {
    scan.isPart = isPart;
    if (!isPart) {
      current = scan;
      scan.passed = false;
      showing.asking(answers.nameOf(scan));
    }
    scan.runs = true;
    list(scan, "idle", "asking");
    const amber = setTimeout(() => wait(scan, { outcome: "unknown", whose: "network", message: "" }), AMBER_AFTER);
    const told = await asking.settle(scan, function (unknown) {
      clearTimeout(amber);
      wait(scan, unknown);
    });
    clearTimeout(amber);
    scan.runs = false;
    if (told === null) {
      leave(scan);
    } else if (told.outcome === "refused" && scan.again) {
      finish(scan, told, "refused then; asked anew");
      return run(asking.begin(scan.path, withoutNonce(scan))); // a refusal of then; the guest is here now
    } else {
      finish(scan, told);
    }
    return told;
  }

  const withoutNonce = ({ body: { nonce, ...rest } }) => rest;

  function finish(scan, told, more) {
    const view = answers.viewOf(told, scan, Date.now());
    const row = rowOf(scan, view);
    showing.list(more ? { ...row, more } : { ...row, undo: corrections.undoOf(scan, told) });
    if (scan.undoes && answers.isDone(told)) {
      corrections.markUndone(scan.undoes);
    }
    const isShown = scan === current && !more;
    scan.waits = scan.waits && !isShown;
    if (isHere(scan) && isShown) {
      showing.show(view);
    } else if (!more && !scan.isPart) {
      if (isShown) {
        showing.draw(view, { old: true }); // the next guest's code is being typed
      }
      showing.say(`Earlier scan ${view.what}: ${view.word}`);
    }
    drawOpen();
  }

  /* Whether the guests of a scan, or of an act, are those who stand here. */
  const isHere = (asked) => asked === current && !asked.passed;

  // --- several tickets in one act ------------------------------------------------------------------

  /* Ask about tickets that were found by name, [{id, name, persons}], and show one answer with each of theirs. */
  async function admitAll(tickets) {
    const act = { body: { barcode: "" }, stored: true }; // each ticket's scan is stored by itself
    const past = leaving ? "let out" : "admitted";
    current = act;
    showing.asking(counted(tickets.length, "ticket"));
    const each = tickets.flatMap(({ name, persons = 1 }) =>
      Array.from({ length: persons }, (_, before) => ({ name: persons > 1 ? `${name}, person ${before + 1} of ${persons}` : name, ...WAITING })));
    let begun = 0;
    const amber = setTimeout(() => isHere(act) && showing.show(answers.viewOfAll(each, past), { stays: true }), AMBER_AFTER);
    await Promise.all(tickets.map(async function ({ id, persons = 1 }) {
      const first = begun;
      begun += persons;
      for (let place = first; place < first + persons; place += 1) { // one after another: two open scans of a ticket are one
        const body = admissionOf({ ticket_id: id });
        const open = asking.same(root.dataset.admit, body);
        const scan = open ?? asking.begin(root.dataset.admit, body);
        const told = open?.runs ? null : await run(scan, true); // one that is asked already is told by itself
        if (!told) {
          return;
        }
        each[place] = { name: each[place].name, ...answers.viewOf(told, scan, Date.now()) };
      }
    }));
    clearTimeout(amber);
    if (isHere(act)) {
      showing.show(answers.viewOfAll(each, past));
    } else if (current === act) {
      showing.draw(answers.viewOfAll(each, past), { old: true });
    }
  }

  // --- codes that are not asked ------------------------------------------------------------------

  function listUnasked(code, more) {
    const nonce = asking.fresh();
    showing.list({ nonce, tone: "warn", word: "not asked", what: answers.nameOf({ body: { barcode: code } }), more, at: Date.now(), open: false });
    return nonce;
  }

  /* A code that was read while a question is open is taken after it. */
  function putOff(code) {
    pass();
    put.push({ code, nonce: listUnasked(code, "read while a question was open") });
    at("confirm-waits").textContent = `${counted(put.length, "scan")} made meanwhile: asked as soon as you have answered.`;
    signals.give("warn");
  }

  at("confirm").addEventListener("close", function () {
    const waiting = put;
    put = [];
    at("confirm-waits").textContent = "";
    for (const { code, nonce } of waiting) {
      showing.remove(nonce);
      take(code);
    }
  });

  /* Perhaps two codes in one. */
  function refuseUnclear(code) {
    listUnasked(code, "perhaps two codes");
    current = { body: { barcode: code }, stored: true };
    showing.show({ tone: "warn", word: "Scan again", what: "", sentence: NO_ENDING, pairs: [] });
  }

  // --- scans whose outcome is not known ----------------------------------------------------------

  function wait(scan, told) {
    const first = !scan.waits || scan.said !== told.message;
    scan.waits = true;
    scan.said = told.message;
    list(scan, "warn", "waiting");
    if (isHere(scan) && first) {
      showing.show(answers.viewOf(told, scan, Date.now()), { stays: true });
    }
    drawOpen();
  }

  /* Nobody asks about this scan by itself any more: its guest may be gone. */
  function leave(scan) {
    const own = asking.isOwn(scan);
    const name = answers.nameOf(scan);
    const acts = () => [
      ...(own ? [button("Ask again", () => run(scan), `Ask again about ${name}`)] : []),
      button("Forget", () => drop(scan), `Forget ${name}`),
    ];
    list(scan, "warn", "not decided", own ? "Is the guest still here?" : `only ${scan.actor} can ask`, acts);
    if (scan === current) {
      const sentence = "This scan is no longer asked again by itself: ask again, or forget it, among the last scans.";
      showing.show({ tone: "warn", word: "Not decided", what: name, sentence, pairs: [] });
    }
    drawOpen();
  }

  function drop(scan) {
    asking.forget(scan);
    list(scan, "warn", "not decided", "forgotten", null, false);
    drawOpen();
  }

  function list(scan, tone, word, more = "", buttons = null, open = true) {
    showing.list({ nonce: scan.nonce, tone, word, what: answers.nameOf(scan), more, at: scan.at, open, buttons });
  }

  function drawOpen() {
    const open = showing.rows().filter((one) => one.open && one.word !== "asking").length;
    at("open").hidden = open === 0;
    at("open").textContent = `${counted(open, "scan")} without an outcome: these guests wait, and are not refused.`;
    at("unstored").hidden = current === null || current.stored;
  }

  // --- the page ----------------------------------------------------------------------------------

  const reader = dtvn.gateReading.follow(form, at("code"), {
    take,
    typing: pass,
    unclear: refuseUnclear,
    leftover: (text) => listUnasked(text, "typed before a code was read"),
    caps: (isOn) => (at("caps").hidden = !isOn),
  });
  corrections.follow({ run, resume, place: places.now, focus: () => reader.focus(), show: (look) => (current = look), current: () => current });
  dtvn.gateGuests.follow({ admit: admitAll, place: places.now, leaves: () => leaving, focus: () => reader.focus() });
  at("place-change").addEventListener("click", function () {
    current = null; // an answer that is still to come is of another place
    showing.draw(READY);
    signals.setScanning(false);
    dtvn.gateGuests.close();
    places.ask(places.now());
  });
  places.begin(begin);
  for (const row of showing.rows().filter((one) => one.open)) { // settled meanwhile, unless it is among those left
    showing.list({ ...row, word: "answered elsewhere", more: "", open: false });
  }
  for (const scan of asking.left()) {
    if (asking.isOwn(scan) && !asking.isLate(scan)) {
      run(scan);
    } else {
      leave(scan);
    }
  }
  setInterval(showing.drawLast, REDRAW_EVERY);
  setInterval(showing.tick, TICK_EVERY);
  dtvn.page = dtvn.ui.follow({ onLive: dtvn.gateLogin.onLive });
})();
