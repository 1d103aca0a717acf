/* Tickets: searched, a page of them at a time, kept as they are now; and what may be done with each. */
(function () {
  "use strict";

  const { at, attempt, button, call, cell, counted, fetchJson, grouped, make, pill, post, put, root, say } = dtvn.ui;
  const { place, placed } = dtvn.ui;
  const { ACTS, asked: askedBefore, fieldsOf, labelOf, perform } = dtvn.ticketActs;
  const history = dtvn.ticketHistory;
  const selection = dtvn.ticketSelection;
  const PAGE = Number(root.dataset.pageSize);
  const LOOK_AFTER = 250; // milliseconds from news to a fresh look, so that a flood is one look
  const LOOK_AGAIN_AFTER = 5000; // the same for a search that takes several requests
  const TONE = { validated: "accent", consumed: "ok", disputed: "warn", upheld: "bad" };
  const [BAD_REQUEST, NOT_FOUND] = [400, 404];
  const CONFLICT = 409; // the ticket is in another state
  const ASKED_OF_MANY = "This is sent for each selected ticket; those in another state stay as they are.";
  const EVENT_KEY = "event"; // of the event last chosen in this browser
  const OPEN_KEY = "by-id"; // of whether the form that changes a ticket by its id was left open
  const form = at("act-form");
  const columns = root.querySelectorAll("table.tickets thead th").length;
  const seesHolders = [...root.querySelectorAll("table.tickets thead th")].some((th) => th.textContent === "Holder");

  let coded = []; // tickets of which the text searched for is a code, above the page
  let named = []; // the ticket whose history is open, as it is now
  let shown = []; // the tickets of this page
  let from = ""; // key before this page
  let next = null; // key before the next page, null at the last
  let seen = 0; // the sequence as of which the page is
  let severalEvents = false; // whether there are tickets of more than one
  let asked = 0; // number of the newest search: an earlier one ends at its next answer
  let requests = 0; // of the last search
  let anew = false; // whether the address of what is asked for is a new step
  let typing = false; // whether the step of this text in the search exists

  // --- the list ----------------------------------------------------------------------------------

  const wanted = () => ({ q: at("q").value.trim(), event: at("event").value, state: at("state").value });
  const find = (query, after) => post(root.dataset.foundUrl, { ...query, after }); // no code stands in an address
  const openKey = () => (history.opened() ? keyOf(history.opened()) : "");

  /* Ask until the page is full: with words, an answer covers only a part of the tickets. */
  async function draw() {
    const mine = asked;
    const found = [];
    const query = wanted();
    let part = { after: from };
    let hint = "";
    requests = 0;
    try {
      do {
        part = await find(requests ? query : { ...query, ticket: openKey() }, part.after);
        if (mine !== asked) {
          return;
        }
        requests += 1;
        if (requests === 1) {
          coded = (part.by_code ?? []).map((ticket) => ({ ...ticket, scanned: ticket.code_replaced ? "" : query.q }));
          hint = part.hint ?? "";
          named = part.named ?? [];
        }
        found.push(...part.tickets.filter((ticket) => !coded.some((one) => keyOf(one) === keyOf(ticket))));
        if (found.length < PAGE && part.after !== null) {
          put("total", `${found.length} found so far, searching after ${part.after.split("/")[1]}`);
        }
      } while (found.length < PAGE && part.after !== null);
    } catch (error) {
      if (mine === asked) {
        coded = named = [];
        if (at("act-event")?.options.length === 0) {
          drawEvents([]);
        }
        drawTickets([]);
        put("no-tickets", error.message);
        put("total", "");
        at("no-tickets").hidden = false;
        at("paging").hidden = true;
        lookAgain();
      }
      return;
    }
    seen = part.sequence;
    next = found.length > PAGE ? keyOf(found[PAGE - 1]) : part.after;
    drawEvents(part.events);
    drawTickets(found.slice(0, PAGE));
    drawRest(part.total, hint);
    settle(query, coded.length === 0 && !hint);
  }

  /* Each search, page of it and open ticket has an address; a code, or what looks like one, stands in none. */
  function settle({ q, event, state }, mayTell) {
    place({ event, state, after: from, ticket: openKey(), q: mayTell ? q : "" }, anew);
    anew = false;
  }

  const keyOf = (ticket) => `${ticket.event}/${ticket.id}`;

  function drawRest(total, hint) {
    const all = from === "" && next === null;
    const many = total === null && !all ? `${shown.length} on this page` : `${grouped.format(total ?? shown.length)} in all`;
    const narrowed = at("q").value.trim() || at("state").value || at("event").value;
    const withCode = coded.length ? [`${counted(coded.length, "ticket")} with this code`] : [];
    put("total", [...withCode, ...(coded.length && !shown.length ? [] : [many])].join(", "));
    const none = hint ? `No matching tickets. ${hint}` : "No matching tickets.";
    put("no-tickets", narrowed || from ? none : at("no-tickets").dataset.ofAll);
    at("no-tickets").hidden = shown.length + coded.length > 0;
    at("paging").hidden = all;
    at("first").disabled = from === "";
    at("next").disabled = next === null;
  }

  function drawEvents(events) {
    severalEvents = events.length > 1;
    for (const [list, first, names] of [
      [at("event"), [new Option("all", "")], events],
      [at("act-event"), [], events.length ? events : ["default"]],
    ]) {
      if (list && [...list.options].slice(first.length).map((one) => one.value).join() !== names.join()) {
        const choices = list === at("event") ? [list.value] : [list.value, at("event").value, remembered(EVENT_KEY), "default"];
        list.replaceChildren(...first, ...names.map((name) => new Option(name, name)));
        const values = [...list.options].map((one) => one.value);
        list.value = choices.find((one) => values.includes(one)) ?? values[0];
      }
    }
  }

  function remembered(key) {
    try {
      return localStorage.getItem(key);
    } catch (error) {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  }

  function remember(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch (error) {
      return;
    }
  }

  const rememberEvent = () => remember(EVENT_KEY, at("act-event").value);

  function drawTickets(tickets) {
    const held = document.activeElement?.closest("[data-at=tickets]") && document.activeElement.getAttribute("aria-label");
    shown = tickets;
    const listed = [...coded, ...tickets];
    const apart = named.filter((ticket) => history.isOpen(ticket) && !listed.some((one) => keyOf(one) === keyOf(ticket)));
    at("tickets").replaceChildren(...[...apart, ...listed].flatMap((ticket) => [row(ticket), history.rowOf(ticket)].filter(Boolean)));
    if (at("selection")) {
      selection.draw();
    }
    if (held) {
      [...at("tickets").querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
  }

  function row(ticket) {
    const made = make("tr");
    if (at("selection")) {
      const box = cell("whole select", "");
      box.append(selection.box(ticket));
      made.append(box);
    }
    const name = cell("whole", "");
    const opener = button("", () => toggle(ticket), `History of ${ticket.id}`);
    opener.className = "opener mono";
    opener.setAttribute("aria-expanded", history.isOpen(ticket));
    opener.append(make("b", "", ticket.id));
    name.append(opener);
    if (severalEvents && !at("event").value) {
      name.append(" ", make("span", "soft", ticket.event));
    }
    const state = cell("whole", "");
    state.append(pill(`plain ${TONE[ticket.state] ?? ""}`, dtvn.outcomes.stateOf(ticket.state)), " ");
    if (ticket.blocked) {
      state.append(pill("bad", "blocked"), " ", make("span", "soft meaning", ticket.block_reason || "opens nothing"));
    } else {
      state.append(make("span", "soft meaning", ticket.code_replaced ? "this code was replaced" : ticket.meaning));
    }
    const about = cell("data roomy", "", "About");
    about.append(make("div", "clamped", ticket.about || "–"));
    about.title = about.textContent;
    made.append(
      name,
      state,
      ...(seesHolders ? [cell("", holderOf(ticket) || "–", "Holder")] : []),
      cell("", ticket.changed || "–", "Changed"),
      cell("roomy", ticket.entry || "–", "Entry node"),
      about,
    );
    if (at("selection")) {
      const acts = cell("whole acts", "");
      for (const name of ticket.acts) {
        const label = labelOf(name, ticket);
        acts.append(button(label, () => act(name, ticket), `${label} ${ticket.id}`));
      }
      if (ticket.withheld) {
        const why = make("span", "soft withheld", "by its code only"); // the sentence is among its facts
        why.title = ticket.withheld;
        acts.append(why);
      }
      made.append(acts);
    }
    if (history.isOpen(ticket)) {
      made.setAttribute("aria-current", "true");
    }
    return made;
  }

  /* Name and order; an id such as ABC12-1 begins with its order. */
  function holderOf({ id, holder, order }) {
    return [holder, order && !id.startsWith(order) ? `order ${order}` : ""].filter(Boolean).join(", ");
  }

  function toggle(ticket) {
    history.show(history.isOpen(ticket) ? null : ticket, columns);
    named = history.opened() ? [ticket] : [];
    anew = true;
    drawTickets(shown);
    settle(wanted(), placed().q === at("q").value.trim());
  }

  // --- acts --------------------------------------------------------------------------------------

  /* `given`: a ticket, or what was typed or scanned, which decides an admission as it is. */
  async function act(name, given) {
    let ticket = given;
    let more;
    try {
      if (given.scanned && name !== "admit") {
        ticket = { ...given, id: await idOf(given) };
      }
      more = await askedBefore(name, ticket);
    } catch (error) {
      say(error.message, "bad");
      return;
    }
    if (more === null) {
      return;
    }
    if (ACTS[name].inputs.includes("product") && !Object.keys(more).length) {
      say(`Nothing was changed: ${ticket.id} is as it was.`);
      return;
    }
    const { path, past, fields, told } = ACTS[name];
    const by = name === "admit" && ticket.scanned ? { barcode: ticket.scanned } : { ticket_id: ticket.id };
    const about = { event: ticket.event, ...by };
    at("told").hidden = true;
    if (told) {
      await attempt(() => perform(name, about, more), "");
      return;
    }
    const node = name === "validate" ? form.elements.node.value : "";
    const send = node
      ? () => call("POST", "/tickets/validate-via-node", { ...about, node_id: node })
      : () => call("POST", path, { ...about, ...fields, ...more });
    await attempt(send, `${ticket.id} is ${past}${node ? ` via ${node}` : ""}`, (error) => refusal(error, ticket));
  }

  /* The id of the ticket with the code that was typed; a text that is no code is the id itself. */
  async function idOf({ event, scanned }) {
    try {
      return (await call("POST", "/tickets/find", { event, barcode: scanned })).ID;
    } catch (error) {
      if (error.status !== BAD_REQUEST && error.status !== NOT_FOUND) {
        throw error;
      }
      return scanned;
    }
  }

  /* Why an act was refused, and what another operator or a gate did with the ticket before. */
  async function refusal(error, ticket) {
    if (error.status !== CONFLICT) {
      return error.message;
    }
    const query = new URLSearchParams({ event: ticket.event, ticket: ticket.id });
    try {
      const { history: operations } = await fetchJson(`${root.dataset.oneUrl}?${query}`);
      const last = operations.find((one) => one.code === "ok");
      const by = last?.actor ? ` by ${last.actor}` : "";
      return last ? `${error.message} ${ticket.id}: ${last.operation}${by} at ${last.time}.` : error.message;
    } catch (failure) {
      return error.message;
    }
  }

  function actOnAll(name) {
    const { kind, fields, consequence } = ACTS[name];
    const [labels, read] = fieldsOf(name, null);
    const text = `${consequence ? `${consequence} ` : ""}${ASKED_OF_MANY}`;
    selection.actOnAll(labelOf(name, {}).toLowerCase(), () => ({ op: kind, ...fields, ...read() }), text, labels);
  }

  function drawEntries(nodes) {
    const list = at("entry");
    if (!list) {
      return;
    }
    const running = nodes.filter((node) => node.role === "validator" && node.status === "running").map((node) => node.id);
    if ([...list.options].slice(1).map((one) => one.value).join() !== running.join()) {
      const chosen = list.value;
      list.replaceChildren(new Option("any node", ""), ...running.map((id) => new Option(id, id)));
      list.value = running.includes(chosen) ? chosen : "";
    }
  }

  // --- what comes in -----------------------------------------------------------------------------

  const look = dtvn.ui.soon(draw, 0);
  const lookSoon = dtvn.ui.soon(draw, LOOK_AFTER);
  const lookAgain = dtvn.ui.soon(draw, LOOK_AGAIN_AFTER);

  /* Another search, or another page of it; `more` of the same text is the same step. */
  function search(after, more = false) {
    asked += 1;
    from = after;
    anew = anew || !more;
    look();
  }

  /* Show what the address says. Events that are not known yet are chosen once they are. */
  function arrive() {
    const { q = "", event = "", state = "", after = "", ticket = "" } = placed();
    const [of, id] = ticket.includes("/") ? ticket.split("/") : ["", ""];
    at("q").value = q || (of ? "" : ticket); // an earlier form of links names a ticket alone
    for (const [list, value] of [[at("event"), event], [at("state"), state]]) {
      if (value && ![...list.options].some((one) => one.value === value)) {
        list.append(new Option(value, value));
      }
      list.value = value;
    }
    if ([...(at("act-event")?.options ?? [])].some((one) => one.value === event)) {
      at("act-event").value = event; // codes are scanned for the event that is shown
    }
    history.show(of && id ? { event: of, id } : null, columns);
    asked += 1;
    from = after;
    anew = typing = false;
    look();
  }

  dtvn.page = dtvn.ui.follow({
    onLog: (state) => state.sequence > seen && (requests > 1 ? lookAgain() : lookSoon()),
    onNodes: drawEntries,
    onLive: lookSoon,
  });

  at("search").addEventListener("submit", (event) => event.preventDefault());
  at("search").addEventListener("input", function (event) {
    search("", event.target === at("q") && typing);
    typing = event.target === at("q");
  });
  at("q").addEventListener("blur", () => (typing = false));
  addEventListener("popstate", arrive);
  at("event").addEventListener("change", function () {
    if (at("act-event") && at("event").value) {
      at("act-event").value = at("event").value;
      rememberEvent();
    }
  });
  at("act-event")?.addEventListener("change", rememberEvent);
  at("first").addEventListener("click", () => search(""));
  at("next").addEventListener("click", () => next !== null && search(next));
  at("select-found")?.addEventListener("click", function () {
    const query = wanted(); // the fields may change meanwhile
    selection.selectFound((after) => find(query, after));
  });
  for (const one of root.querySelectorAll("[data-all]")) {
    one.addEventListener("click", () => actOnAll(one.dataset.all));
  }
  for (const one of form?.querySelectorAll("[data-act]") ?? []) {
    one.addEventListener("click", function (event) {
      event.preventDefault();
      if (form.reportValidity()) {
        const text = form.elements.ticket_id.value.trim();
        act(one.dataset.act, { event: form.elements.event.value, id: text, scanned: text });
      }
    });
  }
  if (at("by-id")) {
    // On a phone the first tickets are on the first screen, until somebody wants it otherwise.
    at("by-id").open = remembered(OPEN_KEY) ? remembered(OPEN_KEY) === "yes" : !matchMedia("(max-width: 780px)").matches;
    at("by-id").querySelector("summary").addEventListener("click", () => remember(OPEN_KEY, at("by-id").open ? "no" : "yes"));
  }
  if (form?.querySelector("[data-act=admit]")) {
    dtvn.ticketScans.follow(form.elements.ticket_id, form.elements.event);
  }
  if (location.search || location.hash) {
    arrive();
  }
  at("seed")?.addEventListener("click", () =>
    attempt(() => call("POST", "/tickets/seed"), (found) => `${counted(found.unique, "ticket")} imported`),
  );
})();
