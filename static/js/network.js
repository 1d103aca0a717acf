/* Who is connected to whom, by each node's own word: a drawing that can be moved about, and a table. */
(function () {
  "use strict";

  const { at, cell, fetchJson, make, nodeState, put, root, shape } = dtvn.ui;
  const LOOK_EVERY = 3000;
  const LOOK_AFTER = 500; // milliseconds from a change of a node to a look
  const WIDTH = 1000;
  const HEIGHT = 680;
  const RING_X = 340;
  const RING_Y = 240;
  const RADIUS = 26;
  const ZOOM_MIN = 0.1;
  const ZOOM_MAX = 4;

  const places = new Map(); // node id -> {x, y, moved}: where it is drawn
  let nodes = [];
  let peers = {}; // node id -> ids it is connected to, null where it does not answer
  let zoom = 1;

  // --- the drawing -------------------------------------------------------------------------------

  function draw() {
    nodes.forEach(place);
    const links = pairs();
    at("graph").replaceChildren(...links.map(line), ...nodes.map(dot));
    at("graph").classList.toggle("gone", nodes.length === 0);
    at("no-graph").hidden = nodes.length > 0;
    const both = links.filter((link) => link.both).length;
    const all = (nodes.length * (nodes.length - 1)) / 2;
    put("count", nodes.length ? `${both} of ${all} links up` : "");
    at("peers").replaceChildren(...nodes.map(row));
  }

  function place(node, index) {
    const known = places.get(node.id);
    if (known?.moved) {
      return;
    }
    const angle = (2 * Math.PI * index) / nodes.length - Math.PI / 2;
    places.set(node.id, { x: RING_X * Math.cos(angle), y: RING_Y * Math.sin(angle), moved: false });
  }

  function pairs() {
    const found = [];
    nodes.forEach((one, index) => {
      for (const other of nodes.slice(index + 1)) {
        const [there, back] = [says(one, other), says(other, one)];
        if (there || back) {
          found.push({ one: one.id, other: other.id, both: there && back });
        }
      }
    });
    return found;
  }

  const says = (one, other) => (peers[one.id] ?? []).includes(other.id);

  function line(link) {
    const [a, b] = [places.get(link.one), places.get(link.other)];
    const words = `${link.one} – ${link.other}: ${link.both ? "both ends report it" : "one end reports it"}`;
    return shape("line", { class: link.both ? "link" : "link half", x1: a.x, y1: a.y, x2: b.x, y2: b.y }, words);
  }

  function dot(node) {
    const where = places.get(node.id);
    const kind = node.status !== "running" ? "down" : node.is_primary ? "primary" : "running";
    const made = shape("g", { class: `dot ${kind}`, transform: `translate(${where.x} ${where.y})`, "data-node": node.id }, tip(node));
    const name = shape("text", { y: where.y < 0 ? -RADIUS - 12 : RADIUS + 24, "text-anchor": "middle" });
    name.append(node.id);
    made.append(shape("circle", { r: RADIUS }), name);
    return made;
  }

  function tip(node) {
    return `${node.id}${node.is_primary ? ", primary" : ""}\n${node.status}\nport ${node.port}, API ${node.api_port}\nview ${node.view}, sequence ${node.sequence}`;
  }

  function row(node) {
    const made = make("tr");
    const name = cell("whole", "");
    name.append(make("b", "", node.id));
    const told = peers[node.id];
    const lacking = nodes.filter((other) => other.id !== node.id && !(told ?? []).includes(other.id)).map((other) => other.id);
    made.append(
      name,
      nodeState(node),
      cell("", told ? told.join(", ") || "none" : "does not respond", "Connected to"),
      cell("", told ? lacking.join(", ") || "none" : "–", "Not connected to"),
    );
    return made;
  }

  // --- moved about -------------------------------------------------------------------------------

  function drawZoom() {
    const [width, height] = [WIDTH / zoom, HEIGHT / zoom];
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
  at("whole").addEventListener("click", function () {
    places.clear();
    zoom = 1;
    drawZoom();
    draw();
  });

  // --- what comes in -----------------------------------------------------------------------------

  async function renew() {
    peers = (await fetchJson(root.dataset.linksUrl)).peers;
    put("asked", `as of ${new Date().toLocaleTimeString("en-GB")}`);
    draw();
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
    onLive: renewSoon,
  });
  setInterval(() => document.hidden || renewSoon(), LOOK_EVERY);
})();
