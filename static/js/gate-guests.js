/* Guests who are found by name, and the other tickets of an order: for logins that may see them. */
dtvn.gateGuests = (function () {
  "use strict";

  const { at, ask: question, button, counted, make, post, root } = dtvn.ui;
  const showing = dtvn.gateShowing;
  const SHOWN_MAX = 50;
  const PARTS_MAX = 40; // answers of one search: each looks at some thousands of tickets
  const MAY = root.dataset.found !== "";

  let gate = null; // of the page: {place, admit, focus}
  let search = 0; // number of the newest search: answers of earlier ones come to nothing

  /* Tickets of the event that `q` finds and `wanted(row)` takes; null if another search was begun meanwhile. */
  async function find(q, wanted) {
    const mine = (search += 1);
    const found = [];
    let after = "";
    for (let part = 0; part < PARTS_MAX && after !== null && found.length < SHOWN_MAX; part += 1) {
      const answer = await post(root.dataset.found, { q, event: gate.place().event, after: after });
      if (mine !== search) {
        return null;
      }
      found.push(...answer.tickets.filter(wanted));
      after = answer.after;
    }
    return found.slice(0, SHOWN_MAX);
  }

  async function show(title, finding) {
    at("guests").hidden = false;
    at("guests-title").textContent = title;
    draw([], "Looking …");
    try {
      const found = await finding();
      if (found) {
        draw(found, found.length ? "" : "No ticket found.");
      }
    } catch (error) {
      draw([], error.message);
    }
  }

  const mayAdmit = (row) => row.acts.includes("admit");

  function draw(rows, sentence) {
    const open = rows.filter(mayAdmit);
    at("guests-none").textContent = sentence || (open.length ? "" : rows.find((row) => row.withheld)?.withheld ?? "");
    at("guests-none").hidden = !at("guests-none").textContent;
    at("guests-list").replaceChildren(...rows.map(drawRow));
    at("guests-all").hidden = open.length < 2 || !isOneOrder(rows);
    at("guests-all").textContent = `Admit all ${open.length} of the order`;
    at("guests-all").onclick = () => admitAll(open);
  }

  const isOneOrder = (rows) => rows.every((row) => row.order && row.order === rows[0].order);

  function drawRow(row) {
    const line = make("li", "");
    const what = make("span", "what");
    what.append(make("b", "", row.holder || row.id), " ", make("span", "soft", [row.holder && row.id, row.about, row.order && `order ${row.order}`].filter(Boolean).join(", ")));
    const acts = make("span", "acts");
    if (mayAdmit(row)) {
      acts.append(button("Admit", () => admitAll([row]), `Admit ${row.holder || row.id}`));
    }
    line.append(what, make("span", "soft", row.blocked ? "blocked" : row.meaning), acts);
    return line;
  }

  /* Admit these tickets, each as a scan of its own; one answer for all. */
  async function admitAll(rows) {
    const names = rows.map((row) => row.holder || row.id).join(", ");
    if (!(await question(`Admit ${counted(rows.length, "ticket")}?`, () => `Without a scan, by their names: ${names}.`, "Admit"))) {
      return;
    }
    at("guests").hidden = true;
    gate.focus();
    const told = await Promise.all(rows.map((row) => gate.admit(row.id)));
    const admitted = told.filter((one) => one?.outcome === "admitted").length;
    if (rows.length > 1) {
      const isAll = admitted === rows.length;
      const sentence = isAll ? "All of the order." : "Who was not admitted stands below, with the reason, among the last scans.";
      showing.show({ tone: isAll ? "ok" : "warn", word: `${admitted} of ${rows.length} admitted`, what: names, sentence, pairs: [] });
    }
  }

  /* All tickets of the order of this one. */
  function showOrder(id) {
    const { event } = gate.place();
    return show("This order", async function () {
      const { named } = await post(root.dataset.found, { q: "", event, ticket: `${event}/${id}` });
      const order = named?.[0]?.order;
      return order ? find(order, (row) => row.order === order) : [];
    });
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
        show("Found", () => find(q, () => true));
      }
    });
    at("guests-close").addEventListener("click", function () {
      search += 1;
      at("guests").hidden = true;
      gate.focus();
    });
    at("order").addEventListener("click", () => showOrder(at("order").dataset.ticket));
  }

  return { follow };
})();
