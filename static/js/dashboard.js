/* The live page: what the model knows, on the screen. Text only ever goes in as text. */
(function () {
  "use strict";

  const SPARK_SECONDS = 60;
  const ASK_EVERY = 3000; // milliseconds between two questions to the nodes while something is stuck
  const ASK_STILL = 15000; // milliseconds between them while nothing seems to be
  const LOOK_EVERY = 4000; // milliseconds between two looks at latency and gates
  const REASONS_NAMED = 3; // of a gate's refusals, the most frequent
  const { at, cell, clock: moment, drawConnection, facts, fetchJson, grouped, make, pill, put, root, states } = dtvn.ui;
  const { codeOf, link, sentenceOf, ticketsOf } = dtvn.outcomes;
  const { owner: OWNER, view: VIEW } = root.dataset; // who orders requests, and its time: primary and View, or leader and Term
  const milliseconds = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  let state = null;
  let nodes = [];
  let clusterState = null;
  let told = null; // the newest answer of the nodes to why it is stuck
  let askedAt = 0; // milliseconds
  let unanswered = false;

  // --- the log -----------------------------------------------------------------------------------

  function drawLog(fresh) {
    put("sequence", grouped.format(state.sequence));
    const total = states.reduce((sum, name) => sum + state.counts[name], 0);
    put("tickets", grouped.format(total));
    for (const name of states) {
      put(`count-${name}`, grouped.format(state.counts[name]));
    }
    drawStack(total);
    put("applied", grouped.format(state.counts.applied));
    put("refused", grouped.format(state.counts.refused));
    dtvn.outcomes.draw(at("outcomes"), state.latest, fresh);
    at("nothing").hidden = state.latest.length > 0;
    drawRate();
  }

  /* Percentiles of the last minute, from the nodes' metrics. */
  function drawLatency(found, elsewhere) {
    const text = (seconds) => (seconds === null ? "–" : `${milliseconds.format(1000 * seconds)} ms`);
    put("p95", text(found.p95));
    const nothing = elsewhere ? "only the web process of make up measures it" : "nothing decided in the last minute";
    put("latency", found.p95 === null ? nothing : `19 of 20 scans; half of them within ${text(found.p50)}, 99 of 100 within ${text(found.p99)}`);
  }

  function drawStack(total) {
    let left = 0;
    for (const name of states) {
      const bar = at(`bar-${name}`);
      const width = total ? (100 * state.counts[name]) / total : 0;
      bar.setAttribute("x", `${left}%`);
      bar.setAttribute("width", `${width}%`);
      left += width;
    }
  }

  function drawRate() {
    const now = Math.floor(Date.now() / 1000 + live.clock());
    const values = dtvn.model.series(state.rates, now, SPARK_SECONDS);
    const recent = values.slice(-6, -1); // the running second is not complete
    const rate = recent.reduce((sum, value) => sum + value, 0) / recent.length;
    put("rate", rate >= 10 || rate === 0 ? grouped.format(Math.round(rate)) : rate.toFixed(1));
    const peak = Math.max(...values);
    put("peak", peak ? `peak ${grouped.format(peak)} in the last minute` : "idle for a minute");
    const points = values.slice(0, -1).map((value, index) => {
      const x = (100 * index) / (SPARK_SECONDS - 2);
      return `${x.toFixed(2)},${(38 - (peak ? (34 * value) / peak : 0)).toFixed(2)}`;
    });
    at("spark-line").setAttribute("points", points.join(" "));
    at("spark-area").setAttribute("points", `0,40 ${points.join(" ")} 100,40`);
  }

  // --- the nodes ---------------------------------------------------------------------------------

  /* Rows drawn anew: the keyboard stays on the link where it is. */
  function redraw(body, rows) {
    const held = body.contains(document.activeElement) ? document.activeElement.href : "";
    body.replaceChildren(...rows);
    if (held) {
      [...body.querySelectorAll("a")].find((one) => one.href === held)?.focus({ preventScroll: true });
    }
  }

  function drawNodes() {
    const members = nodes.filter((node) => node.role === "validator");
    const newest = Math.max(0, ...members.map((node) => node.sequence || 0));
    redraw(at("nodes"), nodes.map((node) => nodeRow(node, newest)));
    at("no-nodes").hidden = nodes.length > 0;
    const running = members.filter((node) => node.status === "running");
    const views = running.map((node) => node.view || 0);
    put("view", views.length ? Math.max(...views) : "–");
    const primary = members.find((node) => node.is_primary);
    put("primary", `${OWNER} ${primary ? primary.id : "unknown"}`);
    drawLearner(newest);
    drawWhy();
    askInTime();
  }

  /* The log on this page is the learner's: while the learner does not read, the page is not updated, and a notice says so. */
  function drawLearner(newest) {
    const learner = outdated();
    at("outdated").hidden = learner === undefined;
    if (learner !== undefined) {
      const since = learner.heard_at ? ` since ${moment(learner.heard_at)}` : "";
      const behind = Math.max(0, newest - state.sequence);
      const missing = behind ? `; the nodes have decided ${grouped.format(behind)} more` : "";
      const shown = `Tickets, log and outcomes are as of sequence ${grouped.format(state.sequence)}${missing}.`;
      const why = learner.status === "running" ? `cannot continue (${learner.error})` : `has been ${learner.status}${since}`;
      put("outdated", `This page is not updating: the learner, which copies the log for it, ${why}. ${shown}`);
    }
    drawConnection(learner);
  }

  function outdated() {
    return nodes.find((node) => node.role === "learner" && (node.status !== "running" || node.error));
  }

  function nodeRow(node, newest) {
    const row = make("tr");
    const name = make("td", "whole");
    const details = `${root.dataset.nodesUrl}?${new URLSearchParams({ node: node.id })}`;
    name.append(link(node.id, node.role === "validator" && details, "name"));
    if (node.is_primary) {
      name.append(" ", pill("plain accent", OWNER));
    }
    const behind = node.sequence === undefined ? "–" : Math.max(0, newest - node.sequence);
    row.append(
      name,
      dtvn.ui.nodeState(node),
      cell("number", node.view ?? "–", VIEW),
      cell("number", node.sequence === undefined ? "–" : grouped.format(node.sequence), "Sequence"),
      cell("number", behind, "Behind"),
      cell("", votes(node), "Votes"),
      cell("number mono", node.pid ?? "–", "Process"),
      cell("number", node.restarts, "Restarts"),
    );
    return row;
  }

  function votes(node) {
    if (node.role === "learner") {
      return "learner";
    }
    return node.status !== "running" || node.voting === null ? "–" : node.voting ? "yes" : "no";
  }

  // --- why is it stuck ---------------------------------------------------------------------------

  /* Something is seen to be wrong: a node that should agree does not, or what is decided is late. */
  function troubled() {
    const { agreeing_members: agree, level, changing, members } = clusterState;
    const apart = nodes.some((node) => node.role === "validator" && node.desired === "running" && !agree.includes(node.id));
    const late = level === "tight" && agree.length === members && members > 2; // by the time of the log, or of a proposal
    return apart || changing || level === "stuck" || late || Boolean(outdated());
  }

  /* What nobody sees, such as a proposal without its votes, is found by asking now and then. */
  function askInTime() {
    const every = at("why-card").hidden && !troubled() ? ASK_STILL : ASK_EVERY;
    if (!document.hidden && clusterState.level !== "none" && Date.now() - askedAt >= every) {
      askWhy();
    }
  }

  async function askWhy() {
    if (unanswered) {
      return;
    }
    unanswered = true;
    askedAt = Date.now();
    try {
      told = await fetchJson(root.dataset.diagnosisUrl);
      put("asked", `as of ${new Date().toLocaleTimeString("en-GB")}`);
    } catch (error) {
      told = { level: "stuck", verdict: "Cannot ask the nodes: the platform does not respond.", nodes: [], quorum: 0 };
    } finally {
      unanswered = false;
    }
    drawWhy();
  }

  function drawWhy() {
    const found = told;
    at("why-card").hidden = found === null || found.level === "ok" || !(troubled() || found.level === "stuck");
    if (found === null) {
      return;
    }
    put("why-title", found.level === "stuck" ? "Why is it stuck?" : "What is missing?");
    put("verdict", found.verdict);
    const level = at("verdict-level");
    level.className = `pill ${{ ok: "ok", slow: "warn", stuck: "bad" }[found.level]}`;
    level.textContent = { ok: "healthy", slow: "degraded", stuck: "stuck" }[found.level];
    level.hidden = false;
    at("why").replaceChildren(...found.nodes.map((node) => whyRow(node, found.nodes, found.quorum)));
    at("why-table").hidden = found.nodes.length === 0;
  }

  function whyRow(node, all, quorum) {
    const row = make("tr");
    const name = make("td", "whole");
    name.append(make("b", "", node.id));
    if (node.problem) {
      name.append(" ", pill("bad", node.problem));
      row.append(name);
      return row;
    }
    const slot = node.slot;
    const held = (votes) => `${votes.length} of ${quorum}` + lacking(votes, all);
    row.append(
      name,
      cell("", node.changing ? `changing to ${node.view}` : node.view, VIEW),
      cell("", slot ? `${slot.sequence}, ${slot.phase.replaceAll("_", " ")}` : "none", "Undecided"),
      cell("", slot ? held(slot.prepares.concat(node.primary)) : "–", "Prepares"),
      cell("", slot ? held(slot.commits) : "–", "Commits"),
      cell("", node.pending, "Pending"),
      cell("", node.suspicion || slot?.abstain_reason || "none", "Suspects"),
    );
    return row;
  }

  function lacking(votes, all) {
    const missing = all.map((node) => node.id).filter((id) => !votes.includes(id));
    return missing.length ? `, missing ${missing.join(", ")}` : "";
  }

  // --- what comes in -----------------------------------------------------------------------------

  const live = dtvn.ui.follow({
    outdated,
    onLog: function (found, events) {
      state = found;
      drawLog(events === null ? null : Math.min(events.length, found.limits.latest));
    },
    onNodes: function (found, foundState) {
      nodes = found;
      clusterState = foundState;
      drawNodes();
    },
  });

  // --- the gates ---------------------------------------------------------------------------------

  function drawGates(found) {
    const { gates, reasons, zone, until, wrong_codes: wrong } = found;
    const counted = until === null ? `since midnight, ${zone}` : `counted up to ${moment(until)}`;
    put("gates-of", counted);
    put("admitted", grouped.format(gates.reduce((sum, gate) => sum + gate.admitted, 0)));
    put("today", counted);
    redraw(at("gates"), gates.map(gateRow));
    at("gates-table").hidden = gates.length === 0;
    at("no-gates").hidden = gates.length > 0;
    facts(at("reasons"), Object.entries(reasons).map(([code, number]) => [sentenceOf(code).replace(/\.$/, ""), grouped.format(number)]));
    at("refusals").hidden = Object.keys(reasons).length === 0;
    const late = "; answered late: is its reader set wrongly?";
    facts(at("wrong-codes-by"), wrong.map((one) => [one.caller, `${grouped.format(one.misses)}${one.late ? late : ""}`]));
    at("wrong-codes").hidden = wrong.length === 0;
  }

  function gateRow(gate) {
    const row = make("tr");
    const name = make("td", "whole");
    name.append(gate.gate ? link(gate.gate, gate.event && ticketsOf(gate.event, { q: gate.gate }), "name") : make("b", "", "no gate named"));
    if (gate.event && gate.event !== "default") {
      name.append(" ", link(gate.event, ticketsOf(gate.event, {}), "quiet soft"));
    }
    const [named, rest] = [Object.entries(gate.reasons).slice(0, REASONS_NAMED), Object.entries(gate.reasons).slice(REASONS_NAMED)];
    const why = named.map(([code, number]) => `${codeOf(code)} ${grouped.format(number)}`);
    const more = rest.reduce((sum, [, number]) => sum + number, 0);
    row.append(
      name,
      cell("number", grouped.format(gate.admitted), "Admitted"),
      cell("number", gate.rate >= 10 || gate.rate === 0 ? Math.round(gate.rate) : gate.rate.toFixed(1), "Per minute"),
      cell("number", grouped.format(gate.refused), "Refused"),
      cell("why", [...why, ...(more ? [`other ${grouped.format(more)}`] : [])].join(", ") || "–", "Why"),
      cell("number", grouped.format(gate.mistakes), "Scanned wrongly"),
    );
    return row;
  }

  async function look() {
    if (!document.hidden) {
      const now = Date.now() / 1000 + live.clock();
      const figures = await fetchJson(`${root.dataset.figuresUrl}?after=${now}`);
      drawLatency(figures.latency, figures.elsewhere);
      drawGates(await fetchJson(root.dataset.gatesUrl));
    }
  }

  setInterval(() => state && drawRate(), 1000);
  setInterval(() => clusterState && askInTime(), 1000);
  const lookSoon = dtvn.ui.soon(look, 0);
  lookSoon();
  setInterval(lookSoon, LOOK_EVERY);

  // For the tests: the page's own idea of the log, to be held against a fresh snapshot.
  dtvn.page = { state: live.state, position: live.position };
})();
