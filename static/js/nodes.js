/* The nodes: start and stop them and the cluster, and look into one: its output, log, identity and storage. */
(function () {
  "use strict";

  const { place, placed } = dtvn.ui;
  const { at, button, call, cell, facts, fetchJson, grouped, look, make, nodeState, pill, put, root } = dtvn.ui;
  const { owner: OWNER, view: VIEW } = root.dataset; // as on the live page
  const LINES = 400;
  const RECORDS = 100;
  const LOOK_AFTER = 400; // milliseconds from a sign of something new to a look at it
  const UNDER_WAY = "A start is already under way: its progress is shown with the cluster";
  const TABS = [...document.querySelectorAll("[data-tab]")].map((one) => one.dataset.tab);
  const mayChange = at("cluster-form") !== null;

  let nodes = [];
  let clusterState = null; // the state of the cluster, with what would follow if nodes stopped
  let which = placed().node ?? "";
  let tab = TABS.includes(placed().part) ? placed().part : "output";
  let seen; // the chosen node's sequence when it was looked into last

  // --- the cluster -------------------------------------------------------------------------------

  const ownNodes = () => nodes.filter((node) => !node.external && !node.joining);

  /* The start or stop that is under way: all users see it, no matter who asked for it. */
  function drawCluster() {
    const own = ownNodes();
    const { under_way: way, stopped, error } = clusterState;
    const verb = { stopping: "Stopping", restarting: "Restarting" }[way?.verb] ?? "Starting";
    put("cluster-text", way ? `${verb}: ${way.text}` : error);
    const bar = at("cluster-progress");
    bar.max = Math.max(1, way?.total ?? 1);
    bar.value = way?.done ?? 0;
    bar.hidden = !way;
    if (mayChange) {
      const some = own.some((node) => !["stopped", "error"].includes(node.status));
      at("cluster-size").hidden = nodes.length > 0;
      put("cluster-start", nodes.length ? `Start ${stopped.length} stopped ${stopped.length === 1 ? "node" : "nodes"}` : "Start cluster");
      at("cluster-start").title = stopped.join(", ");
      at("cluster-start").hidden = nodes.length > 0 && stopped.length === 0;
      at("cluster-start").disabled = Boolean(way?.whole);
      at("cluster-restart").hidden = !some || Boolean(way?.whole);
      at("cluster-stop").hidden = !some && !way;
    }
  }

  function drawNodes(found, foundState) {
    nodes = found.filter((node) => node.role === "validator");
    clusterState = foundState;
    const held = document.activeElement?.closest("[data-at=nodes] button")?.getAttribute("aria-label");
    at("nodes").replaceChildren(...nodes.map(row));
    if (held) {
      // What had the keyboard has it again.
      [...at("nodes").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held)?.focus();
    }
    at("no-nodes").hidden = nodes.length > 0;
    drawCluster();
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
    for (const [holds, text] of [[node.is_primary, OWNER], [node.is_bootstrap, "bootstrap"], [node.external, "external"]]) {
      if (holds) {
        name.append(" ", pill("plain accent", text));
      }
    }
    made.append(
      name,
      nodeState(node),
      cell("number", node.view ?? "–", VIEW),
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
    made.append(button("Details", () => lookInto(node.id, true), `Details of ${node.id}`));
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

  async function act(id, verb) {
    const novice = "it has no vote yet, the cluster decides as before";
    const stopped = () => `Then: ${clusterState.if_stopped[id] ?? novice}.`;
    const restarted = () => `${clusterState.if_restarted[id] ?? `Until it runs again: ${novice}`}.`;
    const said = verb === "stop" ? stopped : restarted;
    const name = verb === "stop" ? "Stop" : "Restart";
    if (verb !== "start" && !(await dtvn.ui.ask(`${name} ${id}?`, said, name))) {
      return false;
    }
    return dtvn.ui.attempt(() => call("POST", `/nodes/${encodeURIComponent(id)}/${verb}`), `${id}: ${verb} requested`);
  }

  /* What a start of the stopped nodes did; nothing, where another operator was faster. */
  function startSaid(answer) {
    return answer.started.length ? `Starting ${answer.started.join(", ")}` : answer.progress ? UNDER_WAY : "All nodes run";
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

  /* Show a node; as a person's choice, which has an address of its own. */
  function lookInto(id, scroll) {
    place({ node: id, part: tab === "output" ? "" : tab }, true);
    choose(id, scroll);
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
    place({ node: which, part: name === "output" ? "" : name }, true);
    drawTabs();
    renew();
  }

  function arrive() {
    tab = TABS.includes(placed().part) ? placed().part : "output";
    drawTabs();
    choose(placed().node ?? nodes[0]?.id ?? "", false);
    drawChoice();
  }

  function drawTabs() {
    for (const one of document.querySelectorAll("[data-tab]")) {
      one.setAttribute("aria-pressed", one.dataset.tab === tab);
    }
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
          cell("", (record.verdict || record.operation.toLowerCase()) + (record.code === "ok" ? "" : `: ${record.code.replaceAll("_", " ")}`), "Operation"),
          cell("mono", record.ticket_id || "–", "Ticket"),
          cell("", record.node_id || "–", "Entry node"),
          cell("number", record.view, VIEW),
          cell("", dtvn.ui.clock(record.timestamp), "Time"),
          cell("mono short", record.digest, "Digest"),
        );
        return made;
      }),
    );
  }

  function drawFacts(found) {
    const shown = { ...found };
    if ("upheld_tickets" in found) {
      const { ticket_states: counts, upheld_tickets: upheld } = found; // the contract's DISPUTED has both
      shown.ticket_states = { ...counts, DISPUTED: counts.DISPUTED - upheld, UPHELD: upheld };
      delete shown.upheld_tickets;
    }
    facts(at("facts"), flat(shown, ""));
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
    onLive: renewSoon,
    onLog: () => tab !== "output" && renewSoon(),
    onMessage: (message) => message.type === "node_output" && message.node_id === which && tab === "output" && renewSoon(),
  });

  at("which").addEventListener("change", (event) => lookInto(event.target.value, false));
  addEventListener("popstate", arrive);
  drawTabs();
  for (const one of document.querySelectorAll("[data-tab]")) {
    one.addEventListener("click", () => show(one.dataset.tab));
  }
  /* Ask for a start, and say so; if another operator was faster, both see the progress of the one under way. */
  function start(asked, said) {
    const sent = call("POST", "/cluster/start", asked).then(said, function (error) {
      if (error.code !== "cluster_starting") {
        throw error;
      }
      return UNDER_WAY;
    });
    return dtvn.ui.attempt(() => sent, (words) => words);
  }

  if (mayChange) {
    at("cluster-form").addEventListener("submit", function (event) {
      event.preventDefault();
      // A number that is not the cluster's own would found another one and put this one aside.
      const count = Number(event.target.elements.node_count.value);
      const [asked, said] = nodes.length
        ? [{ only_stopped: true }, startSaid]
        : [{ node_count: count }, () => `Starting a cluster of ${dtvn.ui.counted(count, "node")}`];
      start(asked, said);
    });
    at("cluster-restart").addEventListener("click", async function () {
      const said = () => `All nodes of this platform restart; ${clusterState.if_all_restarted}.`;
      if (await dtvn.ui.ask("Restart all nodes?", said, "Restart all")) {
        start({ one_by_one: true }, () => "Restarting all nodes");
      }
    });
    at("cluster-stop").addEventListener("click", async function () {
      const said = () => `Then: ${clusterState.if_all_stopped}.`;
      if (await dtvn.ui.ask("Stop all nodes?", said, "Stop all")) {
        const ended = ownNodes().every((node) => node.status === "stopped"); // by another operator, while this one was asked
        dtvn.ui.attempt(() => call("POST", "/cluster/stop"), ended ? "All nodes are stopped already" : "Stopping all nodes");
      }
    });
    at("add-form").addEventListener("submit", async function (event) {
      event.preventDefault();
      const form = event.target;
      const id = form.elements.node_id.value;
      const known = nodes.some((node) => node.id === id);
      if (!known && !(await dtvn.ui.ask(`Add ${id}?`, () => clusterState.if_added, "Add node"))) {
        return;
      }
      if (await dtvn.ui.attempt(() => call("POST", "/nodes", { node_id: id }), `Starting ${id}`)) {
        form.reset();
      }
    });
  }
})();
