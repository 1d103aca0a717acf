/* Who hears whom, by each member's own report: what is cut, the last hour of every pair, and the cuts of a day. */
dtvn.hearing = (function () {
  "use strict";

  const { at, cell, clock, counted, look, make, pill, put, shape, soon } = dtvn.ui;
  const RENEW_EVERY = 5000;
  const RENEW_AFTER = 300; // milliseconds from a change to a look
  const HOUR = 3600;
  const HEIGHT = { heard: 4, silent: 14 }; // of 14: silence is told by form too
  const TONES = { heard: "ok", silent: "bad", unknown: "" };
  const UNSURE = 5; // seconds between the last look at a cut and the first without it from which both are told

  const seconds = (text) => Date.parse(text) / 1000;
  const minute = (moment) => clock(moment).replace(/:\d\d$/, ""); // without seconds
  let drawn = ""; // what is shown, as JSON: what has not changed is not drawn anew, and a reader is not disturbed

  const renew = soon(async function () {
    const { content } = await look("/network");
    draw(content);
  }, RENEW_AFTER);

  function draw(found) {
    put("cut-sentence", sentence(found));
    at("cut-sentence").className = `cut ${found.cut ? (found.cut.decides.length || found.cut.may_decide.length ? "tight" : "stuck") : ""}`;
    put("cut-consequence", found.consequence);
    at("hears").hidden = found.members.length < 2;
    at("no-hears").hidden = found.members.length > 1;
    put("no-hears", found.members.length ? "One member alone hears nobody." : "No cluster yet: the Nodes page starts one.");
    put("hears-asked", found.as_of ? `as of ${clock(seconds(found.as_of))}` : "");
    const told = JSON.stringify(found.history);
    if (told !== drawn) {
      drawn = told;
      at("cuts").replaceChildren(...found.history.map(cutRow));
    }
    at("cuts-table").hidden = found.history.length === 0;
    at("no-cuts").hidden = found.history.length > 0;
    put("cuts-count", found.history.length ? counted(found.history.length, "cut") : "");
    drawMatrix(found);
  }

  function sentence(found) {
    if (!found.cut) {
      return found.sentence;
    }
    return `${found.cut.statements.map(statementOf).join(". ")}.`;
  }

  const statementOf = ({ what, since, also }) => `${what} since ${minute(seconds(since))}${also ? `; ${also}` : ""}`;

  // --- the matrix --------------------------------------------------------------------------------

  function drawMatrix({ members, links, stopped, as_of: asOf }) {
    const found = new Map(links.map((link) => [`${link.hearer} ${link.heard}`, link]));
    const head = members.map((name) => column(name));
    const corner = make("td", "", "");
    corner.append(make("span", "unseen", "Hearer"));
    at("hears-head").replaceChildren(corner, ...head);
    at("hears-rows").replaceChildren(
      ...members.map(function (hearer) {
        const made = make("tr");
        const name = make("th", "", hearer);
        name.scope = "row";
        name.append(make("span", "verb", " hears"));
        const cells = members.map((heard) => (heard === hearer ? cell("own", "–") : pairCell(found.get(`${hearer} ${heard}`), seconds(asOf), stopped)));
        made.append(name, ...cells);
        return made;
      }),
    );
  }

  function column(name) {
    const made = make("th", "", name);
    made.scope = "col";
    return made;
  }

  function pairCell(link, now, stopped) {
    const made = cell(link.state, "", link.heard);
    const known = link.state === "silent" && stopped.includes(link.heard); // it was ended here, which is no cut
    made.append(known ? pill("", "stopped") : pill(TONES[link.state], stateOf(link, now)), bar(link, now));
    return made;
  }

  function stateOf(link, now) {
    if (link.state === "unknown") {
      return "no report";
    }
    if (link.state === "heard") {
      return "heard";
    }
    return link.last_heard ? `silent ${lasting(now - seconds(link.last_heard))}` : "never heard";
  }

  /* The last hour, from left to right; its name says the same in words. */
  function bar(link, now) {
    const made = shape("svg", { class: "hour", viewBox: `0 0 ${HOUR} 14`, preserveAspectRatio: "none", role: "img", "aria-label": words(link, now) });
    for (const span of link.spans.filter(({ state }) => state in HEIGHT)) {
      const start = Math.max(0, HOUR - now + seconds(span.start));
      const width = Math.max(12, HOUR - now + seconds(span.end) - start);
      made.append(shape("rect", { class: span.state, x: start, y: 14 - HEIGHT[span.state], width, height: HEIGHT[span.state] }));
    }
    return made;
  }

  function words(link, now) {
    const silent = link.spans.filter(({ state }) => state === "silent");
    if (!silent.length) {
      return link.spans.some(({ state }) => state === "heard") ? `heard since ${minute(seconds(link.spans[0].start))}` : "nothing known of the last hour";
    }
    const times = silent.map(({ start, end }) => (end === link.spans[link.spans.length - 1].end && link.state === "silent" ? `since ${minute(seconds(start))}` : `${minute(seconds(start))} to ${minute(seconds(end))}`));
    return `last hour: silent ${times.slice(-5).join(", ")}`;
  }

  /* A length of time in words as short as a cell. */
  function lasting(length) {
    const whole = Math.max(0, Math.round(length));
    if (whole < 120) {
      return `${whole} s`;
    }
    const minutes = Math.round(whole / 60);
    return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  // --- the history -------------------------------------------------------------------------------

  function cutRow(cut) {
    const made = make("tr");
    const what = cell("whole", "");
    what.append(make("b", "", cut.statements.map(({ what: text }) => text).join("; ")));
    if (!cut.certain) {
      what.append(make("span", "reason", "cut off or stopped"));
    }
    const [start, seen, end] = [cut.started_at, cut.seen_at, cut.ended_at].map((text) => text && seconds(text));
    made.append(
      what,
      cell("number", clock(start), "Began"),
      cell("number", end ? ending(seen, end) : "lasts", "Ended"),
      cell("number", end ? length(start, seen, end) : "", "Lasted"),
      cell("", deciders(cut), "Could decide"),
    );
    return made;
  }

  /* While nobody watched, an end is only known to be between two looks. */
  const ending = (seen, end) => (end - seen > UNSURE ? `${clock(seen)} to ${clock(end)}` : clock(end));
  const length = (start, seen, end) => (end - seen > UNSURE ? `${lasting(seen - start)} to ${lasting(end - start)}` : lasting(end - start));

  /* Of its largest form. */
  function deciders({ decides, may_decide: may }) {
    return decides.length ? decides.join(", ") : may.length ? `not known: ${may.join(", ")}, if they ran` : "nobody";
  }

  setInterval(() => document.hidden || renew(), RENEW_EVERY);
  return { renew };
})();
