/* The list of the latest outcomes, on pages and in the admin. Text only ever goes in as text. */
dtvn.outcomes = (function () {
  "use strict";

  const FRESH_MAX = 3; // more at once than this are not highlighted: everything would flash
  const { verbs, subjects, reasons } = JSON.parse(document.getElementById("words").textContent);

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

  function outcome(event, fresh) {
    const item = make("li", fresh ? "fresh" : "");
    const time = make("time", "", new Date(event.timestamp * 1000).toLocaleTimeString("en-GB"));
    time.dateTime = new Date(event.timestamp * 1000).toISOString();
    const what = make("span", "what");
    what.append(make("span", "mono", event.ticket_id || subject(event.operation)));
    const about = [event.product, event.seat].filter(Boolean).join(", ");
    if (about) {
      what.append(" ", make("span", "soft", about));
    }
    const ok = event.code === "ok";
    const count = event.count === undefined ? "" : ` ${event.count}`;
    const where = make("span", "where");
    const asked = ok ? "" : `${event.operation.replaceAll("_", " ")} refused: ${reason(event)}, `;
    where.textContent = `${asked}via ${event.node_id} by ${event.actor}, at ${event.sequence}.${event.index}`;
    if (event.event && event.event !== "default") {
      where.textContent += ` in ${event.event}`;
    }
    item.append(time, what, pill(`plain ${tone(event, ok)}`, word(event, ok) + count), where);
    return item;
  }

  /* Only what is the guest's own matter looks like a refused guest. */
  function tone(event, ok) {
    return ok ? "ok" : ["gate", "network"].includes(event.whose) ? "warn" : "bad";
  }

  /* The reason of a refusal as a sentence without its end. */
  function reason(event) {
    const more = event.code === "blocked" && event.block_reason ? `: ${event.block_reason}` : "";
    const sentence = reasons[event.shown] || reasons[event.code] || event.code;
    return sentence.replace(/\.$/, "") + more;
  }

  /* What an operation without a ticket is about. */
  function subject(operation) {
    return subjects[operation] || operation.replaceAll("_", " ");
  }

  function word(event, ok) {
    if (!ok) {
      return (event.shown || event.code).replaceAll("_", " ");
    }
    const verb = verbs[event.verdict] || verbs[event.operation] || event.operation.replaceAll("_", " ");
    return event.repeated ? `${verb} before` : verb;
  }

  return { draw, make, pill, subject };
})();
