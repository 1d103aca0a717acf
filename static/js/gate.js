/* The gate's page: where it stands, and each scan from its reading to the answer. */
(function () {
  "use strict";

  const { at, button, counted, root } = dtvn.ui;
  const asking = dtvn.gateAsking;
  const showing = dtvn.gateShowing;
  const EVENTS = JSON.parse(document.getElementById("gate-events").textContent);
  const PLACE_KEY = "gate-place";
  const DEVICE_KEY = "gate-device";
  const AMBER_AFTER = 1000; // milliseconds without an answer; most answers take a tenth of it
  const setup = at("setup");
  const form = at("scan-form");

  let place = null; // {event, gate, device}, once it is chosen
  let current = null; // the scan that the large answer is about

  // --- where the page stands ---------------------------------------------------------------------

  /* The place that the address names, or that this browser chose last; its parts may be missing. */
  function wanted() {
    const named = Object.fromEntries(new URLSearchParams(location.search));
    const kept = showing.stored(PLACE_KEY) ?? {};
    const { event, gate } = named.event ? named : kept;
    return { event: event ?? "", gate: gate ?? "", device: deviceOf() };
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

  function choose(chosen) {
    place = chosen;
    showing.keep(PLACE_KEY, { event: place.event, gate: place.gate });
    showing.keep(DEVICE_KEY, place.device);
    history.replaceState(null, "", `?${new URLSearchParams({ event: place.event, gate: place.gate })}`);
    at("place-event").textContent = EVENTS.find((one) => one.slug === place.event)?.name ?? place.event;
    at("place-gate").textContent = `gate ${place.gate}`;
    setup.hidden = true;
    form.hidden = at("place").hidden = at("answer").hidden = false;
    reader.focus();
  }

  function ask({ event, gate, device }) {
    const { elements } = setup;
    if (event && ![...elements.event.options].some((one) => one.value === event) && isKnown(event)) {
      elements.event.add(new Option(event, event));
    }
    elements.event.value = event;
    elements.gate.value = gate;
    elements.device.value = device;
    at("setup-problem").hidden = !event || isKnown(event);
    at("setup-problem").textContent = `There is no event ${event} here: choose another one.`;
    setup.hidden = false;
    form.hidden = at("place").hidden = at("answer").hidden = true;
    (elements.event.value ? elements.gate : elements.event).focus();
  }

  setup.addEventListener("submit", function (event) {
    event.preventDefault();
    const { elements } = setup;
    choose({ event: elements.event.value, gate: elements.gate.value.trim(), device: elements.device.value.trim() });
  });
  at("place-change").addEventListener("click", () => ask(place));

  // --- scans -------------------------------------------------------------------------------------

  const rowOf = (scan, view) => ({
    nonce: scan.nonce, tone: view.tone, word: view.word, what: view.what, at: scan.at, open: false, buttons: null,
    more: view.pairs.filter(([name]) => name === "Product" || name === "Seat").map(([, value]) => value).join(", "),
  });

  function take(code) {
    const body = { event: place.event, barcode: code, gate: place.gate, device: place.device };
    const open = asking.same(root.dataset.admit, body);
    if (!open) {
      run(asking.begin(root.dataset.admit, body));
      return;
    }
    open.again = true; // the guest stands here, or again
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
      run(asking.begin(scan.path, fields(scan))); // a refusal of then; the guest is here now
    } else {
      finish(scan, told);
    }
  }

  const fields = ({ body: { nonce, ...rest } }) => rest;

  function finish(scan, told, more) {
    const view = showing.viewOf(told, scan, Date.now());
    const row = rowOf(scan, view);
    showing.list(more ? { ...row, more } : row);
    if (scan === current && !more) {
      scan.waits = false;
      showing.show(view);
    } else if (!more) {
      showing.say(`Earlier scan ${view.what}: ${view.word}`);
    }
    drawOpen();
  }

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
      ...(own ? [button("Ask again", () => run(scan), `Ask again about ${showing.endOf(scan.body.barcode)}`)] : []),
      button("Forget", () => drop(scan), `Forget ${showing.endOf(scan.body.barcode)}`),
    ];
    list(scan, "warn", "not decided", own ? "Is the guest still here?" : `only ${scan.actor} can ask`, acts);
    drawOpen();
  }

  function drop(scan) {
    asking.forget(scan);
    list(scan, "warn", "not decided", "forgotten", null, false);
    drawOpen();
  }

  function list(scan, tone, word, more = "", buttons = null, open = true) {
    showing.list({ nonce: scan.nonce, tone, word, what: showing.endOf(scan.body.barcode), more, at: scan.at, open, buttons });
  }

  function drawOpen() {
    const open = showing.rows().filter((one) => one.open && one.word !== "asking").length;
    at("open").hidden = open === 0;
    at("open").textContent = `${counted(open, "scan")} without an outcome: these guests wait, and are not refused.`;
    at("unstored").hidden = current === null || current.stored;
  }

  // --- the page ----------------------------------------------------------------------------------

  const reader = dtvn.gateReading.follow(form, at("code"), take, (isOn) => (at("caps").hidden = !isOn));
  const before = wanted();
  if (before.event && before.gate && isKnown(before.event)) {
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
  showing.drawLast();
  dtvn.page = dtvn.ui.follow({});
})();
