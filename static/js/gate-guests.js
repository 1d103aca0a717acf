/* Guests who are found by name, and the other tickets of an order: for logins that may see them. */
dtvn.gateGuests = (function () {
  "use strict";

  const { at, ask: question, button, counted, make, post, root } = dtvn.ui;
  const SHOWN_MAX = 50;
  const PARTS_MAX = 40; // answers of one search: each looks at some thousands of tickets
  const MAY = root.dataset.found !== "";

  let gate = null; // of the page: {place, leaves, admit, focus}; leaves: whether it is set to exits
  let search = 0; // number of the newest search: answers of earlier ones come to nothing
  let shown = []; // [{row, box, many}]: the tickets in the list, each with its box, null if it is not offered, and how many come

  const nameOf = (row) => row.holder || row.id;
  const verb = () => (gate.leaves() ? "Let out" : "Admit");

  /* A part of what `fields` find, in the event, for the list and the way of this place. */
  function ask(fields) {
    const { event, list } = gate.place();
    return post(root.dataset.found, { event, list, kind: gate.leaves() ? "exit" : "entry", ...fields });
  }

  /* Tickets that `q` finds; null if another search was begun meanwhile. */
  async function find(q) {
    const mine = (search += 1);
    const found = [];
    let after = "";
    for (let part = 0; part < PARTS_MAX && after !== null && found.length < SHOWN_MAX; part += 1) {
      const answer = await ask({ q, after });
      if (mine !== search) {
        return null;
      }
      found.push(...answer.tickets);
      after = answer.after;
    }
    return found.slice(0, SHOWN_MAX);
  }

  /* All tickets of the order of this one; null as in `find`. */
  async function order(id) {
    const mine = (search += 1);
    const { tickets } = await ask({ ticket: id });
    return mine === search ? tickets : null;
  }

  /* `isOrder`: the tickets belong together. */
  async function show(title, finding, isOrder) {
    at("guests").hidden = false;
    at("guests-title").textContent = title;
    const none = isOrder ? "The import named no order of this ticket, so nobody is known to have come with it." : "No ticket found.";
    draw([], "Looking …");
    try {
      const found = await finding();
      if (found) {
        at("guests-title").textContent = isOrder && found.length ? `Order ${found[0].order}` : title;
        draw(found, found.length ? "" : none, isOrder);
      }
    } catch (error) {
      draw([], error.message);
    }
  }

  const showOrder = (id) => show("This order", () => order(id), true);

  /* An order begins with all boxes ticked, and so does the only ticket that was found. */
  function draw(rows, sentence, isOrder = false) {
    shown = rows.map((row) => ({ row, box: row.offered ? boxOf(isOrder || rows.length === 1) : null, many: row.offered && row.persons > 1 ? manyOf(row) : null }));
    at("guests-none").textContent = sentence;
    at("guests-none").hidden = !sentence;
    at("guests-list").replaceChildren(...shown.map((one) => lineOf(one, isOrder)));
    drawChosen();
  }

  function boxOf(checked) {
    const box = make("input");
    Object.assign(box, { type: "checkbox", checked });
    box.addEventListener("change", drawChosen);
    return box;
  }

  /* How many persons of a ticket for several come in, or leave; all that are left to begin with. */
  function manyOf(row) {
    const field = make("input");
    Object.assign(field, { type: "number", min: 1, max: row.persons, value: row.persons, inputMode: "numeric" });
    field.addEventListener("input", drawChosen);
    const label = make("label", "many", "persons ");
    label.append(field);
    field.setAttribute("aria-label", `Persons: ${nameOf(row)}`);
    return label;
  }

  /* Of a field with another number no person comes in. */
  const personsOf = ({ row, many }) => {
    const field = many?.querySelector("input");
    return field ? (field.checkValidity() && Number(field.value)) || 0 : Math.min(row.persons, 1);
  };

  function lineOf({ row, box, many }, isOrder) {
    const line = make("li");
    const what = make(box ? "label" : "span", "what");
    const more = [row.holder && row.id, row.about, !isOrder && row.order && `order ${row.order}`].filter(Boolean).join(", ");
    const words = make("span", "");
    words.append(make("b", "", nameOf(row)), " ", make("span", "soft", more));
    what.append(...(box ? [box] : []), words);
    const acts = make("span", "acts");
    if (many) {
      acts.append(many);
    }
    if (row.order && !isOrder) {
      acts.append(button("Its order", () => showOrder(row.id), `Its order: ${nameOf(row)}`));
    }
    line.append(what, make("span", "soft meaning", row.meaning), acts);
    return line;
  }

  const chosen = () => shown.filter(({ box }) => box?.checked).map((one) => ({ id: one.row.id, name: nameOf(one.row), persons: personsOf(one) }));
  const sumOf = (tickets) => tickets.reduce((sum, { persons }) => sum + persons, 0);

  function drawChosen() {
    const count = sumOf(chosen());
    at("guests-admit").hidden = !shown.some(({ box }) => box);
    at("guests-admit").disabled = count === 0;
    const none = gate.leaves() ? "Tick who leaves" : "Tick who comes in";
    at("guests-admit").textContent = count ? `${verb()} ${counted(count, "person")}` : none;
  }

  /* Let the guests in, or out, whose boxes are ticked, in one act: each person is a scan of its own. */
  async function admit() {
    const tickets = chosen().filter(({ persons }) => persons > 0);
    const names = tickets.map(({ name, persons }) => (persons > 1 ? `${name} (${persons})` : name)).join(", ");
    const text = `Without a scan, by their names: ${names}.`;
    if (await question(`${verb()} ${counted(sumOf(tickets), "person")}?`, () => text, verb())) {
      close();
      gate.admit(tickets);
    }
    gate.focus();
  }

  /* Show no guests any more: they may be of another event than the page's next one. */
  function close() {
    search += 1;
    if (MAY) {
      at("guests").hidden = true;
    }
  }

  /* Start with the page's functions. */
  function follow(page) {
    gate = page;
    if (!MAY) {
      return;
    }
    at("finding").addEventListener("click", function () {
      at("guests").hidden = false;
      at("guests-title").textContent = "Find a guest";
      draw([], "");
      at("guests-q").focus();
    });
    at("guests-form").addEventListener("submit", function (event) {
      event.preventDefault();
      const q = at("guests-q").value.trim();
      if (q) {
        show("Found", () => find(q));
      }
    });
    at("guests-close").addEventListener("click", function () {
      close();
      gate.focus();
    });
    at("guests-admit").addEventListener("click", admit);
    at("order").addEventListener("click", () => showOrder(at("order").dataset.ticket));
  }

  return { close, follow };
})();
