/* Where the page stands: the form that asks for event, list, gate and device, and what of it the browser and the address keep. */
dtvn.gatePlace = (function () {
  "use strict";

  const { at, fetchJson, root } = dtvn.ui;
  const kept = dtvn.gateKept;
  const showing = dtvn.gateShowing;
  const EVENTS = JSON.parse(document.getElementById("gate-events").textContent);
  const PLACE_KEY = "gate-place";
  const DEVICE_KEY = "gate-device";
  const MAIN = "main";
  const ALL_EVENTS = "*"; // value of the choice that brings the events behind the next ones
  const ANOTHER = "*"; // value of the choice of a gate that the event does not name
  const ANSWER_WITHIN = 5000; // milliseconds
  const setup = at("setup");
  const { elements } = setup;

  let place = null; // {event, list, gate, device}, once it is chosen
  let chosen = () => {}; // called with each place that is chosen

  // --- what is known of events -------------------------------------------------------------------

  const eventOf = (slug) => EVENTS.find((one) => one.slug === slug);
  const isKnown = (event) => EVENTS.length === 0 || eventOf(event) !== undefined; // none: they cannot be read now
  const listsOf = (event) => eventOf(event)?.lists ?? [];
  const mayMain = (event) => eventOf(event)?.main ?? true; // a login may be for other lists only
  const hasList = ({ event, list }) =>
    EVENTS.length === 0 || (list === MAIN && mayMain(event)) || listsOf(event).some((one) => one.slug === list);
  const nameOfList = ({ event, list }) => listsOf(event).find((one) => one.slug === list)?.name || list;

  /* The place that the address names, or that this browser chose last; its parts may be missing. */
  function wanted() {
    const named = Object.fromEntries(new URLSearchParams(location.search));
    const before = kept.read(PLACE_KEY) ?? {};
    const { event, list, gate } = named.event ? named : before;
    return { event: event ?? "", list: list ?? MAIN, gate: gate ?? "", device: deviceOf() };
  }

  /* This browser's name in the log. */
  function deviceOf() {
    const before = kept.read(DEVICE_KEY);
    const device = before ?? `web-${crypto.getRandomValues(new Uint16Array(1))[0].toString(16).padStart(4, "0")}`;
    if (before === null) {
      kept.write(DEVICE_KEY, device);
    }
    return device;
  }

  // --- choosing ----------------------------------------------------------------------------------

  function choose(next) {
    place = next;
    const { event, list, gate, device } = place;
    kept.write(PLACE_KEY, { event, list, gate });
    kept.write(DEVICE_KEY, device);
    history.replaceState(null, "", `?${new URLSearchParams({ event, ...(list === MAIN ? {} : { list }), gate })}`);
    showing.setZone(eventOf(event)?.zone);
    at("place-event").textContent = eventOf(event)?.name ?? event;
    at("place-gate").textContent = [list === MAIN ? "" : nameOfList(place), `gate ${gate}`].filter(Boolean).join(", ");
    setVisible(false);
    scrollTo(0, 0);
    chosen(place);
  }

  /* Show the form, or what scans. */
  function setVisible(isForm) {
    root.classList.toggle("scanning", !isForm);
    setup.hidden = !isForm;
    for (const name of ["scan-form", "place", "tools", "answer"]) {
      at(name).hidden = isForm;
    }
  }

  /* The lists of the event that is chosen; nothing to choose where there is only the main one. */
  function drawLists(list) {
    const { event, list: field } = elements;
    const lists = listsOf(event.value).filter((one) => one.slug !== MAIN);
    const main = mayMain(event.value) ? [new Option("Main entrance", MAIN)] : [];
    field.replaceChildren(...main, ...lists.map((one) => new Option(one.name || one.slug, one.slug)));
    field.value = hasList({ event: event.value, list }) ? list : field.options[0]?.value ?? "";
    field.closest("label").hidden = lists.length === 0;
  }

  /* The gates that the event names, with `gate` chosen; a name is typed for another one, or where there are none. */
  function drawGates(gate) {
    const { event, named, gate: typed } = elements;
    const names = eventOf(event.value)?.gates ?? [];
    named.replaceChildren(new Option("Choose a gate", ""), ...names.map((name) => new Option(name)), new Option("Another gate", ANOTHER));
    named.value = names.length === 1 ? names[0] : names.includes(gate) ? gate : gate && ANOTHER;
    named.disabled = named.closest("label").hidden = names.length === 0;
    typed.value = gate;
    drawTyped();
    suggestGates();
  }

  /* The field for a gate's name, only where one is typed: a hidden one must not stop the form. */
  function drawTyped() {
    const { named, gate: typed } = elements;
    at("gate-label").textContent = named.disabled ? "Gate" : "Name of the gate";
    typed.disabled = typed.closest("label").hidden = !named.disabled && named.value !== ANOTHER;
  }

  /* While a name is typed: those that scanned for the event today. */
  async function suggestGates() {
    const event = elements.event.value;
    if (!root.dataset.gates) {
      return; // this login may not see them
    }
    const { gates } = await fetchJson(root.dataset.gates).catch(() => ({ gates: [] }));
    at("gates").replaceChildren(...gates.filter((one) => one.event === event && one.gate).map((one) => new Option(one.gate)));
  }

  /* Offer this event too, which is behind the next ones. */
  function offerEvent({ slug, name, when }) {
    const field = elements.event;
    if (![...field.options].some((one) => one.value === slug)) {
      field.add(new Option([name, when].filter(Boolean).join(", "), slug));
    }
  }

  function drawEvent() {
    if (elements.event.value === ALL_EVENTS) {
      [...elements.event.options].find((one) => one.value === ALL_EVENTS).remove();
      EVENTS.forEach(offerEvent);
      elements.event.value = "";
      elements.event.showPicker?.();
    }
    drawLists(MAIN);
    drawGates(eventOf(elements.event.value)?.gates?.length ? "" : elements.gate.value);
  }

  /* Ask where the page stands, beginning with what is known of it. */
  function ask({ event, list, gate, device }) {
    if (event && isKnown(event)) {
      offerEvent(eventOf(event) ?? { slug: event, name: event });
    }
    elements.event.value = event;
    drawLists(list);
    drawGates(gate);
    elements.device.value = device;
    elements.stays.value = showing.colourSeconds();
    const isWrong = event && !(isKnown(event) && hasList({ event, list }));
    const lacks = isKnown(event) ? `This event has no list ${list} for this login` : `There is no event ${event} here`;
    warn(isWrong ? `${lacks}: choose another one.` : "");
    setVisible(true);
    const fields = elements.event.value ? [elements.named, elements.gate] : [elements.event];
    fields.find((field) => !field.disabled).focus();
  }

  /* Say what is wrong with the place; "" for nothing. */
  function warn(text) {
    at("setup-problem").textContent = text;
    at("setup-problem").hidden = !text;
  }

  setup.addEventListener("submit", function (event) {
    event.preventDefault();
    showing.colourSeconds(Number(elements.stays.value));
    const gate = elements.gate.disabled ? elements.named.value : elements.gate.value.trim();
    choose({ event: elements.event.value, list: elements.list.value || MAIN, gate, device: elements.device.value.trim() });
  });
  elements.event.addEventListener("change", drawEvent);
  elements.named.addEventListener("change", function () {
    elements.gate.value = "";
    drawTyped();
  });

  // --- the platform ------------------------------------------------------------------------------

  /* "" if scans will be decided now, else why not. */
  async function lack() {
    try {
      const response = await fetch(root.dataset.ready, { signal: AbortSignal.timeout(ANSWER_WITHIN) });
      return response.ok ? "" : "The platform answers, but cannot decide now: too few of its validators agree. Tell the office.";
    } catch (error) {
      return "The platform does not answer: look at the network of this device, or tell the office.";
    }
  }

  /* Take the place of the address or of the last time, or ask for it. `onPlace(place)`: it was chosen. */
  function begin(onPlace) {
    chosen = onPlace;
    const before = wanted();
    if (before.event && before.gate && isKnown(before.event) && hasList(before)) {
      choose(before);
    } else {
      ask(before);
    }
  }

  return { MAIN, ask, begin, lack, now: () => place, warn };
})();
