/*
 * What all pages share: small words for the DOM, calls of the API, and the live connection with its place
 * in the top bar. Text only ever goes in as text.
 */
dtvn.ui = (function () {
  "use strict";

  const SAID_FOR = 6000; // milliseconds for which good news stands; bad news stands until the next
  const STATE_EVERY = 5000; // milliseconds between two looks at the state, where there is no feed
  const SVG = "http://www.w3.org/2000/svg";
  const CONNECTION = {
    connecting: ["Connecting", "accent"],
    live: ["Live", "ok"],
    lost: ["Connection lost", "bad"],
  };

  const { make, pill } = dtvn.outcomes;
  const root = document.querySelector("[data-dashboard]");
  const states = root.dataset.states.split(" "); // of a ticket, in the order of its life
  const inPlainWords = JSON.parse(document.getElementById("plain-state")?.textContent ?? "null"); // level -> words, for who does not run the network
  const grouped = new Intl.NumberFormat("en");
  let connection = "connecting";
  let clusterState = null; // the state of the cluster, as of the newest nodes
  let asking = null; // answers the question in the dialog
  let consequence = null; // of what is being asked in the dialog: a function that gives a sentence
  let hiding = null;
  let loggedOut = () => location.reload(); // logged out elsewhere: the page itself leads to the login form

  const at = (name) => root.querySelector(`[data-at="${name}"]`);

  const counted = (count, noun) => `${grouped.format(count)} ${noun}${count === 1 ? "" : "s"}`;

  /* A shape of a drawing; `text` is its title, which browsers show as a tip. */
  function shape(tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    if (text !== undefined) {
      const title = document.createElementNS(SVG, "title");
      title.textContent = text;
      element.append(title);
    }
    return element;
  }

  function put(name, text) {
    const element = at(name);
    if (element.textContent !== String(text)) {
      element.textContent = text;
    }
  }

  function cell(className, text, label) {
    const td = make("td", className, text);
    if (label) {
      td.dataset.label = label;
    }
    return td;
  }

  /* The cell of a node's state: with what is wrong with it, though it may run, or how far a newcomer is. */
  function nodeState(node) {
    const td = cell("whole", "");
    const [tone, lacks] = toneOf(node);
    td.append(pill(tone, lacks ? `${node.status}, ${lacks}` : node.status));
    const reason = node.error || (node.joining ? `joining: ${node.joining}` : "");
    if (reason) {
      td.append(make("span", "reason", reason));
    }
    return td;
  }

  /* [the tone of a node's state, what it lacks]. */
  const toneOf = (node) => clusterState.tones[node.id];

  function button(text, act, label) {
    const made = make("button", "button small", text);
    made.type = "button";
    if (label) {
      made.setAttribute("aria-label", label);
    }
    made.addEventListener("click", act);
    return made;
  }

  /* Rows of a list of facts: [[name, value], ...]. */
  function facts(element, pairs) {
    element.replaceChildren(...pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  }

  /*
   * Ask before something with a consequence: `text` gives the sentence, and is called again when the state of
   * the cluster changes. `inputs`: labels with fields that the person fills in. Resolves to true if it was
   * confirmed. The keyboard goes back to where it was.
   */
  function ask(title, text, verb, inputs = []) {
    asking?.(false); // the dialog of an earlier question is closed, but its close event has not fired yet
    const dialog = at("confirm");
    const held = document.activeElement;
    const label = held?.getAttribute("aria-label");
    consequence = text;
    put("confirm-title", title);
    put("confirm-yes", verb);
    put("confirm-text", text());
    at("confirm-inputs").replaceChildren(...inputs);
    dialog.returnValue = "";
    dialog.showModal();
    at("confirm-inputs").querySelector("input, textarea")?.focus();
    return new Promise(function (resolve) {
      asking = function (yes) {
        asking = consequence = null;
        if (held && !held.isConnected && label) {
          [...root.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === label)?.focus();
        }
        resolve(yes);
      };
    });
  }

  at("confirm")?.addEventListener("close", function () {
    if (!this.open) {
      asking?.(this.returnValue === "yes");
    }
  });

  /* A barcode reader's Enter, in no button, neither confirms nor cancels. */
  at("confirm")?.addEventListener("keydown", function (pressed) {
    if (pressed.key === "Enter" && !pressed.target.closest("button, textarea")) {
      pressed.preventDefault();
    }
  });

  /* The one sentence of the cluster's state, on every page; `unknownSince`: seconds, while nothing is heard of it. */
  function drawState(unknownSince = null) {
    const [level, sentence] = unknownSince === null ? [clusterState.level, clusterState.sentence] : ["none", `State unknown since ${clock(unknownSince)}`];
    at("cluster-state").className = `state ${level}`;
    put("cluster-state", inPlainWords?.[level] ?? sentence);
    at("cluster-state").title = inPlainWords ? sentence : "";
    at("cut-link")?.toggleAttribute("hidden", unknownSince !== null || !clusterState.cut);
    if (consequence && clusterState) {
      put("confirm-text", consequence());
    }
  }

  /* One word to the person: what was done, or why not. */
  function say(text, tone) {
    const element = at("said");
    element.className = `notice said ${tone || "ok"}`;
    element.textContent = text;
    element.hidden = !text;
    clearTimeout(hiding);
    if (tone !== "bad") {
      hiding = setTimeout(() => (element.hidden = true), SAID_FOR);
    }
  }

  /* Sweden writes dates as ISO 8601 does, and as all else here. */
  const dateOf = (then) => then.toLocaleDateString("sv-SE");

  /* A moment for what happens now: with its date unless that is today. */
  function clock(seconds) {
    const then = new Date(seconds * 1000);
    const today = dateOf(then) === dateOf(new Date());
    return today ? then.toLocaleTimeString("en-GB") : dated(seconds);
  }

  /* A moment with its date, for what is kept or sent to others. */
  function dated(seconds) {
    const then = new Date(seconds * 1000);
    return `${dateOf(then)} ${then.toLocaleTimeString("en-GB")}`;
  }

  // --- the address -------------------------------------------------------------------------------

  /* The parameters of the page's address; "q", what a person typed, stands behind the #, where no server sees it. */
  function placed() {
    const found = Object.fromEntries(new URLSearchParams(location.search));
    const hash = new URLSearchParams(location.hash.slice(1));
    return hash.has("q") ? { ...found, q: hash.get("q") } : found;
  }

  /* Give the page the address of what it shows; `anew`: as a step that the browser's back takes back. */
  function place({ q = "", ...parameters }, anew) {
    const kept = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
    const hash = q ? `#${new URLSearchParams({ q })}` : "";
    const address = `${location.pathname}${kept.size ? `?${kept}` : ""}${hash}`;
    if (address !== location.pathname + location.search + location.hash) {
      history[anew ? "pushState" : "replaceState"](null, "", address);
    }
  }

  // --- calls -------------------------------------------------------------------------------------

  /* Do this instead when the login has ended. */
  function whenLoggedOut(act) {
    loggedOut = act;
  }

  async function answered(url, options) {
    const response = await fetch(url, { credentials: "same-origin", ...options }).catch(function (error) {
      throw error instanceof TypeError ? new Error("The platform does not answer.") : error; // the browser's own words say less
    });
    if (response.status === 401) {
      loggedOut();
    }
    let content;
    try {
      content = await response.json();
    } catch (error) {
      content = {};
    }
    if (!response.ok) {
      const error = new Error(content.error || `${url} answered ${response.status}`);
      throw Object.assign(error, { status: response.status, code: content.code, content });
    }
    return { content, headers: response.headers };
  }

  async function fetchJson(url) {
    return (await answered(url, { headers: { Accept: "application/json" } })).content;
  }

  /* Ask the platform for data by a form, where the question must not stand in an address. */
  async function post(url, fields) {
    const headers = { Accept: "application/json", "X-CSRFToken": root.dataset.csrf };
    return (await answered(url, { method: "POST", headers, body: new URLSearchParams(fields) })).content;
  }

  /* An answer of the API without its envelope, and its headers. */
  async function look(path) {
    const found = await answered(`/api/v1${path}`, { headers: { Accept: "application/json" } });
    return { ...found, content: plain(found.content) };
  }

  /* Change something; resolves to the answer, rejects with the platform's own sentence. `options`: of fetch. */
  async function call(method, path, body, options = {}) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": root.dataset.csrf };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    return plain((await answered(`/api/v1${path}`, { ...options, method, headers, ...sent })).content);
  }

  function plain(content) {
    return content && typeof content === "object" && "success" in content && "data" in content ? content.data : content;
  }

  /*
   * Have something done on a person's word, and say how it went; until then nothing of an earlier act is said.
   * `refused` gives the sentence for an error, by default the platform's own. True if it was done.
   */
  async function attempt(act, done, refused = (error) => error.message) {
    say("");
    try {
      const found = await act();
      say(typeof done === "function" ? done(found) : done);
      return true;
    } catch (error) {
      say(await refused(error), "bad");
      return false;
    }
  }

  /* Call `act` soon, however often it was asked for meanwhile, and never twice at once. Its failure is said
     until it succeeds. */
  function soon(act, milliseconds) {
    let waiting = false;
    let running = false;
    let again = false; // asked for while it ran
    let failure = "";
    async function run() {
      if (running) {
        again = true;
        return;
      }
      waiting = false;
      running = true;
      try {
        await act();
        if (failure && at("said").textContent === failure) {
          say("");
        }
        failure = "";
      } catch (error) {
        failure = error.message;
        say(failure, "bad");
      } finally {
        running = false;
        if (again) {
          again = false;
          setTimeout(run, milliseconds);
        }
      }
    }
    return function () {
      if (!waiting) {
        waiting = true;
        setTimeout(run, milliseconds);
      }
    };
  }

  // --- the connection ----------------------------------------------------------------------------

  /* `outdated`: the learner does not run, so the log on this page is not updated. */
  function drawConnection(outdated) {
    const [text, tone] = connection === "live" && outdated ? ["Not updating", "bad"] : CONNECTION[connection];
    at("connection").className = `pill ${tone}`;
    put("connection", text);
  }

  /*
   * Follow the cluster: page.onLog(state, fresh events or null, snapshot), page.onNodes(nodes, clusterState),
   * page.onMessage(any other frame), page.onLive(): connected (again).
   * Returns {state(), nodes(), clock(), position(), renew(): takes a fresh snapshot}.
   */
  function follow(page) {
    if (root.dataset.stateUrl) {
      return followState(root.dataset.stateUrl);
    }
    let state = null;
    let nodes = [];
    let nodesAsOf = 0; // seconds of the server's clock
    let ahead = 0; // seconds that the server's clock is ahead of this one

    function takeNodes(found, foundState, asOf) {
      if (!dtvn.model.overtaken(nodesAsOf, asOf)) {
        nodes = found;
        clusterState = foundState;
        nodesAsOf = asOf;
        if (connection !== "lost") {
          drawState();
        }
      }
    }

    const feed = dtvn.feed({
      closedNoAccess: Number(root.dataset.closedNoAccess), // close code of the server after a logout
      fetchSnapshot: () => fetchJson(root.dataset.snapshotUrl),
      onSnapshot: function (snapshot) {
        ahead = snapshot.now - Date.now() / 1000;
        state = snapshot.log;
        takeNodes(snapshot.nodes, snapshot.state, snapshot.nodes_as_of);
        page.onLog?.(state, null);
        page.onNodes?.(nodes, clusterState);
        root.removeAttribute("aria-busy");
      },
      onFrame: function (frame) {
        const relation = dtvn.model.relation(state, frame);
        if (relation === "next") {
          state = dtvn.model.apply(state, frame);
          page.onLog?.(state, frame.events);
        }
        return relation;
      },
      onNodes: function (message) {
        takeNodes(message.nodes, message.state, message.as_of);
        page.onNodes?.(nodes, clusterState);
      },
      onMessage: (message) => page.onMessage?.(message),
      onState: function (name, heard) {
        connection = name;
        if (name === "lost") {
          drawState(heard / 1000);
        } else if (name === "live" && clusterState) {
          drawState();
        }
        drawConnection(page.outdated?.());
        at("stale").hidden = name !== "lost";
        if (name === "live") {
          page.onLive?.();
        }
      },
    });
    return { state: () => state, nodes: () => nodes, clock: () => ahead, position: feed.position, renew: feed.renew };
  }

  /* A login for one event has no feed, which is of all events: only the cluster's state is asked for. */
  function followState(url) {
    let heard = Date.now();
    async function ask() {
      try {
        clusterState = await fetchJson(url);
        heard = Date.now();
        connection = "live";
        drawState();
      } catch (error) {
        connection = "lost";
        drawState(heard / 1000);
      }
      drawConnection(false);
      at("stale").hidden = connection !== "lost";
      setTimeout(ask, STATE_EVERY);
    }
    root.removeAttribute("aria-busy");
    ask();
    return {};
  }

  return {
    at, root, states, counted, make, shape, put, pill, cell, nodeState, toneOf, button, facts, say, ask, clock, placed, place,
    grouped, fetchJson, look, post, call, attempt, soon, follow, drawConnection, whenLoggedOut,
  };
})();
