/* The live page: what the model knows, on the screen. Text only ever goes in as text. */
(function () {
  "use strict";

  const SPARK_SECONDS = 60;
  const ASK_EVERY = 3000; // milliseconds between two questions to the nodes, once they were asked
  const LOOK_EVERY = 4000; // milliseconds between two looks at the latency
  const { at, cell, clock: moment, drawConnection, fetchJson, grouped, make, pill, put, root, states } = dtvn.ui;
  const milliseconds = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  let state = null;
  let nodes = [];
  let clusterState = null;
  let asking = false; // the nodes are asked again and again
  let unanswered = false;

  // --- the log -----------------------------------------------------------------------------------

  function drawLog(fresh) {
    put("sequence", grouped.format(state.sequence));
    put("admitted", grouped.format(state.day.admitted));
    put("today", `since midnight, ${state.day.zone}`);
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
    put("latency", found.p95 === null ? nothing : `p50 ${text(found.p50)}, p99 ${text(found.p99)}`);
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

  function drawNodes() {
    const members = nodes.filter((node) => node.role === "validator");
    const newest = Math.max(0, ...members.map((node) => node.sequence || 0));
    at("nodes").replaceChildren(...nodes.map((node) => nodeRow(node, newest)));
    at("no-nodes").hidden = nodes.length > 0;
    const running = members.filter((node) => node.status === "running");
    const views = running.map((node) => node.view || 0);
    put("view", views.length ? Math.max(...views) : "–");
    const primary = members.find((node) => node.is_primary);
    put("primary", primary ? `primary ${primary.id}` : "primary unknown");
    const agree = clusterState.agreeing_members;
    const trouble = members.some((node) => node.desired === "running" && !agree.includes(node.id));
    drawLearner(newest);
    if ((trouble || clusterState.level === "stuck" || outdated()) && !asking) {
      startAsking();
    }
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
    name.append(make("b", "", node.id));
    if (node.is_primary) {
      name.append(" ", pill("plain accent", "primary"));
    }
    const behind = node.sequence === undefined ? "–" : Math.max(0, newest - node.sequence);
    row.append(
      name,
      dtvn.ui.nodeState(node),
      cell("number", node.view ?? "–", "View"),
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

  function startAsking() {
    asking = true;
    at("ask").hidden = true;
    askWhy();
    setInterval(() => document.hidden || askWhy(), ASK_EVERY);
  }

  async function askWhy() {
    if (unanswered) {
      return;
    }
    unanswered = true;
    try {
      drawWhy(await fetchJson(root.dataset.diagnosisUrl));
    } catch (error) {
      put("verdict", "Cannot ask the nodes: the platform does not respond.");
    } finally {
      unanswered = false;
    }
  }

  function drawWhy(found) {
    put("verdict", found.verdict);
    put("asked", `as of ${new Date().toLocaleTimeString("en-GB")}`);
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
      cell("", node.changing ? `changing to ${node.view}` : node.view, "View"),
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

  async function look() {
    if (!document.hidden) {
      const now = Date.now() / 1000 + live.clock();
      const told = await fetchJson(`${root.dataset.figuresUrl}?after=${now}`);
      drawLatency(told.latency, told.elsewhere);
      if (state && now >= state.day.end) {
        live.renew(); // a new day: what was admitted before it is known to the platform alone
      }
    }
  }

  at("ask").addEventListener("click", startAsking);
  setInterval(() => state && drawRate(), 1000);
  const lookSoon = dtvn.ui.soon(look, 0);
  lookSoon();
  setInterval(lookSoon, LOOK_EVERY);

  // For the tests: the page's own idea of the log, to be held against a fresh snapshot.
  dtvn.page = { state: live.state, position: live.position };
})();
