// Every call of the Go DTVN's six pages and every field they read, one page after the other.
import { get, post, remove } from "/js/api.js";
import { frame } from "/js/feed.js";

const checks = [];
const kind = (value) => (Array.isArray(value) ? "array" : value === null ? "null" : typeof value);

function check(what, holds) {
  checks.push({ what, holds: Boolean(holds) });
}

function fields(what, object, kinds) {
  for (const [name, wanted] of Object.entries(kinds)) {
    check(`${what}.${name} is ${wanted}`, kind(object[name]) === wanted);
  }
}

async function refused(what, asked) {
  try {
    await asked;
    check(`${what} is refused`, false);
  } catch (error) {
    check(`${what} is refused with words`, error.message.length > 3);
  }
}

const NODE = {
  id: "string", status: "string", is_primary: "boolean", is_bootstrap: "boolean", port: "number", api_port: "number",
};
const STATS = {
  node_id: "string", is_primary: "boolean", peer_count: "number", current_view: "number", sequence: "number",
  cache_size: "number", storage_stats: "object",
};
const TICKET = { ID: "string", State: "string", ValidatorID: "string", Timestamp: "number" };
const RESULTS = [
  "total_tickets", "validated_tickets", "consensus_rounds", "successful_rounds", "failed_rounds", "success_rate",
  "messages_sent", "messages_received", "partition_events", "average_latency_ms",
];

// What a busy machine may show a moment later: `look` gives it, or nothing yet.
async function eventually(look, seconds = 90) {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    const late = Date.now() > until;
    try {
      const found = await look();
      if (found || late) {
        return found;
      }
    } catch (error) {
      if (late) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// Asked as the Go DTVN's page asks, without a nonce; where a busy machine let nobody decide in time, asked again. What
// was said to be undecided may have been done.
async function decided(path, body) {
  let asked = 0;
  return eventually(async () => {
    try {
      asked += 1;
      return await post(path, body);
    } catch (error) {
      if (asked > 1 && /already/.test(error.message)) {
        return true;
      }
      throw error;
    }
  });
}

const shows = (path, holds) => eventually(async () => {
  const found = await get(path);
  return holds(found) && found;
});

async function nodesPage() {
  const greeting = await frame((each) => each.type === "connected");
  fields("connected", greeting, { nodes: "array", simulator_status: "string", cluster_status: "string" });
  check("supervisor mode", kind(await get("/nodes")) === "array");
  fields("stats of nobody", await get("/stats"), { node_id: "string" });
  await post("/cluster/start", { node_count: 4 });
  const starting = await frame((each) => each.type === "cluster_status" && each.status === "starting");
  fields("cluster_status", starting, { nodes_started: "number", nodes_total: "number" });
  await frame((each) => each.type === "cluster_status" && each.status === "running");
  const told = await frame((each) => each.type === "node_status" && each.status === "running");
  fields("node_status.node", told.node, NODE);
  const run = (nodes) => nodes.length === 4 && nodes.every((node) => node.status === "running");
  const nodes = await shows("/nodes", run);
  check("four nodes run", nodes);
  fields("node", nodes[0], NODE);
  fields("node_output", await frame((each) => each.type === "node_output"), { node_id: "string", line: "string" });
  const told_logs = await get("/nodes/node1/logs?lines=100");
  fields("logs", told_logs, { logs: "array" });
  await refused("a node that runs", post("/nodes", { node_id: "node1", is_primary: false, is_bootstrap: false }));
}

async function ticketsPage() {
  for (const name of ["node0", "node1", "node2", "node3"]) {
    await eventually(() => get(`/nodes/${name}/stats`)); // a seed counts over those that are connected
  }
  const seeded = await decided("/tickets/seed"); // a busy machine cuts a link at times: those that are reached
  const { nodes, total_seeded } = seeded;
  check("500 on each node", seeded.seeded === 500 && total_seeded === 500 * nodes.length && nodes.length >= 3);
  await frame((each) => each.type === "tickets_seeded");
  const tickets = await shows("/tickets", (found) => found.length === 500);
  check("500 tickets", tickets);
  fields("ticket", tickets[0], TICKET);
  check("Timestamp is in seconds", Math.abs(Date.now() / 1000 - tickets[0].Timestamp) < 600);
  await decided("/tickets/validate", { ticket_id: "TICKET-001", data: null });
  await frame((each) => each.type === "ticket_validated" && each.ticket_id === "TICKET-001");
  await decided("/tickets/consume", { ticket_id: "TICKET-001" });
  await frame((each) => each.type === "ticket_consumed" && each.ticket_id === "TICKET-001");
  await decided("/tickets/validate-via-node", { ticket_id: "TICKET-002", node_id: "node2" });
  await decided("/tickets/dispute", { ticket_id: "TICKET-002" });
  await frame((each) => each.type === "ticket_disputed" && each.ticket_id === "TICKET-002");
  await refused("a consumed ticket", post("/tickets/dispute", { ticket_id: "TICKET-001" }));
  const done = (states) => states.get("TICKET-001") === "CONSUMED" && states.get("TICKET-002") === "DISPUTED";
  const states = await shows("/tickets", (found) => done(new Map(found.map((ticket) => [ticket.ID, ticket.State]))));
  check("CONSUMED and DISPUTED", states);
}

async function dashboardNetworkAndMetricsPages() {
  const stats = await shows("/stats", (found) => "cache_size" in found);
  fields("stats", stats, STATS);
  fields("storage_stats", stats.storage_stats, { write: "number", page_count: "number" });
  const status = await get("/status");
  fields("status", status, { nodes: "array" });
  check("nodes with a state", status.nodes.every((node) => kind(node.status) === "string"));
  const peers = await shows("/peers", (found) => (found.peers || found).length > 0);
  check("peers with an id", (peers.peers || peers).every((peer) => kind(peer.id) === "string"));
  fields("config", await shows("/config", (found) => "total_nodes" in found), { total_nodes: "number" });
}

async function simulatorPage() {
  fields("simulator", await get("/simulator"), { status: "string", output: "array" });
  await post("/simulator/start", {
    nodes: 4, byzantine_nodes: 1, tickets: 20, duration_seconds: 60, latency_ms: 1, packet_loss_rate: 0,
    enable_partitions: false,
  });
  await frame((each) => each.type === "simulator_status" && each.status === "running");
  fields("simulator_output", await frame((each) => each.type === "simulator_output"), { line: "string" });
  const progress = await frame((each) => each.type === "simulator_progress");
  fields("progress", progress.progress, { current_ticket: "number", total_tickets: "number", progress_percent: "number" });
  const { results } = await frame((each) => each.type === "simulator_results");
  RESULTS.forEach((name) => check(`results.${name} is a number`, kind(results[name]) === "number"));
  await frame((each) => each.type === "simulator_status" && each.status === "complete");
}

async function stopPage() {
  await remove("/nodes/node3");
  await frame((each) => each.type === "node_status" && each.node_id === "node3" && each.status === "stopped");
  await post("/cluster/stop");
  await frame((each) => each.type === "cluster_status" && each.status === "idle");
  await refused("a ticket while nothing runs", post("/tickets/validate", { ticket_id: "TICKET-003", data: null }));
}

async function run() {
  for (const part of [nodesPage, ticketsPage, dashboardNetworkAndMetricsPages, simulatorPage, stopPage]) {
    try {
      await part();
    } catch (error) {
      check(`${part.name}: ${error.message}`, false);
      break;
    }
    document.getElementById("done").append(Object.assign(document.createElement("li"), { textContent: part.name }));
  }
  window.checks = checks;
}

run();
