/* Figures over time: the platform's window of what the nodes count, asked for every two seconds, and the log. */
(function () {
  "use strict";

  const { at, fetchJson, grouped, make, put, root, toneOf, states } = dtvn.ui;
  const KINDS = [["running", "ok", "consumed"], ["not agreeing", "warn", "disputed"], ["changing", "accent", "validated"], ["stopped", "", "issued"], ["failed", "bad", "failed"]];
  const QUANTILES = ["p50", "p95", "p99"];
  const KIB = 1024;
  /* name -> the fields of a point that it draws, and its axis (see dtvn.charts.line); `unit` is written at the axis */
  const CHARTS = {
    throughput: { fields: ["throughput"], scale: 1, text: (value) => `${short(value)} / s` },
    latency: { fields: QUANTILES, scale: 0.001, text: (value) => `${short(1000 * value)} ms` },
    gossip: { fields: ["gossip"], scale: 1, text: (value) => `${short(value)} / s` },
    traffic: { fields: ["traffic"], scale: KIB, text: (value) => `${short(value / KIB)} KiB/s` },
    sequence: { fields: ["sequence"], scale: 1, low: true, whole: true, text: grouped.format },
    peers: { fields: ["peers"], scale: 1, whole: true, text: grouped.format },
  };

  let points = []; // of the window, oldest first
  let told = null; // the newest answer

  const decimals = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

  function short(value) {
    return decimals.format(value);
  }

  const ask = dtvn.ui.soon(async function () {
    const newest = points.length ? points[points.length - 1].at : 0;
    told = await fetchJson(`${root.dataset.figuresUrl}?after=${newest}`);
    points = points.concat(told.points).filter((point) => point.at > told.now - told.span);
    draw();
  }, 0);

  function draw() {
    const responding = told.elsewhere ? "Only the web process of make up reads them." : `Nodes that respond: ${told.answering} of ${told.asked}.`;
    put("answering", told.asked ? responding : "No nodes yet.");
    for (const [name, chart] of Object.entries(CHARTS)) {
      const axis = { span: told.span, apart: 2.5 * told.interval, ...chart };
      const lines = chart.fields.map((field) => ({ kind: field, points: points.map((point) => [told.now - point.at, point[field]]) }));
      const range = dtvn.charts.line(at(name), lines, axis);
      put(`${name}-range`, range === null ? "no data yet" : `${chart.text(range.low)} to ${chart.text(range.high)}`);
      if (name !== "latency") {
        const value = points.length ? points[points.length - 1][name] : null;
        put(`${name}-now`, value === null ? "–" : chart.text(value));
      }
    }
    drawLatency();
  }

  /* The percentiles of the last minute: those of the last two seconds rest on a handful of decisions. */
  function drawLatency() {
    at("latency-now").replaceChildren(
      ...QUANTILES.map(function (name) {
        const value = told.latency[name];
        const part = make("span", `percentile ${name}`, value === null ? "–" : CHARTS.latency.text(value));
        part.prepend(make("b", "", name), " ");
        return part;
      }),
      make("span", "soft", "last minute"),
    );
  }

  dtvn.page = dtvn.ui.follow({
    onLog: function (state) {
      dtvn.charts.bars(at("states"), states.map((name) => [name.toLowerCase(), state.counts[name], name.toLowerCase()]));
      put("states-total", `${grouped.format(states.reduce((sum, name) => sum + state.counts[name], 0))} in all`);
    },
    onNodes: function (nodes) {
      const members = nodes.filter((node) => node.role === "validator");
      dtvn.charts.bars(at("health"), KINDS.map(([words, tone, colour]) => [words, members.filter((node) => toneOf(node)[0] === tone).length, colour]));
      put("health-total", `${members.length} in all`);
    },
    onLive: ask,
  });
  setInterval(() => document.hidden || ask(), 1000 * Number(root.dataset.figuresInterval));
  addEventListener("resize", () => told && draw());
})();
