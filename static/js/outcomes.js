/* The list of the latest outcomes, on pages and in the admin. Text only ever goes in as text. */
dtvn.outcomes = (function () {
  "use strict";

  const FRESH_MAX = 3; // more at once than this are not highlighted: everything would flash
  const SLOTS = 16384; // numbers of operations in one sequence
  const MAIN = "main"; // the list that goes without saying
  const EXIT = "exit";
  const LEFT = "left"; // the word for an exit
  const { verbs, subjects, reasons, callers, places, codes = {}, states = {} } = JSON.parse(document.getElementById("words").textContent);

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) {
      element.className = className;
    }
    if (text !== undefined) {
      element.textContent = text;
    }
    return element;
  }

  function pill(tone, text) {
    return make("span", `pill ${tone}`.trim(), text);
  }

  /* Show the events of `latest`, newest first; the first `fresh` of them are new, null: all are drawn anew. */
  function draw(list, latest, fresh) {
    if (fresh === null) {
      list.replaceChildren(...latest.map((event) => outcome(event, false)));
      return;
    }
    const highlight = fresh <= FRESH_MAX;
    list.prepend(...latest.slice(0, fresh).map((event) => outcome(event, highlight)));
    while (list.children.length > latest.length) {
      list.lastElementChild.remove();
    }
  }

  /* "12:03:04 CEST", on the clocks of a zone; on the browser's where it does not know that one. */
  function clockOf(then, zone) {
    const named = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
    try {
      return then.toLocaleTimeString("en-GB", { ...named, timeZone: zone });
    } catch (error) {
      return then.toLocaleTimeString("en-GB", named);
    }
  }

  /* A link; without an address the text alone. */
  function link(text, address, className) {
    const made = make(address ? "a" : "span", className, text);
    if (address) {
      made.href = address;
    }
    return made;
  }

  /* The address of the tickets of an event, of one of them, or of those that a text finds. */
  function ticketsOf(event, { ticket = "", q = "" }) {
    const query = new URLSearchParams(ticket ? { ticket: `${event}/${ticket}` } : { event });
    return `${places.tickets}?${query}${q ? `#${new URLSearchParams({ q })}` : ""}`;
  }

  /* The address of what happened on a list of an event. */
  const listOf = (event, list) => `${places.lists}?${new URLSearchParams({ slug: event, list })}#list-title`;

  const logOf = (event) => places.log && `${places.log}${event.sequence * SLOTS + event.index}/change/`;

  function outcome(event, fresh) {
    const item = make("li", fresh ? "fresh" : "");
    const then = new Date(event.timestamp * 1000);
    const time = make("time");
    time.append(link(clockOf(then, event.zone), logOf(event), "quiet"));
    time.dateTime = then.toISOString();
    time.title = `sequence ${event.sequence}.${event.index}, via ${event.node_id}`;
    const found = (q) => link(q, ticketsOf(event.event, { q }), "quiet");
    const what = make("span", "what");
    what.append(link(event.ticket_id || subject(event.operation), event.ticket_id && ticketsOf(event.event, { ticket: event.ticket_id }), "mono"));
    [event.product, event.seat].filter(Boolean).forEach((text, place) => what.append(place ? ", " : " ", found(text)));
    const ok = event.code === "ok";
    const count = event.count === undefined ? "" : ` ${event.count}`;
    item.append(time, what, pill(`plain ${tone(event, ok)}`, word(event, ok) + count), whereOf(event, ok, found));
    return item;
  }

  /* Why it was refused, at which gate and device, or else by whom. */
  function whereOf(event, ok, found) {
    const asked = event.kind === EXIT ? EXIT : event.operation.replaceAll("_", " ");
    const parts = ok ? [] : [[`${asked} refused: ${reason(event)}`]];
    if (event.list && event.list !== MAIN) {
      parts.push(["list ", link(event.list, listOf(event.event, event.list), "quiet")]);
    }
    if (event.gate) {
      parts.push(["gate ", found(event.gate)]);
    }
    if (event.device) {
      parts.push(["device ", found(event.device)]);
    }
    if (!event.gate && !event.device && event.actor) {
      parts.push([`by ${callerOf(event.actor)}`]);
    }
    if (event.event && event.event !== "default") {
      parts.push(["in ", link(event.event, ticketsOf(event.event, {}), "quiet")]);
    }
    const where = make("span", "where");
    parts.forEach((part, place) => where.append(...(place ? [", "] : []), ...part));
    return where;
  }

  /* A person or a program as people call it. */
  const callerOf = (actor) => callers[actor] ?? actor.replace(/^user:/, "").replace(/^key:/, "key ");

  /* Only what is the guest's own matter looks like a refused guest. */
  function tone(event, ok) {
    if (ok) {
      return event.operation === "force" ? "warn" : "ok";
    }
    return ["gate", "network"].includes(event.whose) ? "warn" : "bad";
  }

  /* The reason of a refusal as a sentence without its end. */
  function reason(event) {
    const more = event.code === "blocked" && event.block_reason ? `: ${event.block_reason}` : "";
    const sentence = reasons[event.shown] || reasons[event.code] || event.code;
    return sentence.replace(/\.$/, "") + more;
  }

  /* A code of a refusal in short words. */
  const codeOf = (code) => codes[code] ?? code.replaceAll("_", " ");

  /* What an operation without a ticket is about. */
  function subject(operation) {
    return subjects[operation] || operation.replaceAll("_", " ");
  }

  function word(event, ok) {
    if (!ok) {
      return codeOf(event.shown || event.code);
    }
    const verb = (event.kind === EXIT && LEFT) || verbs[event.verdict] || verbs[event.operation] || event.operation.replaceAll("_", " ");
    return event.repeated ? `${verb} before` : verb;
  }

  return { draw, make, pill, subject, codeOf, stateOf: (state) => states[state] ?? state, link, ticketsOf, listOf, sentenceOf: (code) => reasons[code] ?? code.replaceAll("_", " ") };
})();
