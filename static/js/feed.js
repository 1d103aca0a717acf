/*
 * The connection: a snapshot, then every frame after it, for ever. It reconnects by itself, resumes
 * where it was, and takes a fresh snapshot when the server says that too much was missed.
 *
 * dtvn.feed({closedNoAccess, fetchSnapshot, onSnapshot, onFrame, onNodes, onMessage, onState}) -> {position(), renew()}
 * onState(name, heard): "connecting", "live" or "lost"; heard: when the server said something last, in milliseconds.
 */
dtvn.feed = function (page) {
  "use strict";

  const RETRY_FIRST = 400;
  const RETRY_MAX = 8000;
  const SILENCE_MAX = 15000; // milliseconds without any word: the connection is dead, whatever TCP says
  const GREETED_WITHIN = 8000; // milliseconds for the first "connected": until then the band of the served page stands
  const PING_EVERY = 5000;

  let socket = null;
  let position = null; // sequence up to which the page is complete
  let retry = RETRY_FIRST;
  let heard = Date.now(); // the page itself came from the server
  let begun = 0; // when this connection was begun
  let greeted = false; // the server has let us in
  let renewing = false; // a snapshot is on its way: frames meanwhile are covered by it, or asked for again

  function address() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    return scheme + "//" + location.host + "/ws";
  }

  setTimeout(() => greeted || page.onState("lost", heard), GREETED_WITHIN);

  async function start() {
    try {
      await renew();
    } catch (error) {
      page.onState("lost", heard);
      later();
      return;
    }
    connect();
  }

  async function renew() {
    renewing = true;
    try {
      const snapshot = await page.fetchSnapshot();
      heard = Date.now();
      position = snapshot.log.sequence;
      page.onSnapshot(snapshot);
    } finally {
      renewing = false;
    }
  }

  function connect() {
    const mine = new WebSocket(address());
    socket = mine;
    greeted = false;
    begun = Date.now();
    mine.onmessage = (message) => mine === socket && receive(JSON.parse(message.data));
    mine.onclose = (closed) => mine === socket && lost(closed.code);
  }

  function lost(code) {
    socket = null;
    greeted = greeted && code !== page.closedNoAccess;
    page.onState("lost", heard);
    later();
  }

  function later() {
    const wait = retry * (0.75 + Math.random() / 2);
    retry = Math.min(retry * 2, RETRY_MAX);
    // Not let in: the snapshot tells why (logged out, server gone), which a failed handshake does not.
    setTimeout(greeted ? connect : start, wait);
    greeted = false;
  }

  function resume() {
    say({ type: "resume", after: position, batch: true });
  }

  function say(message) {
    if (socket && socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify(message));
    }
  }

  async function receive(message) {
    heard = Date.now();
    if (message.type === "connected") {
      retry = RETRY_FIRST;
      greeted = true;
      page.onState("live");
      resume();
    } else if (message.type === "events") {
      take(message);
    } else if (message.type === "nodes") {
      page.onNodes(message);
    } else if (message.type === "reset") {
      await reload();
    } else if (message.type !== "pong") {
      page.onMessage(message);
    }
  }

  function take(frame) {
    if (renewing) {
      return;
    }
    const relation = page.onFrame(frame);
    if (relation === "gap") {
      resume();
      return;
    }
    position = Math.max(position, frame.to);
    say({ type: "ack", sequence: frame.to });
  }

  async function reload() {
    try {
      await renew();
      resume();
    } catch (error) {
      if (socket) {
        socket.close();
      }
    }
  }

  setInterval(function () {
    if (!socket) {
      return;
    }
    if (Date.now() - Math.max(heard, begun) > SILENCE_MAX) {
      const dead = socket;
      lost();
      dead.close();
    } else {
      say({ type: "ping" });
    }
  }, PING_EVERY);

  page.onState("connecting"); // later on it is lost until it is live again
  start();
  return { position: () => position, renew: () => renewing || reload() };
};
