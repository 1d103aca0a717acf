/* The simulator: start a run, follow it frame by frame, stop it, and look at runs that are kept. */
(function () {
  "use strict";

  const { at, attempt, button, call, cell, counted, facts, grouped, look, make, pill, put } = dtvn.ui;
  const LINES = Number(dtvn.ui.root.dataset.linesKept);
  const RUNS = 20;
  const AGAIN_AFTER = 1000; // milliseconds
  const TONE = { running: "accent", complete: "ok", error: "bad" };
  const FIGURES = {
    validated_tickets: "Validated tickets",
    consensus_rounds: "Consensus rounds",
    successful_rounds: "Successful rounds",
    failed_rounds: "Failed rounds",
    success_rate: "Success",
    average_latency_ms: "Average latency",
    messages_sent: "Messages sent",
    messages_received: "Messages received",
    partition_events: "Partitions",
  };
  const UNIT = { success_rate: (value) => `${value.toFixed(2)} %`, average_latency_ms: (value) => `${value.toFixed(1)} ms` };
  const form = at("request");

  let lines = [];
  let status = "idle";
  let kept = runOfAddress(); // the saved run that is looked at instead of the newest one
  let clean = true; // no frame of the newest run has come since the last whole look

  // --- one run -----------------------------------------------------------------------------------

  const playedOf = (run, percent) => `${grouped.format(run.current_ticket)} of ${counted(run.total_tickets, "ticket")}, ${Math.round(percent)} %`;

  function drawRun(run) {
    put("run-title", run.id ? `Run ${run.id}` : "No run yet");
    const figures = run.results || run.progress || {};
    const pairs = Object.entries(FIGURES).filter(([name]) => name in figures);
    facts(at("figures"), pairs.map(([name, words]) => [words, (UNIT[name] || ((value) => grouped.format(value)))(figures[name])]).concat(run.error ? [["Error", run.error]] : []));
    const played = run.progress || {};
    const percent = run.status === "complete" ? 100 : (played.progress_percent ?? 0);
    at("progress").value = percent;
    put("percent", played.total_tickets ? playedOf(played, percent) : "");
    drawStatus(run.status);
    at("no-run").hidden = Boolean(run.id);
    at("trace").hidden = !run.trace;
    at("trace").firstElementChild.href = `/api/v1/simulator/runs/${run.id}/trace`;
    lines = run.output;
    drawOutput(true);
  }

  function drawStatus(word) {
    at("status").className = `pill ${TONE[word] ?? ""}`.trim();
    put("status", word);
    if (form) {
      at("start").disabled = status === "running";
      at("stop").disabled = status !== "running";
    }
  }

  function drawOutput(whole) {
    const element = at("output");
    const atEnd = whole || element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    element.textContent = lines.join("\n");
    element.hidden = lines.length === 0;
    at("no-output").hidden = lines.length > 0;
    if (atEnd) {
      element.scrollTop = element.scrollHeight;
    }
  }

  async function draw() {
    clean = true;
    const wanted = kept;
    const found = (await look(wanted === null ? "/simulator" : `/simulator/runs/${wanted}`)).content;
    const runs = (await look(`/simulator/runs?limit=${RUNS}`)).content;
    if (wanted !== kept) {
      renew();
      return;
    }
    status = wanted === null ? found.status : status;
    const id = wanted ?? found.run_id;
    drawRun({ ...found, id, trace: runs.some((run) => run.id === id && run.trace) });
    drawRuns(runs);
    if (!clean) {
      setTimeout(renew, AGAIN_AFTER); // frames came while this was asked for: none of their lines may be lost
    }
  }

  // --- saved runs --------------------------------------------------------------------------------

  function drawRuns(runs) {
    at("runs").replaceChildren(...runs.map(row));
    at("no-runs").hidden = runs.length > 0;
    at("newest").hidden = kept === null;
  }

  function row(run) {
    const made = make("tr");
    if (run.id === kept) {
      made.setAttribute("aria-current", "true");
    }
    const name = cell("whole", "");
    name.append(make("b", "", `Run ${run.id}`));
    const outcome = cell("whole", "");
    outcome.append(pill(TONE[run.status] ?? "", run.status));
    if (run.error) {
      outcome.append(make("span", "reason", run.error));
    }
    const acts = cell("whole acts", "");
    acts.append(button("Details", () => choose(run.id), `Details of run ${run.id}`));
    made.append(
      name,
      outcome,
      cell("", dtvn.ui.clock(Date.parse(run.created_at) / 1000), "Started"),
      cell("number", run.config.nodes, "Nodes"),
      cell("number", run.config.byzantine_nodes, "Byzantine"),
      cell("number", run.config.tickets, "Tickets"),
      cell("number", run.results ? `${run.results.success_rate.toFixed(1)} %` : "–", "Success"),
      cell("number", run.results ? `${run.results.average_latency_ms.toFixed(1)} ms` : "–", "Latency"),
      acts,
    );
    return made;
  }

  /* The run that the address names, or null. */
  function runOfAddress() {
    const { run } = dtvn.ui.placed();
    return run ? Number(run) : null;
  }

  function choose(id) {
    kept = id;
    dtvn.ui.place({ run: id ? String(id) : "" }, true);
    renew();
    window.scrollTo({ top: 0 });
  }

  // --- what comes in, and what people do ---------------------------------------------------------

  const renew = dtvn.ui.soon(draw, 0);

  function take(message) {
    if (!message.type.startsWith("simulator_")) {
      return;
    }
    clean = false;
    if (message.type === "simulator_status") {
      status = message.status;
      if (status === "running") {
        kept = null;
        dtvn.ui.place({}, true);
      }
      renew();
    } else if (kept !== null) {
      return;
    } else if (message.type === "simulator_output") {
      lines = lines.concat(message.line).slice(-LINES);
      drawOutput(false);
    } else if (message.type === "simulator_progress") {
      drawProgress(message.progress);
    }
  }

  function drawProgress(progress) {
    at("progress").value = progress.progress_percent;
    put("percent", playedOf(progress, progress.progress_percent));
    facts(at("figures"), Object.entries(FIGURES).filter(([name]) => name in progress).map(([name, words]) => [words, grouped.format(progress[name])]));
  }

  dtvn.page = dtvn.ui.follow({ onMessage: take, onLive: renew });

  at("newest").addEventListener("click", () => choose(null));
  addEventListener("popstate", function () {
    kept = runOfAddress();
    renew();
  });
  if (form) {
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      const request = {};
      for (const one of form.elements) {
        if (one.name) {
          request[one.name] = one.type === "checkbox" ? one.checked : Number(one.value);
        }
      }
      attempt(() => call("POST", "/simulator/start", request), (found) => `Run ${found.run_id} started`);
    });
    at("stop").addEventListener("click", () => attempt(() => call("POST", "/simulator/stop"), "Stopping the run"));
  }
})();
