/* The nodes: start and stop them and the cluster, and look into one: its output, log, identity and storage. */
(function () {
  "use strict";

  const { at, button, call, cell, facts, fetchJson, grouped, look, make, nodeState, pill, put } = dtvn.ui;
  const LINES = 400;
  const RECORDS = 100;
  const LOOK_AFTER = 400; // milliseconds from a sign of something new to a look at it
  const BUSY = ["starting", "stopping"];
  const mayChange = at("cluster-form") !== null;

  let nodes = [];
  let which = "";
  let tab = "output";
  let seen; // the chosen node's sequence when it was looked into last

  // --- the cluster -------------------------------------------------------------------------------

  function drawCluster(frame) {
    const element = at("cluster");
    element.className = `pill ${{ running: "ok", starting: "accent", stopping: "accent", error: "bad" }[frame.status] ?? ""}`;
    put("cluster", frame.status);
    const bar = at("cluster-progress");
    bar.max = Math.max(1, frame.nodes_total);
    bar.value = frame.nodes_started;
    bar.hidden = !BUSY.includes(frame.status);
    put("cluster-text", frame.error || (frame.nodes_total ? `${frame.nodes_started} of ${frame.nodes_total} started` : ""));
  }

  function drawNodes(found) {
    nodes = found.filter((node) => node.role === "validator");
    const held = document.activeElement?.closest("[data-at=nodes] button")?.getAttribute("aria-label");
    at("nodes").replaceChildren(...nodes.map(row));
    if (held) {
      // What had the keyboard has it again.
      [...at("nodes").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
    at("no-nodes").hidden = nodes.length > 0;
    if (mayChange) {
      at("cluster-size").hidden = nodes.length > 0;
    }
    at("one").hidden = nodes.length === 0;
    drawChoice();
    if (tab !== "output" && sequenceOf(which) !== seen) {
      renewSoon(); // it may execute later than the log of this page says
    }
  }

  const sequenceOf = (id) => nodes.find((node) => node.id === id)?.sequence;

  function row(node) {
    const made = make("tr");
    const name = cell("whole", "");
    name.append(make("b", "", node.id));
    for (const [holds, text] of [[node.is_primary, "primary"], [node.is_bootstrap, "bootstrap"], [node.external, "external"]]) {
      if (holds) {
        name.append(" ", pill("plain accent", text));
      }
    }
    made.append(
      name,
      nodeState(node),
      cell("number", node.view ?? "–", "View"),
      cell("number", grouped.format(node.sequence ?? 0), "Sequence"),
      cell("number mono", node.port || "–", "Port"),
      cell("number mono roomy", node.api_port || "–", "API"),
      cell("number mono roomy", node.pid ?? "–", "Process"),
      acts(node),
    );
    return made;
  }

  function acts(node) {
    const made = cell("whole acts", "");
    made.append(button("Details", () => choose(node.id, true), `Details of ${node.id}`));
    if (!mayChange || node.external) {
      return made;
    }
    if (["stopped", "error"].includes(node.status)) {
      made.append(button("Start", () => act(node.id, "start"), `Start ${node.id}`));
    } else {
      made.append(
        button("Restart", () => act(node.id, "restart"), `Restart ${node.id}`),
        button("Stop", () => act(node.id, "stop"), `Stop ${node.id}`),
      );
    }
    return made;
  }

  function act(id, verb) {
    return dtvn.ui.attempt(() => call("POST", `/nodes/${encodeURIComponent(id)}/${verb}`), `${id}: ${verb} requested`);
  }

  // --- one node ----------------------------------------------------------------------------------

  function drawChoice() {
    const list = at("which");
    const known = [...list.options].map((one) => one.value);
    const ids = nodes.map((node) => node.id);
    if (known.join() !== ids.join()) {
      list.replaceChildren(...ids.map((id) => new Option(id, id)));
    }
    if (!ids.includes(which)) {
      choose(ids[0] ?? "", false);
    }
    list.value = which;
  }

  function choose(id, scroll) {
    which = id;
    at("which").value = id;
    at("output").textContent = "";
    renew();
    if (scroll) {
      at("which").focus();
      at("one").scrollIntoView({ block: "start" });
    }
  }

  function show(name) {
    tab = name;
    for (const one of document.querySelectorAll("[data-tab]")) {
      one.setAttribute("aria-pressed", one.dataset.tab === name);
    }
    renew();
  }

  async function draw() {
    const [id, name] = [which, tab];
    if (!id) {
      return;
    }
    seen = sequenceOf(id);
    const path = `/dashboard/node/${encodeURIComponent(id)}/${name}`;
    let found = null;
    let problem = "";
    try {
      found = name === "output" ? (await look(`/nodes/${encodeURIComponent(id)}/logs?lines=${LINES}`)).content.logs : await fetchJson(path);
    } catch (error) {
      problem = error.message;
    }
    if (id !== which || name !== tab) {
      return; // something else was chosen meanwhile
    }
    at("output").hidden = name !== "output" || found === null || found.length === 0;
    at("log").hidden = name !== "consensus" || found === null || found.length === 0;
    at("facts").hidden = found === null || !["crypto", "storage"].includes(name);
    const nothing = name === "output" ? `${id} has no output yet.` : "No operations decided yet.";
    put("one-empty", problem || nothing);
    at("one-empty").hidden = !problem && !(Array.isArray(found) && found.length === 0);
    if (found !== null) {
      ({ output: drawOutput, consensus: drawRecords, crypto: drawFacts, storage: drawFacts })[name](found);
    }
  }

  function drawOutput(lines) {
    const element = at("output");
    const text = lines.map((line) => line.replace(/^\[std(out|err)\] /, "")).join("\n");
    if (element.textContent === text) {
      return;
    }
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
    element.textContent = text;
    if (atEnd || !element.scrollTop) {
      element.scrollTop = element.scrollHeight;
    }
  }

  function drawRecords(records) {
    at("records").replaceChildren(
      ...records.slice(-RECORDS).reverse().map(function (record) {
        const made = make("tr");
        made.append(
          cell("number", record.sequence, "Sequence"),
          cell("", record.operation.toLowerCase() + (record.code === "ok" ? "" : `: ${record.code.replaceAll("_", " ")}`), "Operation"),
          cell("mono", record.ticket_id || "–", "Ticket"),
          cell("", record.node_id || "–", "Entry node"),
          cell("number", record.view, "View"),
          cell("", dtvn.ui.clock(record.timestamp), "Time"),
          cell("mono short", record.digest, "Digest"),
        );
        return made;
      }),
    );
  }

  function drawFacts(found) {
    facts(at("facts"), flat(found, ""));
  }

  /* {a: {b: 1}} as [["a: b", "1"]]; names as words. */
  function flat(value, before) {
    return Object.entries(value).flatMap(function ([name, held]) {
      const words = before + name.replaceAll("_", " ");
      if (held !== null && typeof held === "object" && !Array.isArray(held)) {
        return flat(held, `${words}: `);
      }
      const text = Array.isArray(held) ? held.join(", ") : typeof held === "number" ? grouped.format(held) : String(held ?? "none");
      return [[words, text]];
    });
  }

  // --- what comes in, and what people do ---------------------------------------------------------

  const renew = dtvn.ui.soon(draw, 0);
  const renewSoon = dtvn.ui.soon(draw, LOOK_AFTER);

  dtvn.page = dtvn.ui.follow({
    onNodes: drawNodes,
    onCluster: drawCluster,
    onLive: renewSoon,
    onLog: () => tab !== "output" && renewSoon(),
    onMessage: (message) => message.type === "node_output" && message.node_id === which && tab === "output" && renewSoon(),
  });

  at("which").addEventListener("change", (event) => choose(event.target.value, false));
  for (const one of document.querySelectorAll("[data-tab]")) {
    one.addEventListener("click", () => show(one.dataset.tab));
  }
  if (mayChange) {
    at("cluster-form").addEventListener("submit", function (event) {
      event.preventDefault();
      // A number that is not the cluster's own would found another one and put this one aside.
      const count = Number(event.target.elements.node_count.value);
      const [asked, said] = nodes.length
        ? [{}, "Starting the cluster"]
        : [{ node_count: count }, `Starting a cluster of ${count} nodes`];
      dtvn.ui.attempt(() => call("POST", "/cluster/start", asked), said);
    });
    at("cluster-stop").addEventListener("click", function () {
      if (confirm("Stop all nodes of this cluster?")) {
        dtvn.ui.attempt(() => call("POST", "/cluster/stop"), "Stopping all nodes");
      }
    });
    at("add-form").addEventListener("submit", async function (event) {
      event.preventDefault();
      const form = event.target;
      const id = form.elements.node_id.value;
      if (await dtvn.ui.attempt(() => call("POST", "/nodes", { node_id: id }), `Starting ${id}`)) {
        form.reset();
      }
    });
  }
})();
