/*
 * Acts on one ticket: what the person fills in, and what the answer tells a steward: outcome, reason, product,
 * seat, last entry. Text only ever goes in as text.
 */
dtvn.ticketActs = (function () {
  "use strict";

  const { at, ask, call, facts, fetchJson, make, pill, root } = dtvn.ui;
  const { codeOf } = dtvn.outcomes;
  const ACTS = JSON.parse(document.getElementById("acts").textContent);
  const CODES_MAX = 8;
  const REASON_MAX = Number(root.dataset.reasonMax);
  const LABEL_MAX = 256;
  const MINUTES = 60000;
  const BEFORE_MAX = 5; // answers before the one that is shown
  const TIMES = { not_before: "Valid from", not_after: "Valid until" };
  const TONES = { admitted: "ok", done: "ok", refused: "bad", error: "warn", unknown: "warn" };
  const HEADS = { admitted: "Admitted", done: "Done", refused: "Refused", error: "Not asked correctly", unknown: "Not decided" };

  const titled = (name) => ACTS[name].title;

  /* In an event whose ids are no codes, an admission without a code is by name. */
  const labelOf = (name, ticket) => (name === "admit" && ticket.by_name ? "Admit by name" : titled(name));

  // --- fields of the dialog ----------------------------------------------------------------------

  function labelled(text, field) {
    const label = make("label", "", text);
    label.append(field);
    return label;
  }

  function textField(value = "", max = LABEL_MAX) {
    const field = make("input");
    Object.assign(field, { type: "text", value, maxLength: max, autocomplete: "off" });
    return field;
  }

  /* [labels, a function that gives the fields of the body] of an act; `terms`: of its ticket as it is now. */
  function fieldsOf(name, terms) {
    const made = ACTS[name].inputs.map((input) => (BUILDERS[input] ?? timeField(input))(terms));
    return [made.map(([label]) => label), () => Object.assign({}, ...made.map(([, read]) => read()))];
  }

  const BUILDERS = {
    reason() {
      const field = textField("", REASON_MAX);
      return [labelled("Reason, kept in the log for ever: no personal data", field), () => ({ reason: field.value.trim() })];
    },
    barcodes() {
      const field = make("textarea");
      Object.assign(field, { rows: 3, required: true, spellcheck: false, autocomplete: "off" });
      const lines = () => field.value.split("\n").map((line) => line.trim()).filter(Boolean);
      field.addEventListener("input", function () {
        const many = lines().length > CODES_MAX;
        field.setCustomValidity(many ? `At most ${CODES_MAX} codes.` : lines().length ? "" : "Give at least one code.");
      });
      return [labelled("New codes, one a line", field), () => ({ barcodes: lines() })];
    },
    product(terms) {
      const [label, read] = changed("product", "Product", terms);
      const list = make("datalist");
      list.id = "products-of-event";
      list.append(...terms.products.map((product) => new Option(product)));
      label.querySelector("input").setAttribute("list", list.id);
      label.append(list);
      return [label, read];
    },
    seat: (terms) => changed("seat", "Seat", terms),
  };

  function changed(name, text, terms) {
    const field = textField(terms[name]);
    return [labelled(text, field), () => (field.value.trim() === terms[name] ? {} : { [name]: field.value.trim() })];
  }

  function timeField(name) {
    return function (terms) {
      const field = make("input");
      Object.assign(field, { type: "datetime-local", step: 1, value: terms[name] });
      field.addEventListener("input", function () {
        const skipped = field.value && secondsOf(field.value, terms.zone) === null;
        field.setCustomValidity(skipped ? `The clocks of ${terms.zone} skip this hour.` : "");
      });
      const read = () => (same(field.value, terms[name]) ? {} : { [name]: field.value ? secondsOf(field.value, terms.zone) : 0 });
      return [labelled(`${TIMES[name]} (${terms.zone}; empty: no bound)`, field), read];
    };
  }

  /* Browsers leave seconds out that are zero. */
  const same = (left, right) => left === right || (left && `${left}:00` === right);

  /* Unix seconds of a time on the clocks of a zone; null if they skip it. */
  function secondsOf(text, zone) {
    const wanted = Date.parse(`${text}Z`);
    for (const hint of [wanted - 12 * 60 * MINUTES, wanted + 12 * 60 * MINUTES]) {
      const at = wanted - (clockOf(hint, zone) - hint);
      if (clockOf(at, zone) === wanted) {
        return at / 1000;
      }
    }
    return null;
  }

  /* What the clocks of a zone show at a moment, as milliseconds of UTC with the same digits. */
  function clockOf(moment, zone) {
    const options = { timeZone: zone, hourCycle: "h23", dateStyle: "short", timeStyle: "medium" };
    const shown = new Intl.DateTimeFormat("sv-SE", options).format(moment); // 2026-07-31 18:00:00
    return Date.parse(`${shown.replace(" ", "T")}Z`);
  }

  // --- what was answered -------------------------------------------------------------------------

  const shownTime = (text) => text && text.replace("T", " ").replace(/([+-]\d\d:\d\d|Z)$/, " $1");

  function entryOf(entry) {
    const where = [entry.gate && `gate ${entry.gate}`, entry.device && `device ${entry.device}`];
    return [shownTime(entry.at) ?? "at a time that is not known", ...where].filter(Boolean).join(", ");
  }

  /* Show what the answer tells, above the heads of the answers before it: the next scan does not wait. */
  function tell(name, told, sentence) {
    const head = make("p", "head");
    const good = told.outcome === "done" || told.outcome === "admitted";
    const before = at("told-content").querySelector(".head");
    if (before) {
      at("told-before").prepend(make("li"));
      at("told-before").firstChild.append(...before.childNodes);
      at("told-before").children[BEFORE_MAX]?.remove();
    }
    const what = told.ticket_id ? `${told.ticket_id}: ${sentence}` : sentence;
    head.append(pill(TONES[told.outcome], HEADS[told.outcome]), " ", make("b", "", what));
    const list = make("dl", "facts");
    const pairs = [
      ["Product", told.product],
      ["Seat", told.seat],
      ["Holder", told.holder],
      ["Entry", told.last_entry && entryOf(told.last_entry)],
      ["Valid from", shownTime(told.valid_from)],
      ["Valid until", shownTime(told.valid_until)],
      ["Blocked", told.blocked && (told.block_reason || "yes")],
      ["Hint", told.hint],
      ["Reason", good ? "" : codeOf(told.code)],
    ];
    facts(list, pairs.filter(([, value]) => value));
    at("told").className = `card told ${TONES[told.outcome]}`;
    at("told-content").replaceChildren(head, list);
    at("told-title").textContent = titled(name);
    at("told").hidden = false;
    at("told-aloud").textContent = [`${HEADS[told.outcome]}. ${sentence}`, told.product, told.seat, told.hint].filter(Boolean).join(", ");
    at("told").scrollIntoView({ block: "nearest" });
  }

  /* Do an act whose answer tells what a steward needs. `about`: the ticket, or the code that was read. */
  async function perform(name, about, more) {
    const { path, fields } = ACTS[name];
    try {
      const told = await call("POST", path, { ...about, ...fields, ...more });
      tell(name, told, told.message);
    } catch (error) {
      if (!error.content?.outcome) {
        throw error;
      }
      tell(name, error.content, error.message);
    }
  }

  /* Ask the person, with what the act needs; resolves to the fields of the body, or null if it is not wanted. */
  async function asked(name, ticket) {
    const { consequence, inputs } = ACTS[name];
    if (!consequence && !inputs.length) {
      return {};
    }
    let terms = null;
    if (inputs.includes("product")) {
      const query = new URLSearchParams({ event: ticket.event, ticket: ticket.id });
      ({ terms } = await fetchJson(`${root.dataset.oneUrl}?${query}`));
    }
    const [labels, read] = fieldsOf(name, terms);
    const yes = await ask(`${labelOf(name, ticket)} ${ticket.id}?`, () => consequence, titled(name), labels);
    return yes ? read() : null;
  }

  at("told-close")?.addEventListener("click", function () {
    at("told").hidden = true;
    at("act-form").elements.ticket_id.focus();
  });

  return { ACTS, asked, fieldsOf, labelOf, perform, tell };
})();
