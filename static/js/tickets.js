/* Tickets, a page of them at a time, kept as they are now; and what may be done with each. */
(function () {
  "use strict";

  const { at, attempt, button, call, cell, grouped, look, make, pill, put } = dtvn.ui;
  const PAGE = 50;
  const LOOK_AFTER = 250; // milliseconds from news to a fresh look, so that a flood is one look
  const TONE = { VALIDATED: "accent", CONSUMED: "ok", DISPUTED: "warn" };
  const ACTS = JSON.parse(dtvn.ui.root.dataset.acts); // state -> acts that are not refused
  const form = at("act-form");

  let next = null; // `after` of the next page, null at the last
  let seen = 0; // the sequence as of which the page is

  // --- the list ----------------------------------------------------------------------------------

  async function draw() {
    const query = new URLSearchParams({ limit: PAGE });
    if (at("state").value) {
      query.set("state", at("state").value);
    }
    const from = at("after").value.trim();
    if (from) {
      query.set("after", from);
    }
    let found;
    try {
      found = await look(`/tickets?${query}`);
    } catch (error) {
      at("tickets").replaceChildren();
      put("no-tickets", error.message);
      at("no-tickets").hidden = false;
      at("paging").hidden = true;
      put("total", "");
      return;
    }
    const tickets = found.content;
    seen = Number(found.headers.get("X-DTVN-Sequence"));
    next = found.headers.get("Link") ? tickets[tickets.length - 1].ID : null;
    drawTickets(tickets);
    put("total", `${grouped.format(Number(found.headers.get("X-Total-Count") ?? tickets.length))} in all`);
    put("no-tickets", at("state").value || from ? "No matching tickets." : "No tickets yet. Import the demo tickets, or issue some.");
    at("no-tickets").hidden = tickets.length > 0;
    at("paging").hidden = !from && next === null;
    at("next").disabled = next === null;
  }

  function drawTickets(tickets) {
    const held = document.activeElement?.closest("[data-at=tickets] button")?.getAttribute("aria-label");
    at("tickets").replaceChildren(...tickets.map(row));
    if (held) {
      [...at("tickets").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
  }

  function row(ticket) {
    const made = make("tr");
    const name = cell("whole", "");
    name.append(make("b", "mono", ticket.ID));
    const state = cell("whole", "");
    state.append(pill(`plain ${TONE[ticket.State] ?? ""}`, ticket.State.toLowerCase()));
    const data = cell("data mono", text(ticket.Data), "Data");
    data.title = data.textContent;
    made.append(
      name,
      state,
      cell("", ticket.Timestamp ? dtvn.ui.clock(ticket.Timestamp) : "–", "Decided at"),
      cell("", ticket.ValidatorID || "–", "Entry node"),
      data,
    );
    if (form) {
      const acts = cell("whole acts", "");
      acts.append(
        ...ACTS[ticket.State].map((verb) => button(verb[0].toUpperCase() + verb.slice(1), () => act(verb, ticket.ID), `${verb} ${ticket.ID}`)),
      );
      made.append(acts);
    }
    return made;
  }

  /* Data is base64 of any bytes: shown as text where it is text. */
  function text(data) {
    if (!data) {
      return "–";
    }
    try {
      const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (error) {
      return data;
    }
  }

  // --- acts --------------------------------------------------------------------------------------

  async function act(verb, id) {
    const final = () => "It then counts as admitted: every gate refuses it from now on, and nothing takes that back.";
    if (verb === "consume" && !(await dtvn.ui.ask(`Consume ${id}?`, final, "Consume"))) {
      return false;
    }
    const node = form.elements.node.value;
    const by = node ? ` via ${node}` : "";
    const send =
      node && verb === "validate"
        ? () => call("POST", "/tickets/validate-via-node", { ticket_id: id, node_id: node })
        : () => call("POST", `/tickets/${verb}`, { ticket_id: id, data: null });
    const past = { validate: "validated", consume: "consumed", dispute: "disputed" }[verb];
    return attempt(send, `${id} is ${past}${verb === "validate" ? by : ""}`);
  }

  function drawEntries(nodes) {
    if (!form) {
      return;
    }
    const running = nodes.filter((node) => node.role === "validator" && node.status === "running").map((node) => node.id);
    const list = at("entry");
    if ([...list.options].slice(1).map((one) => one.value).join() !== running.join()) {
      const chosen = list.value;
      list.replaceChildren(new Option("any node", ""), ...running.map((id) => new Option(id, id)));
      list.value = running.includes(chosen) ? chosen : "";
    }
  }

  const renew = dtvn.ui.soon(draw, 0);
  const renewSoon = dtvn.ui.soon(draw, LOOK_AFTER);

  dtvn.page = dtvn.ui.follow({
    onLog: (state) => state.sequence > seen && renewSoon(),
    onNodes: drawEntries,
    onLive: renewSoon,
  });

  at("state").addEventListener("change", renew);
  at("after").addEventListener("change", renew);
  at("first").addEventListener("click", () => turn(""));
  at("next").addEventListener("click", () => next !== null && turn(next));

  function turn(after) {
    at("after").value = after;
    renew();
  }

  if (form) {
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      act("validate", form.elements.ticket_id.value.trim());
    });
    for (const one of form.querySelectorAll("[data-act][type=button]")) {
      one.addEventListener("click", () => form.reportValidity() && act(one.dataset.act, form.elements.ticket_id.value.trim()));
    }
    at("seed").addEventListener("click", () => attempt(() => call("POST", "/tickets/seed"), (found) => `${grouped.format(found.unique)} tickets imported`));
  }
})();
