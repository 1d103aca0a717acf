/* Runs of agents: those that are judged now, one in detail, and a recording under each algorithm. */
(function () {
  "use strict";

  const { place, placed } = dtvn.ui;
  const { at, attempt, button, cell, facts, grouped, look, make, pill, put } = dtvn.ui;
  const RUNS = 50;
  const AGAIN_AFTER = 300; // milliseconds
  const VERDICT = { valid: ["ok", "valid"], invalid: ["bad", "not valid"], none: ["warn", "no verdict"] };
  const GIVEN = ["valid", "invalid", "abstained", "silent", "not_waited_for", "contradicted", "not_asked"];
  const SAID = {
    valid: ["ok", "valid"],
    invalid: ["bad", "not valid"],
    abstained: ["warn", "abstained"],
    silent: ["warn", "no answer"],
    not_waited_for: ["", "not waited for"],
    contradicted: ["bad", "contradicted itself"],
    not_asked: ["", "not asked"],
  };
  const EMPTY = {
    "": "No run has been judged yet. Agents' runs appear here while they are judged: over the API, a WebSocket or the proxy.",
    "verdict=invalid": "No run was found not valid.",
    "status=open": "No run is open now.",
    "owed=waiting": "No run is owed: the members have judged all that the platform judged alone.",
    "differs=true": "The members have found nothing otherwise than the platform did when it judged alone.",
  };
  const form = at("request");
  let known = {}; // cautions by algorithm
  let promised = {}; // what each algorithm promises here, and what it needs

  let { show: shown = "", run: chosen = null } = placed(); // which runs are listed, and the one in detail

  const WORDS = { not_next: "this run was recorded before", REFUSED_BY_FEW: "too few name the same rule" };
  const plain = (word) => WORDS[word] ?? word.replaceAll("_", " ");
  const verdict = (word) => pill(`${(VERDICT[word] ?? VERDICT.none)[0]} firm`, (VERDICT[word] ?? VERDICT.none)[1]);

  function answers(members) {
    const made = make("span", "acts");
    for (const one of members) {
      const [tone, word] = SAID[one.given] ?? ["", one.given];
      made.append(pill(tone, `${one.member}: ${word}${one.reason ? `, ${plain(one.reason)}` : ""}`));
    }
    return made;
  }

  // --- judged twice: by the platform's rules alone, later by the members ---------------------------

  const time = (moment) => dtvn.ui.clock(Date.parse(moment) / 1000);
  const said = (code, by) => (code ? `refused ${by} (${plain(code)})` : `accepted ${by}`);
  const difference = (each) => `event ${each.index}: ${said(each.here, "here")}, ${said(each.members, "by the members")}`;

  /* Both verdicts in one sentence; "" for a run that the members judged at once. */
  function twice(run) {
    if (!run.owed) {
      return "";
    }
    const here = `Judged here at ${time(run.here_at)}: ${run.here_code ? `not valid, ${plain(run.here_code)}` : "valid"}`;
    if (run.owed === "waiting") {
      return `${here}. The members owe a judgement, which they give once a quorum answers.`;
    }
    if (run.owed === "refused") {
      return `${here}. The members will not judge it later: have it judged again.`;
    }
    const members = run.differs ? `differs: ${run.differences.map(difference).join("; ")}` : "the same";
    return `${here}; by the members at ${time(run.settled_at)}: ${members}.`;
  }

  const OWED = { waiting: ["warn", "owed"], refused: ["warn", "judged here only"] };

  function mark(run) {
    const [tone, word] = run.differs ? ["bad", "differs"] : OWED[run.owed] ?? ["", ""];
    return word ? [pill(tone, word)] : [];
  }

  /* The verdict of the platform's own rules, while the members owe theirs. */
  const judgedHere = (run) => (run.here_valid ? pill("ok", "valid here") : pill("bad", "not valid here"));

  function details(run, label) {
    const acts = cell("whole acts", "");
    acts.append(button("Details", () => choose(run.id), label));
    return acts;
  }

  // --- the list ----------------------------------------------------------------------------------

  function row(run) {
    const made = make("tr");
    if (String(run.id) === chosen) {
      made.setAttribute("aria-current", "true");
    }
    const name = cell("whole why", "");
    name.append(make("b", "", run.run || `Run ${run.id}`), make("span", "under", run.thread));
    const outcome = cell("whole", "");
    outcome.append(run.owed === "waiting" ? judgedHere(run) : verdict(run.verdict), ...mark(run));
    if (run.status !== "ended") {
      outcome.append(pill(run.status === "open" ? "accent" : "warn", run.status));
    }
    made.append(
      name,
      outcome,
      cell("", run.algorithm, "Algorithm"),
      cell("number", grouped.format(run.here_events ?? run.events), "Events"),
      cell("why", run.code ? plain(run.code) : "–", "First refusal"),
      cell("roomy", dtvn.ui.clock(Date.parse(run.created_at) / 1000), "Started"),
      details(run, `Details of run ${run.id}`),
    );
    return made;
  }

  async function drawRuns() {
    const wanted = shown;
    const found = await look(`/events/runs?limit=${RUNS}${wanted ? `&${wanted}` : ""}`);
    if (wanted !== shown) {
      renew();
      return;
    }
    const runs = found.content;
    const held = document.activeElement?.getAttribute("aria-label");
    at("runs").replaceChildren(...runs.map(row));
    if (held) {
      [...at("runs").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
    at("no-runs").hidden = runs.length > 0;
    put("no-runs", EMPTY[wanted] ?? EMPTY[""]);
    const total = Number(found.headers.get("X-Total-Count"));
    put("counted", total > runs.length ? `newest ${runs.length} of ${grouped.format(total)}` : "");
    const owed = Number((await look("/events/runs?owed=waiting&limit=1")).headers.get("X-Total-Count"));
    put("owed", owed ? `${dtvn.ui.counted(owed, "run")} owed` : "");
  }

  // --- one run -----------------------------------------------------------------------------------

  function line(index, text, offending) {
    const made = make("span", offending ? "offending" : "");
    made.append(make("b", "", `${index} `), text);
    return made;
  }

  function violation(one, excerpts) {
    const item = make("li");
    const head = make("p", "acts");
    head.append(pill(one.severity === "error" ? "bad" : "warn", plain(one.code)), `event ${one.index}${one.field ? `, ${one.field}` : ""}`);
    item.append(head);
    const found = excerpts.find((excerpt) => excerpt.index === one.index);
    if (found) {
      const text = make("pre", "output");
      text.tabIndex = 0;
      text.setAttribute("role", "region");
      text.setAttribute("aria-label", `Event ${one.index} and its neighbours`);
      text.append(...found.before.map(([index, before]) => line(index, before)), line(one.index, found.text, true));
      if (found.after) {
        text.append(line(found.after[0], found.after[1]));
      }
      item.append(make("p", "", found.message), text);
    }
    return item;
  }

  function piece(one) {
    const made = make("tr");
    const last = one.position + one.count - 1;
    const outcome = cell("whole", "");
    outcome.append(verdict(one.verdict));
    if (one.text) {
      outcome.append(make("span", "reason", one.text));
    }
    const nodes = cell("whole", "");
    nodes.append(answers(one.members));
    made.append(
      cell("", one.count === 1 ? `${one.position}` : `${one.position} to ${last}`, "Events"),
      outcome,
      nodes,
      cell("mono short", one.certificate ? one.scope.slice(0, 16) : "none", "Certificate"),
    );
    return made;
  }

  async function drawOne() {
    const wanted = chosen;
    at("one").hidden = wanted === null;
    if (wanted === null) {
      return;
    }
    const run = (await look(`/events/runs/${encodeURIComponent(wanted)}`)).content;
    if (wanted !== chosen) {
      return;
    }
    put("one-title", `Run ${run.run || run.id}`);
    const [tone, word] = VERDICT[run.verdict];
    at("one-verdict").className = `pill ${tone}`;
    put("one-verdict", word);
    at("twice").hidden = !run.owed;
    put("twice", twice(run));
    const log = run.recorded ? run.records.at(-1) : null;
    const refused = run.failure && run.failure === run.record_code; // by the log
    facts(at("facts"), [
      ["Thread", run.thread],
      ["Algorithm", run.caution ? `${run.algorithm}. ${run.caution}` : run.algorithm],
      ["State", run.status],
      ["Events", `${grouped.format(run.events)} judged, ${grouped.format(run.refused)} refused`],
      ["Certificate", run.scope === "LOCAL_ONLY" ? "none" : run.scope],
      ["In the log", refused ? `not recorded: ${plain(run.failure)}` : log ? `at ${log.sequence}.${log.index}` : run.recorded ? plain(run.record_code || "not yet") : "not recorded"],
      ["Asked by", run.actor],
    ].concat(run.failure && !refused ? [[run.verdict === "none" ? "No verdict" : "Newest events", plain(run.failure)]] : []));
    const votes = Object.entries(run.votes).sort();
    at("votes").replaceChildren(...votes.map(([node, counts]) => {
      const made = make("tr");
      made.append(cell("whole", node), ...GIVEN.map((name) => cell("number", grouped.format(counts[name] ?? 0), SAID[name][1])));
      return made;
    }));
    at("no-votes").hidden = votes.length > 0;
    at("violations").replaceChildren(...run.violations.map((one) => violation(one, run.excerpts)));
    at("no-violations").hidden = run.violations.length > 0;
    const omitted = Object.values(run.omitted).reduce((sum, count) => sum + count, 0);
    const gone = run.violations.length > 0 && run.excerpts.length === 0;
    at("omitted").hidden = !omitted && !gone;
    put("omitted", [omitted ? `${grouped.format(omitted)} more are counted, not listed.` : "", gone ? "The events themselves are shown to who had them judged, while they are in memory." : ""].join(" ").trim());
    at("pieces").replaceChildren(...run.pieces.toReversed().map(piece));
    at("no-pieces").hidden = run.pieces.length > 0;
  }

  const settle = () => place({ show: shown, run: chosen ?? "" }, true);

  /* What the address says: by back, or by a link. */
  function arrive() {
    ({ show: shown = "", run: chosen = null } = placed());
    drawTabs();
    attempt(draw, "");
  }

  function choose(id) {
    chosen = String(id);
    settle();
    attempt(draw, "");
    at("one").hidden = false;
    at("one-title").focus();
    at("one").scrollIntoView({ block: "start" });
  }

  // --- a recording -------------------------------------------------------------------------------

  /* The report, and the milliseconds until it came. */
  async function judge(algorithm, text) {
    const begun = performance.now();
    const response = await fetch(`/api/v1/events/stream?recorded=false&algorithm=${algorithm}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/x-ndjson", "X-CSRFToken": dtvn.ui.root.dataset.csrf },
      body: text,
    });
    const lines = (await response.text()).trim().split("\n");
    const last = JSON.parse(lines.at(-1));
    if (!response.ok || last.error) {
      throw new Error(last.error ?? `the platform answered ${response.status}`);
    }
    return [last.report, performance.now() - begun];
  }

  function compared(report, took) {
    const made = make("tr");
    const promise = promised[report.algorithm];
    const certificates = report.pieces.filter((one) => one.certificate).length;
    const outcome = cell("whole", "");
    outcome.append(verdict(report.verdict));
    if (report.failure) {
      // A quorum's decision stands; else the rules of this platform judge.
      const decided = report.verdict !== "none" || report.code === report.failure.code;
      const here = decided ? "" : ` The rules here say: ${report.valid ? "valid" : "not valid"}.`;
      outcome.append(make("span", "reason", report.failure.text + here));
    }
    const nodes = cell("whole", "");
    nodes.append(answers(report.pieces.at(-1)?.members ?? []));
    const first = report.violations.find((one) => one.code === report.code);
    if (report.caution) {
      caution(report.caution);
    }
    made.append(
      cell("whole", report.algorithm),
      outcome,
      cell("whole why said", report.code ? `${plain(report.code)}${first ? ` at event ${first.index}` : ""}` : "–", "First refusal"),
      nodes,
      cell("", promise ? `${promise.needed} of ${promise.members}, ${promise.asked} asked at once` : "–", "Answers needed"),
      cell("number", `${grouped.format(Math.round(took))} ms`, "Time"),
      cell("", certificates ? `yes, ${certificates === 1 ? "one" : certificates}` : "none", "Certificate"),
      cell("whole why said", promise ? `${promise.liar} ${promise.crash}` : "–", "If members lie or crash"),
      details(report, `Details under ${report.algorithm}`),
    );
    return made;
  }

  /* The algorithms of which this cluster offers none, and why. */
  function absent() {
    return Object.entries(promised).filter(([, promise]) => !promise.offered).map(([name, promise]) => {
      const made = make("tr");
      const why = cell("whole why said", `not offered here: ${promise.reason}`);
      why.colSpan = 8;
      made.append(cell("whole", name), why);
      return made;
    });
  }

  async function compare(wanted, text) {
    const algorithms = wanted ? [wanted] : await offered();
    at("judge").disabled = true;
    at("comparison").replaceChildren();
    try {
      for (const algorithm of algorithms) {
        put("judging", `Asking the nodes: ${algorithm}`);
        at("comparison").append(compared(...(await judge(algorithm, text))));
        at("compared").hidden = false;
      }
      at("comparison").append(...(wanted ? [] : absent()));
    } finally {
      at("judge").disabled = false;
      put("judging", "");
    }
  }

  // --- what comes in, and what people do ---------------------------------------------------------

  async function draw() {
    await drawRuns();
    await drawOne();
  }

  async function offered() {
    const list = at("algorithms");
    const { algorithms, cautions, promises } = (await look("/events")).content;
    const held = list.value;
    list.replaceChildren(list.options[0], ...algorithms.map((name) => new Option(name, name)));
    list.value = algorithms.includes(held) ? held : "";
    known = cautions;
    promised = promises;
    warn();
    return algorithms;
  }

  /* Below the choice: what whoever takes this algorithm should know. */
  function caution(said) {
    at("caution").hidden = !said;
    put("caution", said);
  }

  const warn = () => caution(known[at("algorithms").value] ?? "");

  const renew = dtvn.ui.soon(draw, AGAIN_AFTER);

  function take(message) {
    if (message.type === "event_runs") {
      renew();
    }
  }

  function live() {
    renew();
    if (form) {
      offered().catch(() => {}); // no cluster yet; the list is asked for again before anything is checked
    }
  }

  function drawTabs() {
    for (const one of document.querySelectorAll("[data-show]")) {
      one.setAttribute("aria-pressed", String(one.dataset.show === shown));
    }
  }

  dtvn.page = dtvn.ui.follow({ onMessage: take, onLive: live });
  drawTabs();
  addEventListener("popstate", arrive);

  at("close").addEventListener("click", function () {
    const left = chosen;
    chosen = null;
    settle();
    attempt(draw, "");
    [...at("runs").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === `Details of run ${left}`)?.focus();
  });
  for (const one of document.querySelectorAll("[data-show]")) {
    one.addEventListener("click", function () {
      shown = one.dataset.show;
      settle();
      drawTabs();
      renew();
    });
  }
  if (form) {
    form.elements.algorithm.addEventListener("change", warn);
    form.elements.file.addEventListener("change", async function () {
      const file = form.elements.file.files[0];
      if (file) {
        form.elements.events.value = await file.text();
      }
    });
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      const wanted = form.elements.algorithm.value;
      attempt(async () => compare(wanted, form.elements.events.value), "Checked");
    });
  }
})();
