/* Figures over time: what the nodes count, asked for every two seconds, and the platform's own log. */
(function () {
  "use strict";

  const { at, fetchJson, grouped, put, root } = dtvn.ui;
  const ASK_EVERY = 2000;
  const POINTS = 60;
  const STATES = [["issued", "ISSUED"], ["validated", "VALIDATED"], ["consumed", "CONSUMED"], ["disputed", "DISPUTED"]];
  const KINDS = [["running", ["running"], "consumed"], ["changing", ["starting", "stopping"], "validated"], ["stopped", ["stopped"], "issued"], ["failed", ["error", "unresponsive"], "disputed"]];
  /* name -> the value of a moment, out of two answers and the seconds between them; null: nobody knows */
  const CHARTS = {
    sequence: { of: (now) => most(now, "sequence"), text: whole },
    peers: { of: (now) => most(now, "peers"), text: whole },
    throughput: { of: (now, before, seconds) => rate(now, before, "decided", seconds, "most"), text: (value) => `${value.toFixed(1)} / s` },
    latency: { of: latency, text: (value) => `${(1000 * value).toFixed(1)} ms` },
    gossip: { of: (now, before, seconds) => rate(now, before, "gossip", seconds, "sum"), text: (value) => `${value.toFixed(1)} / s` },
    traffic: { of: (now, before, seconds) => rate(now, before, "bytes", seconds, "sum"), text: (value) => `${(value / 1024).toFixed(1)} KiB / s` },
  };

  const history = Object.fromEntries(Object.keys(CHARTS).map((name) => [name, []]));
  let before = null;
  let asking = false;

  function whole(value) {
    return grouped.format(value);
  }

  function most(now, name) {
    const values = Object.values(now.nodes).map((node) => node[name]);
    return values.length ? Math.max(...values) : null;
  }

  /* What each node that answered both times counted between them; a node that began anew is left out. */
  function counted(now, earlier, name) {
    return Object.entries(now.nodes)
      .filter(([id]) => earlier?.nodes[id] !== undefined)
      .map(([id, node]) => node[name] - earlier.nodes[id][name])
      .filter((value) => value >= 0);
  }

  /* "most": every node counts the same operations; "sum": each counts what it did itself. */
  function rate(now, earlier, name, seconds, how) {
    const values = counted(now, earlier, name);
    if (!values.length || seconds <= 0) {
      return null;
    }
    return (how === "most" ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0)) / seconds;
  }

  /* Mean over the sequences decided between two answers; none: no latency. */
  function latency(now, earlier) {
    const count = counted(now, earlier, "latency_count").reduce((sum, value) => sum + value, 0);
    const seconds = counted(now, earlier, "latency_sum").reduce((sum, value) => sum + value, 0);
    return count > 0 ? seconds / count : null;
  }

  async function ask() {
    if (asking || document.hidden) {
      return;
    }
    asking = true;
    try {
      take(await fetchJson(root.dataset.figuresUrl));
    } catch (error) {
      dtvn.ui.say(error.message, "bad");
    } finally {
      asking = false;
    }
  }

  function take(now) {
    const seconds = before === null ? 0 : now.at - before.at;
    const [answering, all] = [Object.keys(now.nodes).length, now.asked];
    put("answering", all ? `${answering} of ${all} nodes respond.` : "No nodes yet.");
    for (const [name, chart] of Object.entries(CHARTS)) {
      const values = history[name];
      values.push(chart.of(now, before, seconds));
      values.splice(0, Math.max(0, values.length - POINTS));
      const value = values[values.length - 1];
      const range = dtvn.charts.line(at(name), values, POINTS);
      put(`${name}-now`, value === null ? "–" : chart.text(value));
      put(`${name}-range`, range === null ? "no data yet" : `${chart.text(range.low)} to ${chart.text(range.high)}`);
    }
    before = now;
  }

  dtvn.page = dtvn.ui.follow({
    onLog: function (state) {
      dtvn.charts.bars(at("states"), STATES.map(([words, name]) => [words, state.counts[name], words]));
      put("states-total", `${grouped.format(STATES.reduce((sum, [, name]) => sum + state.counts[name], 0))} in all`);
    },
    onNodes: function (nodes) {
      const members = nodes.filter((node) => node.role === "validator");
      dtvn.charts.bars(at("health"), KINDS.map(([words, kinds, colour]) => [words, members.filter((node) => kinds.includes(node.status)).length, colour]));
      put("health-total", `${members.length} in all`);
    },
    onLive: ask,
  });
  setInterval(ask, ASK_EVERY);
})();
