/* The gate's page: where it stands, and each scan from its reading to the answer. */
(function () {
  "use strict";

  const { at, button, counted, root } = dtvn.ui;
  const asking = dtvn.scanAsking;
  const corrections = dtvn.gateCorrections;
  const showing = dtvn.gateShowing;
  const EVENTS = JSON.parse(document.getElementById("gate-events").textContent);
  const PLACE_KEY = "gate-place";
  const DEVICE_KEY = "gate-device";
  const MAIN = "main";
  const REDRAW_EVERY = 30000; // milliseconds: what can no longer be undone offers it no more
  const AMBER_AFTER = 1000; // milliseconds without an answer; most answers take a tenth of it
  const setup = at("setup");
  const form = at("scan-form");

  let place = null; // {event, list, gate, device}, once it is chosen
  let leaving = false; // whether scans are exits
  let looking = false; // whether the next scan only looks a ticket up
  let current = null; // the scan, or the look-up, that the large answer is about

  // --- where the page stands ---------------------------------------------------------------------

  /* The place that the address names, or that this browser chose last; its parts may be missing. */
  function wanted() {
    const named = Object.fromEntries(new URLSearchParams(location.search));
    const kept = showing.stored(PLACE_KEY) ?? {};
    const { event, list, gate } = named.event ? named : kept;
    return { event: event ?? "", list: list ?? MAIN, gate: gate ?? "", device: deviceOf() };
  }

  /* This browser's name in the log. */
  function deviceOf() {
    const kept = showing.stored(DEVICE_KEY);
    const device = kept ?? `web-${crypto.getRandomValues(new Uint16Array(1))[0].toString(16).padStart(4, "0")}`;
    if (kept === null) {
      showing.keep(DEVICE_KEY, device);
    }
    return device;
  }

  const isKnown = (event) => EVENTS.length === 0 || EVENTS.some((one) => one.slug === event); // none: they cannot be read now
  const listsOf = (event) => EVENTS.find((one) => one.slug === event)?.lists ?? [];
  const mayMain = (event) => EVENTS.find((one) => one.slug === event)?.main ?? true; // a login may be for other lists only
  const hasList = ({ event, list }) =>
    EVENTS.length === 0 || (list === MAIN && mayMain(event)) || listsOf(event).some((one) => one.slug === list);

  function choose(chosen) {
    place = chosen;
    const { event, list, gate } = place;
    showing.keep(PLACE_KEY, { event, list, gate });
    showing.keep(DEVICE_KEY, place.device);
    history.replaceState(null, "", `?${new URLSearchParams({ event, ...(list === MAIN ? {} : { list }), gate })}`);
    showing.setZone(EVENTS.find((one) => one.slug === event)?.zone);
    at("place-event").textContent = EVENTS.find((one) => one.slug === event)?.name ?? event;
    at("place-gate").textContent = [list === MAIN ? "" : nameOfList(place), `gate ${gate}`].filter(Boolean).join(", ");
    setup.hidden = true;
    form.hidden = at("place").hidden = at("answer").hidden = false;
    reader.focus();
  }

  const nameOfList = ({ event, list }) => listsOf(event).find((one) => one.slug === list)?.name || list;

  /* The lists of the event that is chosen; nothing to choose where there is only the main one. */
  function drawLists(list) {
    const { event, list: field } = setup.elements;
    const lists = listsOf(event.value).filter((one) => one.slug !== MAIN);
    const main = mayMain(event.value) ? [new Option("Main entrance", MAIN)] : [];
    field.replaceChildren(...main, ...lists.map((one) => new Option(one.name || one.slug, one.slug)));
    field.value = hasList({ event: event.value, list }) ? list : field.options[0]?.value ?? "";
    field.closest("label").hidden = lists.length === 0;
  }

  function ask({ event, list, gate, device }) {
    const { elements } = setup;
    if (event && ![...elements.event.options].some((one) => one.value === event) && isKnown(event)) {
      elements.event.add(new Option(event, event));
    }
    elements.event.value = event;
    drawLists(list);
    elements.gate.value = gate;
    elements.device.value = device;
    at("setup-problem").hidden = !event || (isKnown(event) && hasList({ event, list }));
    at("setup-problem").textContent = isKnown(event)
      ? `This event has no list ${list} for this login: choose another one.`
      : `There is no event ${event} here: choose another one.`;
    setup.hidden = false;
    form.hidden = at("place").hidden = at("answer").hidden = true;
    (elements.event.value ? elements.gate : elements.event).focus();
  }

  setup.addEventListener("submit", function (event) {
    event.preventDefault();
    const { elements } = setup;
    choose({ event: elements.event.value, list: elements.list.value || MAIN, gate: elements.gate.value.trim(), device: elements.device.value.trim() });
  });
  setup.elements.event.addEventListener("change", () => drawLists(MAIN));
  at("place-change").addEventListener("click", () => ask(place));
  at("leaving").addEventListener("click", () => setMode(!leaving, false));
  at("looking")?.addEventListener("click", () => setMode(leaving, !looking));

  /* What the next scan is. */
  function setMode(exits, looks) {
    [leaving, looking] = [exits, looks];
    at("leaving").setAttribute("aria-pressed", leaving);
    at("looking")?.setAttribute("aria-pressed", looking);
    at("code-label").textContent = looking ? "Look up" : leaving ? "Exit" : "Code";
    form.classList.toggle("exit", leaving && !looking);
    form.classList.toggle("look", looking);
    reader.focus();
  }

  // --- scans -------------------------------------------------------------------------------------

  const rowOf = (scan, view) => ({
    nonce: scan.nonce, actor: scan.actor, tone: view.tone, word: view.word, what: view.what, at: scan.at, open: false, buttons: null,
    more: view.pairs.filter(([name]) => name === "Product" || name === "Seat").map(([, value]) => value).join(", "),
  });

  function take(code) {
    if (looking) {
      setMode(leaving, false); // one ticket: the guest behind is scanned
      corrections.lookUp(code);
      return;
    }
    const { event, list, gate, device } = place;
    const body = { event, barcode: code, gate, device, ...(list === MAIN ? {} : { list }), ...(leaving ? { kind: "exit" } : {}) };
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
    if (open.runs) {
      current = open;
      wait(open, { outcome: "unknown", whose: "network", message: "" });
    } else {
      run(open);
    }
  }

  /* Ask about a scan until its outcome is known, and show that. */
  async function run(scan) {
    current = scan;
    scan.runs = true;
    showing.asking(scan);
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
      run(asking.begin(scan.path, withoutNonce(scan))); // a refusal of then; the guest is here now
    } else {
      finish(scan, told);
    }
  }

  const withoutNonce = ({ body: { nonce, ...rest } }) => rest;

  function finish(scan, told, more) {
    const view = showing.viewOf(told, scan, Date.now());
    const row = rowOf(scan, view);
    showing.list(more ? { ...row, more } : { ...row, undo: corrections.undoOf(scan, told) });
    if (scan.undoes && showing.isDone(told)) {
      corrections.markUndone(scan.undoes);
    }
    if (scan === current && !more) {
      scan.waits = false;
      showing.show(view);
    } else if (!more) {
      showing.say(`Earlier scan ${view.what}: ${view.word}`);
    }
    drawOpen();
  }

  // --- scans whose outcome is not known ----------------------------------------------------------

  function wait(scan, told) {
    const first = !scan.waits || scan.said !== told.message;
    scan.waits = true;
    scan.said = told.message;
    list(scan, "warn", "waiting");
    if (scan === current && first) {
      showing.show(showing.viewOf(told, scan, Date.now()));
    }
    drawOpen();
  }

  /* Nobody asks about this scan by itself any more: its guest may be gone. */
  function leave(scan) {
    const own = asking.isOwn(scan);
    const acts = () => [
      ...(own ? [button("Ask again", () => run(scan), `Ask again about ${showing.nameOf(scan)}`)] : []),
      button("Forget", () => drop(scan), `Forget ${showing.nameOf(scan)}`),
    ];
    list(scan, "warn", "not decided", own ? "Is the guest still here?" : `only ${scan.actor} can ask`, acts);
    if (scan === current) {
      const sentence = "This scan is no longer asked again by itself: ask again, or forget it, among the last scans.";
      showing.show({ tone: "warn", word: "Not decided", what: showing.nameOf(scan), sentence, pairs: [] });
    }
    drawOpen();
  }

  function drop(scan) {
    asking.forget(scan);
    list(scan, "warn", "not decided", "forgotten", null, false);
    drawOpen();
  }

  function list(scan, tone, word, more = "", buttons = null, open = true) {
    showing.list({ nonce: scan.nonce, tone, word, what: showing.nameOf(scan), more, at: scan.at, open, buttons });
  }

  function drawOpen() {
    const open = showing.rows().filter((one) => one.open && one.word !== "asking").length;
    at("open").hidden = open === 0;
    at("open").textContent = `${counted(open, "scan")} without an outcome: these guests wait, and are not refused.`;
    at("unstored").hidden = current === null || current.stored;
  }

  // --- the page ----------------------------------------------------------------------------------

  const reader = dtvn.gateReading.follow(form, at("code"), take, (isOn) => (at("caps").hidden = !isOn));
  corrections.follow({ run, resume, place: () => place, focus: () => reader.focus(), show: (look) => (current = look), current: () => current });
  const before = wanted();
  if (before.event && before.gate && isKnown(before.event) && hasList(before)) {
    choose(before);
  } else {
    ask(before);
  }
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
  dtvn.page = dtvn.ui.follow({});
})();
