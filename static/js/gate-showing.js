/*
 * Shows what was decided about a scan: the large answer, and the last scans; says it aloud, and with a sound if that is
 * wanted. Text only ever goes in as text.
 */
dtvn.gateShowing = (function () {
  "use strict";

  const { at, facts, make, pill, root } = dtvn.ui;
  const { reasons } = JSON.parse(document.getElementById("words").textContent);
  const LAST_MAX = 10;
  const LAST_KEY = "gate-last"; // the last scans in this browser: no names of guests, ends of codes only
  const SOUND_KEY = "gate-sound";
  const CODE_END = 4; // characters of a code that are shown: whoever reads a whole code can print it
  const FORCEABLE = ["already_consumed", "list_closed", "list_full", "no_longer_valid", "not_yet_valid", "still_inside", "wrong_product"];
  const ANNULLABLE = ["already_consumed", "not_inside", "not_the_newest", "still_inside", "too_late_to_annul"]; // by a supervisor
  const ANNULLABLE_ONCE_ENTERED = ["blocked", "revoked", "wrong_product"]; // the guest may be inside since before
  const MOVED_MEANWHILE = "The ticket entered or left elsewhere meanwhile, or has nothing to annul: look it up again.";
  const MOVED_SINCE = "The ticket entered or left since, or this was taken back already: nothing is changed.";
  const TWICE_WITHIN = 15000; // milliseconds between two readings of one guest's code
  const TONES = { ok: [[880, 0, 0.12]], bad: [[220, 0, 0.18], [220, 0.26, 0.3]], warn: [[520, 0, 0.1], [390, 0.14, 0.1]] }; // [hertz, start, seconds]
  const LOUDNESS = 0.25;

  const shortTime = (text) => text.slice(11, 16);
  const nameOf = ({ body }) => body.ticket_id ?? endOf(body.barcode);
  const endOf = (code) => (code.length > CODE_END ? `…${code.slice(-CODE_END)}` : code);

  // --- an answer in words ------------------------------------------------------------------------

  /* "12:03" today, else "2026-08-01 12:03", on the clocks of the event. */
  function momentOf(text, now) {
    const offset = /([+-])(\d\d):(\d\d)$/.exec(text);
    const ahead = offset ? Number(`${offset[1]}1`) * (Number(offset[2]) * 60 + Number(offset[3])) * 60000 : 0;
    const today = new Date(now + ahead).toISOString().slice(0, 10);
    return text.startsWith(today) ? shortTime(text) : `${text.slice(0, 10)} ${shortTime(text)}`;
  }

  function entryOf(entry, now) {
    const where = [entry.gate && `gate ${entry.gate}`, entry.device].filter(Boolean).join(", ");
    return [entry.at ? momentOf(entry.at, now) : "at a time that is not known", where].filter(Boolean).join(" at ");
  }

  /* Was the ticket admitted by this very device a moment ago? Then its code was probably read twice. */
  function wasReadTwice(told, scan, now) {
    const { gate, device, at: moment } = told.last_entry ?? {};
    const own = gate === scan.body.gate && device === scan.body.device;
    return told.code === "already_consumed" && own && now - Date.parse(moment) < TWICE_WITHIN;
  }

  function entriesOf({ entries_used: used, entries_allowed: allowed }) {
    return (used ?? null) === null ? "" : `${used} of ${allowed ?? "any number"}`;
  }

  const isDone = (told) => told.whose === null && (told.outcome === "admitted" || told.outcome === "done");

  /* [tone, the one word, the sentence] of an answer to an undo, or to a supervisor's annulment. */
  function undoneOf(told, { body: { supervised } }) {
    if (isDone(told)) {
      return ["idle", supervised ? "Annulled" : "Undone", "It does not count any more: the guest is where the guest was before."];
    }
    if (told.whose === "network") {
      return ["warn", "Wait", "This is asked again by itself."];
    }
    const moved = told.code === "not_the_newest";
    const sentence = supervised ? MOVED_MEANWHILE : MOVED_SINCE;
    return ["warn", supervised ? "Not annulled" : "Not undone", moved ? sentence : told.message];
  }

  /* [tone, the one word, the sentence] of an answer to a scan. */
  function headOf(told, scan) {
    if (scan.body.kind === "exit" && isDone(told)) {
      return ["ok", "Goodbye", "The exit is recorded."];
    }
    if (told.whose === null && told.outcome === "admitted") {
      return ["ok", "Admitted", scan.path === root.dataset.force ? "Against the rules of the list, for the reason given." : ""];
    }
    if (told.keyboard) {
      return ["warn", "Wrong keyboard", `${told.keyboard} Nothing is said about the guest.`];
    }
    if (told.whose === "guest") {
      const more = told.code === "blocked" && told.block_reason ? `: ${told.block_reason}` : "";
      return ["bad", "Refused", `${(reasons[told.code] ?? told.message).replace(/\.$/, "")}${more}.`];
    }
    return told.whose === "network"
      ? ["warn", "Wait", `The guest waits here. This scan is asked again by itself. ${told.message}`.trim()]
      : ["warn", "Call the office", `${told.message} This says nothing about the guest.`];
  }

  const isAnnullable = (told) => ANNULLABLE.includes(told.code) || (told.last_entry && ANNULLABLE_ONCE_ENTERED.includes(told.code));

  /* What is shown of an answer to a scan. */
  function viewOf(told, scan, now) {
    const [tone, word, sentence] = scan.path === root.dataset.annul ? undoneOf(told, scan) : headOf(told, scan);
    const admitted = tone === "ok" && scan.body.kind !== "exit";
    const pairs = [
      ["Product", told.product],
      ["Seat", told.seat],
      ["Name", told.holder],
      ["Entries", entriesOf(told)],
      ["Last entry", !admitted && told.last_entry && entryOf(told.last_entry, now)],
      ["Valid from", told.code === "not_yet_valid" && told.valid_from && momentOf(told.valid_from, now)],
      ["Valid until", told.code === "no_longer_valid" && told.valid_until && momentOf(told.valid_until, now)],
      ["Perhaps", wasReadTwice(told, scan, now) && "read twice: this device admitted it just now"],
      ["Perhaps", !told.keyboard && told.hint],
    ];
    return {
      tone, word, sentence,
      what: told.ticket_id ?? nameOf(scan),
      pairs: pairs.filter(([, value]) => value),
      forceable: tone === "bad" && FORCEABLE.includes(told.code) && scan.body.kind !== "exit",
      annuls: tone !== "ok" && isAnnullable(told) ? told.ticket_id ?? "" : "",
    };
  }

  // --- the large answer --------------------------------------------------------------------------

  function draw(view) {
    at("answer").className = `answer ${view.tone}`;
    at("answer-word").textContent = view.word;
    at("answer-what").textContent = view.what;
    at("answer-sentence").textContent = view.sentence;
    facts(at("answer-facts"), view.pairs);
    if (at("force")) {
      at("force").hidden = !view.forceable;
      at("annul").hidden = !view.annuls;
      at("annul").dataset.ticket = view.annuls ?? "";
    }
  }

  const asking = (scan) => draw({ tone: "idle", word: "Asking", what: nameOf(scan), sentence: "", pairs: [] });

  function show(view) {
    draw(view);
    say([view.word, view.sentence.replace(/\.$/, ""), ...view.pairs.map(([name, value]) => `${name} ${value}`)].filter(Boolean).join(". "));
    play(view.tone);
  }

  /* Heard at once, also when it is what was said last. */
  const say = (text) => at("aloud").replaceChildren(make("p", "", text));

  // --- the last scans ----------------------------------------------------------------------------

  let offered = () => []; // further buttons of a row
  let zone; // of the event: as in the answers; undefined: the browser's
  let last = stored(LAST_KEY) ?? []; // [{nonce, tone, word, what, more, at, open, buttons}], the newest first

  /* Put a scan into the list, or change it there. Open scans stay, whatever comes after them. */
  function list(row) {
    const place = last.findIndex((one) => one.nonce === row.nonce);
    last = place < 0 ? [row, ...last] : last.with(place, { ...last[place], ...row });
    let closed = 0;
    last = last.filter((one) => one.open || (closed += 1) <= LAST_MAX);
    keep(LAST_KEY, last.map(({ buttons, ...one }) => one));
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

  function rowOf(one) {
    const row = make("li", "");
    const time = make("time", "", new Date(one.at).toLocaleTimeString("en-GB", { timeZone: zone }));
    time.dateTime = new Date(one.at).toISOString();
    const what = make("span", "what");
    what.append(make("b", "mono", one.what), " ", make("span", "soft", one.more));
    row.append(time, what, pill(one.tone === "idle" ? "" : one.tone, one.word));
    const buttons = [...(one.buttons?.() ?? []), ...offered(one)];
    if (buttons.length) {
      const acts = make("span", "acts");
      acts.append(...buttons);
      row.append(acts);
    }
    return row;
  }

  // --- sound -------------------------------------------------------------------------------------

  let context = null;
  let audible = stored(SOUND_KEY) === true;

  function play(tone) {
    if (!audible || !TONES[tone]) {
      return;
    }
    context ??= new AudioContext();
    context.resume();
    for (const [hertz, start, seconds] of TONES[tone]) {
      const [voice, volume] = [context.createOscillator(), context.createGain()];
      voice.frequency.value = hertz;
      volume.gain.value = LOUDNESS;
      voice.connect(volume).connect(context.destination);
      voice.start(context.currentTime + start);
      voice.stop(context.currentTime + start + seconds);
    }
    if (tone !== "ok") {
      navigator.vibrate?.(TONES[tone].flatMap(([, , seconds]) => [seconds * 1000, 80]));
    }
  }

  function drawSound() {
    at("sound").setAttribute("aria-pressed", audible);
  }

  at("sound").addEventListener("click", function () {
    audible = !audible;
    keep(SOUND_KEY, audible);
    drawSound();
    play("ok");
  });

  // --- what this browser keeps -------------------------------------------------------------------

  function stored(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch (error) {
      return null; // storage is switched off
    }
  }

  function keep(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch (error) {
      return; // it lasts as long as the page
    }
  }

  drawSound();
  return { asking, drawLast, entryOf, isDone, keep, nameOf, offer, list, rows: () => last, say, setZone, show, stored, viewOf };
})();
