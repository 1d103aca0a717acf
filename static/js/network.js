/* Who is connected to whom, by each node's own word: a drawing that can be moved about, and a table of links. */
(function () {
  "use strict";

  const { at, cell, counted, fetchJson, make, put, root, shape, toneOf } = dtvn.ui;
  const { owner: OWNER, view: VIEW } = root.dataset; // as on the live page
  const LOOK_EVERY = 3000;
  const LOOK_FIRST = 1000; // milliseconds to the second look: a rate needs two
  const LOOK_AFTER = 500; // milliseconds from a change of a node to a look
  const PHONE = matchMedia("(max-width: 780px)");
  const LABELLED_MAX = 8; // nodes; with more of them the labels of links would cover one another
  const LABEL_AT = 0.38; // of a link's length: in the middle they would meet
  const LINE = 24; // of a node's name and state
  const ZOOM_MIN = 0.1;
  const ZOOM_MAX = 4;
  const KIB = 1024;
  const KINDS = { running: "running", starting: "changing", stopping: "changing", stopped: "stopped" };

  const places = new Map(); // node id -> {x, y, moved}: where it is drawn
  let nodes = [];
  let peers = {}; // node id -> {peer: {round_trip_ms, bytes}}, null where it does not answer
  let rates = {}; // node id -> {peer: bytes per second, in both directions}
  let asOf = 0; // seconds of the server's clock
  let zoom = 1;

  /* Units of the drawing: on a phone there are fewer of them, so that dots can be touched and names be read. */
  const size = () => (PHONE.matches ? { width: 560, height: 620, x: 200, y: 200, radius: 34 } : { width: 1000, height: 680, x: 340, y: 240, radius: 26 });

  // --- the drawing -------------------------------------------------------------------------------

  function draw() {
    nodes.forEach(place);
    const all = pairs();
    const links = all.filter((link) => link.there || link.back);
    const labels = nodes.length <= LABELLED_MAX ? links.map(label) : [];
    at("graph").replaceChildren(...links.map(line), ...labels, ...nodes.map(dot));
    at("graph").classList.toggle("gone", nodes.length === 0);
    at("no-graph").hidden = nodes.length > 0;
    put("count", all.length ? `${links.filter((link) => link.there && link.back).length} of ${counted(all.length, "link")} up` : "");
    at("links").replaceChildren(...all.map(linkRow));
  }

  function place(node, index) {
    const known = places.get(node.id);
    if (known?.moved) {
      return;
    }
    const angle = (2 * Math.PI * index) / nodes.length - Math.PI / 2;
    places.set(node.id, { x: size().x * Math.cos(angle), y: size().y * Math.sin(angle), moved: false });
  }

  /* Every two nodes, with what each of them says about the link: undefined if it says that there is none. */
  function pairs() {
    return nodes.flatMap((one, index) =>
      nodes.slice(index + 1).map(function (other) {
        const [there, back] = [peers[one.id]?.[other.id], peers[other.id]?.[one.id]];
        const trips = [there, back].map((said) => said?.round_trip_ms).filter(Boolean);
        const trip = trips.length ? Math.max(...trips) : null; // the slower end's median
        const rate = rates[one.id]?.[other.id] ?? rates[other.id]?.[one.id] ?? null;
        return { one: one.id, other: other.id, there, back, trip, rate };
      }),
    );
  }

  const tripOf = (link) => (link.trip === null ? "–" : `${link.trip < 10 ? link.trip.toFixed(1) : Math.round(link.trip)} ms`);
  const rateOf = (link) => (link.rate === null ? "–" : `${(link.rate / KIB).toFixed(1)} KiB/s`);
  const stateOf = (link) => (link.there && link.back ? "both ends" : link.there || link.back ? "one end" : "none");

  function line(link) {
    const [a, b] = [places.get(link.one), places.get(link.other)];
    const words = `${link.one} – ${link.other}, reported by: ${stateOf(link)}\nround trip ${tripOf(link)}, ${rateOf(link)}`;
    return shape("line", { class: link.there && link.back ? "link" : "link half", x1: a.x, y1: a.y, x2: b.x, y2: b.y }, words);
  }

  function label(link) {
    const [a, b] = [places.get(link.one), places.get(link.other)];
    const [x, y] = [a.x + LABEL_AT * (b.x - a.x), a.y + LABEL_AT * (b.y - a.y)];
    const made = shape("text", { class: "label", x, y, "text-anchor": "middle" });
    for (const [text, dy] of [[tripOf(link), "-0.2em"], [rateOf(link), "1.1em"]]) {
      const part = shape("tspan", { x, dy });
      part.append(text);
      made.append(part);
    }
    return made;
  }

  /* The state is told by colour and by form: a stopped node is a ring, a failed one has a cross. */
  function dot(node) {
    const where = places.get(node.id);
    const { radius } = size();
    const [tone, lacks] = toneOf(node);
    const kind = tone === "bad" ? "failed" : lacks ? "waiting" : (KINDS[node.status] ?? "failed");
    const made = shape("g", { class: `dot ${kind === "running" && node.is_primary ? "primary" : kind}`, transform: `translate(${where.x} ${where.y})`, "data-node": node.id }, tip(node));
    const lines = kind === "running" ? [node.id] : [node.id, lacks || node.status];
    const name = shape("text", { y: where.y < 0 ? -radius - 12 - LINE * (lines.length - 1) : radius + LINE, "text-anchor": "middle" });
    for (const [place, text] of lines.entries()) {
      const part = shape("tspan", { x: 0, dy: place && LINE });
      part.append(text);
      name.append(part);
    }
    made.append(shape("circle", { r: radius }), name);
    if (kind === "failed") {
      const arm = radius / 2.5;
      made.append(shape("path", { class: "cross", d: `M${-arm} ${-arm} ${arm} ${arm} M${arm} ${-arm} ${-arm} ${arm}` }));
    }
    return made;
  }

  function tip(node) {
    const [, lacks] = toneOf(node);
    return `${node.id}${node.is_primary ? `, ${OWNER}` : ""}\n${node.error || lacks || node.status}\nport ${node.port}, API ${node.api_port}\n${VIEW.toLowerCase()} ${node.view}, sequence ${node.sequence}`;
  }

  function nameCell(text) {
    const name = cell("whole", "");
    name.append(make("b", "", text));
    return name;
  }

  function linkRow(link) {
    const made = make("tr");
    made.append(
      nameCell(`${link.one} – ${link.other}`),
      cell("", stateOf(link), "Reported by"),
      cell("number", tripOf(link), "Round trip"),
      cell("number", rateOf(link), "Rate"),
    );
    return made;
  }

  // --- moved about -------------------------------------------------------------------------------

  function drawZoom() {
    const [width, height] = [size().width / zoom, size().height / zoom];
    at("graph").setAttribute("viewBox", `${-width / 2} ${-height / 2} ${width} ${height}`);
  }

  function zoomBy(factor) {
    zoom = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, zoom * factor));
    drawZoom();
  }

  function point(event) {
    const graph = at("graph");
    const found = new DOMPoint(event.clientX, event.clientY).matrixTransform(graph.getScreenCTM().inverse());
    return { x: found.x, y: found.y };
  }

  let dragged = null;
  at("graph").addEventListener("pointerdown", function (event) {
    const held = event.target.closest("[data-node]");
    if (held) {
      dragged = held.dataset.node;
      at("graph").setPointerCapture(event.pointerId);
      event.preventDefault();
    }
  });
  at("graph").addEventListener("pointermove", function (event) {
    if (dragged !== null) {
      places.set(dragged, { ...point(event), moved: true });
      draw();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    at("graph").addEventListener(end, () => (dragged = null));
  }
  at("graph").addEventListener("wheel", function (event) {
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  }, { passive: false });
  at("closer").addEventListener("click", () => zoomBy(1.4));
  at("farther").addEventListener("click", () => zoomBy(1 / 1.4));
  function fit() {
    places.clear();
    zoom = 1;
    drawZoom();
    draw();
  }
  at("whole").addEventListener("click", fit);
  PHONE.addEventListener("change", fit);
  drawZoom();

  // --- what comes in -----------------------------------------------------------------------------

  async function renew() {
    const found = await fetchJson(root.dataset.linksUrl);
    if (asOf) {
      rates = ratesBetween(peers, found.peers, found.at - asOf);
    } else {
      setTimeout(renewSoon, LOOK_FIRST);
    }
    [peers, asOf] = [found.peers, found.at];
    put("asked", `as of ${new Date().toLocaleTimeString("en-GB")}`);
    draw();
  }

  /* Bytes per second of each link that is in both answers; a node that began to count anew is left out. */
  function ratesBetween(before, now, seconds) {
    const measured = (id) =>
      Object.entries(now[id] ?? {})
        .filter(([peer, link]) => link.bytes >= before[id]?.[peer]?.bytes && seconds > 0)
        .map(([peer, link]) => [peer, (link.bytes - before[id][peer].bytes) / seconds]);
    return Object.fromEntries(Object.keys(now).map((id) => [id, Object.fromEntries(measured(id))]));
  }

  const renewSoon = dtvn.ui.soon(renew, LOOK_AFTER);
  const shown = () => nodes.map((node) => [node.id, node.status, node.error, node.is_primary].join()).join();

  dtvn.page = dtvn.ui.follow({
    onNodes: function (found) {
      const before = shown();
      nodes = found.filter((node) => node.role === "validator");
      if (dragged === null) {
        draw();
      }
      if (shown() !== before) {
        renewSoon();
      }
    },
    onMessage: (message) => message.type === "network" && dtvn.hearing.renew(),
    onLive: function () {
      renewSoon();
      dtvn.hearing.renew();
    },
  });
  setInterval(() => document.hidden || renewSoon(), LOOK_EVERY);
})();
