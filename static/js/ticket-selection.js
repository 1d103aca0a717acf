/* Selected tickets, and one act on all of them: sent in parts, with progress, until done or stopped. */
dtvn.ticketSelection = (function () {
  "use strict";

  const { at, ask, call, counted, grouped, make, put, root } = dtvn.ui;
  const PART = Number(root.dataset.partSize); // operations in one request
  const SELECTED_MAX = Number(root.dataset.selectedMax);
  const LIMIT_SAID = `At most ${grouped.format(SELECTED_MAX)} tickets can be selected.`;
  const LEFT_SHOWN = 20;
  const UNDECIDED = [502, 503, 504]; // statuses of an operation that was not decided
  const selected = new Map(); // "event/id" -> {event, id}
  let running = false;
  let stopped = false;

  const keyOf = (ticket) => `${ticket.event}/${ticket.id}`;

  function draw() {
    at("selection").hidden = selected.size === 0 && !running;
    put("selected", `${grouped.format(selected.size)} selected`);
    for (const one of at("selection").querySelectorAll("button")) {
      one.disabled = running && one !== at("stop");
    }
    at("stop").hidden = !running;
    const boxes = [...root.querySelectorAll("[data-select]")];
    for (const box of boxes) {
      box.checked = selected.has(box.dataset.select);
      box.disabled = running;
    }
    at("select-page").checked = boxes.length > 0 && boxes.every((box) => box.checked);
    at("select-page").disabled = running;
  }

  function box(ticket) {
    const made = make("input");
    made.type = "checkbox";
    made.dataset.select = keyOf(ticket);
    made.setAttribute("aria-label", `Select ${ticket.id}`);
    made.checked = selected.has(keyOf(ticket));
    made.disabled = running;
    made.addEventListener("change", function () {
      choose([ticket], made.checked);
      draw();
    });
    const target = make("label"); // larger than the box, for fingers
    target.append(made);
    return target;
  }

  function choose(tickets, wanted) {
    for (const { event, id } of tickets) {
      if (!wanted) {
        selected.delete(keyOf({ event, id }));
      } else if (selected.size < SELECTED_MAX) {
        selected.set(keyOf({ event, id }), { event, id });
      }
    }
  }

  /* Select all that the search finds; `find(after)` gives a part of it. */
  async function selectFound(find) {
    let after = "";
    begin();
    try {
      while (after !== null && !stopped && selected.size < SELECTED_MAX) {
        const part = await find(after);
        choose([...(part.by_code ?? []), ...part.tickets], true);
        after = part.after;
        draw();
      }
      report(selected.size < SELECTED_MAX ? "" : LIMIT_SAID);
    } catch (error) {
      report(error.message);
    } finally {
      running = false;
      draw();
    }
  }

  function begin() {
    running = true;
    stopped = false;
    report("");
    draw();
  }

  /* Do one act with all selected tickets, after the question with these inputs; `filled()` gives the operation
     without its ticket. Tickets without a confirmed change stay selected. */
  async function actOnAll(name, filled, consequence, inputs) {
    const tickets = [...selected.values()];
    const count = counted(tickets.length, "ticket");
    const title = name[0].toUpperCase() + name.slice(1);
    if (!(await ask(`${title} ${count}?`, () => consequence, title, inputs))) {
      return;
    }
    const operation = filled();
    const left = []; // tickets that were not changed, as far as is known
    let done = 0;
    begin();
    at("bulk-progress").max = tickets.length;
    at("bulk-progress").value = 0;
    at("bulk-progress").hidden = false;
    try {
      for (let start = 0; start < tickets.length && !stopped; start += PART) {
        const part = tickets.slice(start, start + PART);
        const operations = part.map((ticket) => ({ ...operation, event: ticket.event, ticket_id: ticket.id }));
        const { results } = await call("POST", "/tickets/batch", { operations });
        results.forEach(function (result, place) {
          if (result.status === 200) {
            done += 1;
            choose([part[place]], false);
          } else {
            left.push({ said: `${part[place].id}: ${result.error}`, refused: !UNDECIDED.includes(result.status) });
          }
        });
        at("bulk-progress").value = start + part.length;
        report(progress(name, start + part.length, tickets.length, done), left);
      }
      const rest = tickets.length - done - left.length;
      report(`${name}: ${done} of ${count} done${rest ? `, stopped with ${rest} not sent` : ""}`, left);
    } catch (error) {
      report(`${name}: ${done} of ${count} done, then it stopped: ${error.message}`, left);
    } finally {
      running = false;
      at("bulk-progress").hidden = true;
      draw();
    }
  }

  function progress(name, sent, all, done) {
    return `${name}: ${grouped.format(sent)} of ${grouped.format(all)} sent, ${grouped.format(done)} done`;
  }

  /* `left`: {said, refused} of each ticket; without a refusal there was no answer, or nothing was sent. */
  function report(text, left = []) {
    at("bulk").hidden = !text;
    const list = make("ul");
    list.append(...left.slice(0, LEFT_SHOWN).map((one) => make("li", "", one.said)));
    const more = left.length - LEFT_SHOWN;
    if (more > 0) {
      list.append(make("li", "", `and ${grouped.format(more)} more`));
    }
    const refused = left.filter((one) => one.refused).length;
    const counts = [[refused, "refused"], [left.length - refused, "not confirmed"]].filter(([count]) => count);
    const summed = counts.map(([count, word]) => `${grouped.format(count)} ${word}`).join(", ");
    at("bulk").replaceChildren(make("b", "", summed ? `${text}; ${summed}:` : text), list);
  }

  at("stop")?.addEventListener("click", () => (stopped = true));
  at("select-none")?.addEventListener("click", function () {
    selected.clear();
    draw();
  });
  at("select-page")?.addEventListener("change", function () {
    for (const one of root.querySelectorAll("[data-select]")) {
      const [event, id] = one.dataset.select.split("/");
      choose([{ event, id }], at("select-page").checked);
    }
    draw();
  });

  return { box, draw, actOnAll, selectFound };
})();
