/* The history of one ticket below its row, and the certificates of its outcomes: shown, saved and verified here. */
dtvn.ticketHistory = (function () {
  "use strict";

  const { button, cell, facts, fetchJson, make, pill, root } = dtvn.ui;
  const { codeOf, link, listOf, ticketsOf } = dtvn.outcomes;
  const ABOUT_VERIFYING =
    "Verified by this browser with the epoch chain of this platform. To check it without trusting this platform, save it and use ";
  let open = null; // {event, id, row, seen, certificate}

  const isOpen = (ticket) => open !== null && open.event === ticket.event && open.id === ticket.id;

  /* {event, id} of the ticket whose history is open, or null. */
  const opened = () => open && { event: open.event, id: open.id };

  /* Open the history of a ticket, in place of another one's; null: of none. */
  function show(ticket, columns) {
    if (ticket === null || isOpen(ticket)) {
      open = ticket && open;
      return;
    }
    const row = make("tr", "history");
    const td = cell("", "");
    td.colSpan = columns;
    const certificate = make("div", "certificate");
    const body = make("div");
    td.append(body, certificate);
    row.append(td);
    open = { event: ticket.event, id: ticket.id, row, body, certificate };
  }

  /* The row with the history of this ticket, read anew; null if it is not open. */
  function rowOf(ticket) {
    if (!isOpen(ticket)) {
      return null;
    }
    renew(open);
    return open.row;
  }

  async function renew(mine) {
    const query = new URLSearchParams({ event: mine.event, ticket: mine.id });
    try {
      const found = await fetchJson(`${root.dataset.oneUrl}?${query}`);
      if (mine === open) {
        draw(mine, found);
      }
    } catch (error) {
      mine.body.replaceChildren(make("p", "reason", error.message));
    }
  }

  function draw(mine, found) {
    const held = mine.body.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    const list = make("dl", "facts");
    facts(list, found.facts);
    const caption = found.more ? `Newest ${found.history.length} operations; the export of outcomes has all.` : "History, newest first";
    const operations = make("ol", "outcomes");
    operations.append(...found.history.map((one) => operation(mine, one)));
    mine.body.replaceChildren(list, make("p", "soft caption", caption), operations);
    if (held) {
      [...mine.body.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
  }

  function operation(mine, one) {
    const item = make("li");
    const ok = one.code === "ok";
    const what = make("span", "what");
    what.append(make("b", "", one.word), " ", pill(ok ? "plain ok" : "plain bad", ok ? "done" : codeOf(one.code)));
    if (one.annulled) {
      what.append(" ", pill("plain warn", "annulled since"));
    }
    const proof = button("Certificate", () => prove(mine, one.at), `Certificate of ${one.operation} at ${one.at}`);
    item.append(make("time", "", one.time), what, proof, whereOf(mine, one));
    return item;
  }

  /* On which list, at which gate and device, by whom, why, and where in the log; places are links. */
  function whereOf(mine, one) {
    const parts = [];
    if (one.list) {
      parts.push(["list ", link(one.list_name, listOf(mine.event, one.list), "quiet")]);
    }
    for (const name of ["gate", "device"]) {
      if (one[name]) {
        parts.push([`${name} `, link(one[name], ticketsOf(mine.event, { q: one[name] }), "quiet")]);
      }
    }
    parts.push([`by ${one.actor}`]);
    if (one.reason) {
      parts.push([`reason: ${one.reason}`]);
    }
    parts.push([`via ${one.entry}, at ${one.at}`]);
    const where = make("span", "where");
    parts.forEach((part, place) => where.append(...(place ? [", "] : []), ...part));
    return where;
  }

  // --- certificates ------------------------------------------------------------------------------

  async function prove(mine, at) {
    const path = `/api/v1/tickets/${encodeURIComponent(mine.id)}/certificate?${new URLSearchParams({ event: mine.event, at })}`;
    const title = make("h3", "", `Certificate of the outcome at ${at}`);
    mine.certificate.replaceChildren(title, make("p", "soft", "Asking for it"));
    try {
      const bytes = await bytesOf(path);
      const verdict = make("div");
      verdict.setAttribute("role", "status");
      const save = make("a", "button small", "Download");
      save.href = path;
      save.download = "";
      const acts = make("p", "acts");
      const check = button("Verify", () => verify(mine, bytes, verdict));
      acts.append(check, save);
      const content = JSON.stringify(JSON.parse(new TextDecoder().decode(bytes)).data, null, 2);
      const pre = make("pre", "output", content);
      pre.tabIndex = 0;
      mine.certificate.replaceChildren(title, acts, verdict, pre);
      check.focus();
    } catch (error) {
      mine.certificate.replaceChildren(title, make("p", "reason", error.message));
    }
  }

  async function bytesOf(path) {
    const response = await fetch(path, { credentials: "same-origin" });
    if (!response.ok) {
      const told = await response.json().catch(() => ({}));
      throw new Error(told.error || `${path} answered ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  }

  async function verify(mine, bytes, verdict) {
    const { prove, readChain, sentences, unwrap } = globalThis.dtvnVerify;
    try {
      const chain = await readChain(unwrap("chain", await bytesOf(root.dataset.epochsUrl)));
      const proved = await prove(unwrap("certificate", bytes), chain);
      if (proved.event !== mine.event || proved.ticket !== mine.id) {
        throw new Error("It is the certificate of another ticket.");
      }
      const list = make("ul");
      list.append(...sentences(proved).map((line) => make("li", "", line)));
      const about = make("p", "soft", ABOUT_VERIFYING);
      const link = make("a", "", "the verifier");
      link.href = root.dataset.verifierUrl;
      about.append(link, ".");
      verdict.replaceChildren(pill("ok", "The certificate is valid."), list, about);
    } catch (error) {
      verdict.replaceChildren(pill("bad", "Verification failed."), make("p", "reason", error.message));
    }
  }

  return { isOpen, opened, show, rowOf };
})();
