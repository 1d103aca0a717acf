/*
 * The large answer, which belongs to one guest and goes grey when it is old, and the last scans. Text only ever goes in as
 * text.
 */
dtvn.gateShowing = (function () {
  "use strict";

  const { at, facts, make, pill } = dtvn.ui;
  const kept = dtvn.gateKept;
  const signals = dtvn.gateSignals;
  const LAST_MAX = 10;
  const LAST_KEY = "gate-last"; // the last scans in this browser: no names of guests, ends of codes only
  const STAYS_KEY = "gate-stays"; // seconds for which an answer keeps its colour
  const STAYS = 10;
  const AGED_AFTER = 3; // seconds from which an answer shows its age
  const SECOND = 1000; // milliseconds
  const MINUTE = 60; // seconds

  // --- the large answer --------------------------------------------------------------------------

  let drawn = null; // {view, at, stays}: what is shown; at: in milliseconds; stays: it keeps its colour until the next key
  let seconds = Number(kept.read(STAYS_KEY)) || STAYS;

  /* `view`: {tone, word, what, sentence, pairs, ticket, forceable, annuls, each}; each: [{tone, name, word, sentence}] of
     several tickets. `old`: grey at once. */
  function draw(view, { stays = false, old = false } = {}) {
    drawn = { view, at: Date.now(), stays };
    at("answer").className = `answer ${old ? "old" : view.tone}`;
    at("answer-word").textContent = view.word;
    at("answer-age").textContent = "";
    at("answer-what").textContent = view.what;
    at("answer-sentence").textContent = view.sentence;
    facts(at("answer-facts"), view.pairs);
    at("answer-each").hidden = !view.each;
    at("answer-each").replaceChildren(...(view.each ?? []).map(eachOf));
    if (at("order")) {
      at("order").hidden = !view.ticket;
      at("order").dataset.ticket = view.ticket ?? "";
    }
    if (at("force")) {
      at("force").hidden = !view.forceable;
      at("annul").hidden = !view.annuls;
      at("annul").dataset.ticket = view.annuls ?? "";
    }
  }

  function eachOf({ tone, name, word, sentence }) {
    const line = make("li", tone);
    line.append(make("b", "", name), " ", make("span", "", [word, sentence].filter(Boolean).join(". ")));
    return line;
  }

  /* The answer belongs to the guest before: the next one stands here. */
  function age() {
    if (drawn && drawn.view.tone !== "idle") {
      at("answer").className = "answer old";
    }
  }

  /* Draw how old the answer is; called each second. */
  function tick() {
    const old = drawn ? Math.floor((Date.now() - drawn.at) / SECOND) : 0;
    if (old < AGED_AFTER || drawn.view.tone === "idle") {
      return;
    }
    at("answer-age").textContent = old < MINUTE ? `${old} s ago` : `${Math.floor(old / MINUTE)} min ago`;
    if (old >= seconds && !drawn.stays) {
      age();
    }
  }

  /* Seconds for which an answer keeps its colour: as this browser was told, or `chosen` from now on. */
  function colourSeconds(chosen) {
    if (chosen) {
      seconds = chosen;
      kept.write(STAYS_KEY, seconds);
    }
    return seconds;
  }

  function asking(name) {
    draw({ tone: "idle", word: "Asking", what: name, sentence: "", pairs: [] });
    scrollTo(0, 0); // the answer is seen, whatever was looked at
  }

  function show(view, options) {
    draw(view, options);
    const each = (view.each ?? []).map(({ name, word }) => `${name}: ${word}`);
    say([view.word, view.sentence.replace(/\.$/, ""), ...each, ...view.pairs.map(([name, value]) => `${name} ${value}`)].filter(Boolean).join(". "));
    signals.give(view.tone);
  }

  /* Heard at once, also when it is what was said last. */
  const say = (text) => at("aloud").replaceChildren(make("p", "", text));

  // --- the last scans ----------------------------------------------------------------------------

  let offered = () => []; // further buttons of a row
  let zone; // of the event: as in the answers; undefined: the browser's
  let last = kept.read(LAST_KEY) ?? []; // [{nonce, tone, word, what, name, about, more, at, open, buttons}], the newest first

  /* Put a scan into the list, or change it there. Open scans stay, whatever comes after them. */
  function list(row) {
    const place = last.findIndex((one) => one.nonce === row.nonce);
    last = place < 0 ? [row, ...last] : last.with(place, { ...last[place], ...row });
    let closed = 0;
    keep(last.filter((one) => one.open || (closed += 1) <= LAST_MAX));
  }

  function remove(nonce) {
    keep(last.filter((one) => one.nonce !== nonce));
  }

  /* A guest's name lasts as long as the page. */
  function keep(rows) {
    last = rows;
    kept.write(LAST_KEY, last.map(({ buttons, name, ...one }) => one));
    drawLast();
  }

  function offer(buttonsOf) {
    offered = buttonsOf;
    drawLast();
  }

  /* Times are on the clocks of this zone from now on, if the browser knows it. */
  function setZone(name) {
    try {
      new Intl.DateTimeFormat("en-GB", { timeZone: name });
      zone = name;
    } catch (error) {
      zone = undefined;
    }
    at("last-zone").textContent = `on the clocks of ${zone ?? "this device"}`;
    drawLast();
  }

  function drawLast() {
    const held = at("last").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    at("last-none").hidden = last.length > 0;
    at("last").replaceChildren(...last.map(rowOf));
    if (held) {
      [...at("last").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
  }

  /* Whose scan it was, for people: a ticket's id may be made up. */
  const titleOf = ({ name, about, what }) => [name, about].filter(Boolean).join(", ") || what;

  function rowOf(one) {
    const row = make("li", "");
    const time = make("time", "", new Date(one.at).toLocaleTimeString("en-GB", { timeZone: zone }));
    time.dateTime = new Date(one.at).toISOString();
    const what = make("span", "what");
    const title = titleOf(one);
    const isNamed = title !== one.what;
    what.append(make("b", isNamed ? "" : "mono", title), " ");
    if (isNamed) {
      what.append(make("span", "soft mono", one.what), " ");
    }
    what.append(make("span", "soft", one.more));
    row.append(time, what, pill(one.tone === "idle" ? "" : one.tone, one.word));
    const buttons = [...(one.buttons?.() ?? []), ...offered(one)];
    if (buttons.length) {
      const acts = make("span", "acts");
      acts.append(...buttons);
      row.append(acts);
    }
    return row;
  }

  return { age, asking, colourSeconds, draw, drawLast, list, offer, remove, rows: () => last, say, setZone, show, tick, titleOf };
})();
