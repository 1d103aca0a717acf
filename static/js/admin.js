/*
 * Keeps pages of the admin as things are now: the sentence of the cluster's state, the states of nodes, the
 * latest outcomes, and a page that waits for a change.
 */
(function () {
  "use strict";

  const LOOK_AFTER = 1000; // milliseconds from news to a fresh look at the nodes, so that a flood is one look
  const NODE = ".pill[data-node]";
  const WAITING = "[data-look-again]"; // seconds from one look to the next
  const element = document.querySelector("[data-state-url]");
  const outcomes = document.querySelector("[data-outcomes]");
  let log = null;
  let looking = false;

  async function fetched(url) {
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) {
      throw new Error(`${response.url} answered ${response.status}`);
    }
    return response;
  }

  function say(level, text) {
    element.className = `state ${level}`;
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  function drawOutcomes(fresh) {
    if (outcomes) {
      dtvn.outcomes.draw(outcomes, log.latest, fresh);
      document.querySelector("[data-no-outcomes]").hidden = log.latest.length > 0;
    }
  }

  // --- nodes on any page -------------------------------------------------------------------------

  function lookSoon() {
    if (!looking && document.querySelector(NODE)) {
      looking = true;
      setTimeout(look, LOOK_AFTER);
    }
  }

  async function look() {
    looking = false;
    await readAgain(followNodes);
  }

  async function readAgain(follow) {
    try {
      const response = await fetched(location.href);
      if (!response.redirected) {
        follow(new DOMParser().parseFromString(await response.text(), "text/html"));
      }
    } catch (error) {
      console.warn("this page was not read again:", error.message);
    }
  }

  function followNodes(fresh) {
    const found = new Map([...fresh.querySelectorAll(NODE)].map((pill) => [pill.dataset.node, pill]));
    for (const pill of document.querySelectorAll(NODE)) {
      const now = found.get(pill.dataset.node);
      if (now && now.outerHTML !== pill.outerHTML) {
        pill.replaceWith(document.importNode(now, true));
      }
    }
  }

  /* The focus stays on what is still there. */
  function replace(shown, found) {
    const held = shown.contains(document.activeElement) ? document.activeElement : null;
    const anew = document.importNode(found, true);
    const same = held && [...anew.querySelectorAll(held.localName)].find((one) => one.isEqualNode(held));
    shown.replaceWith(anew);
    same?.focus({ preventScroll: true });
  }

  // --- a page that waits for a change ------------------------------------------------------------

  function lookWhileWaiting() {
    const waiting = document.querySelector(WAITING);
    if (waiting) {
      setTimeout(() => readAgain(followContent).then(lookWhileWaiting), 1000 * waiting.dataset.lookAgain);
    }
  }

  function followContent(fresh) {
    const shown = document.getElementById("content");
    const found = fresh.getElementById("content");
    if (found && found.textContent !== shown.textContent) {
      scrollByKeyboard(found);
      replace(shown, found);
    }
  }

  // --- what comes in -----------------------------------------------------------------------------

  /* A list wider than the screen scrolls by itself, by keyboard too, though no row may lead anywhere. */
  function scrollByKeyboard(within) {
    for (const list of within.querySelectorAll(".results")) {
      Object.assign(list, { tabIndex: 0, role: "region", ariaLabel: "List" });
    }
  }

  scrollByKeyboard(document);
  lookWhileWaiting();

  if (element) {
    dtvn.feed({
      fetchSnapshot: async () => (await fetched(element.dataset.stateUrl)).json(),
      onSnapshot: function (snapshot) {
        say(snapshot.state.level, snapshot.state.sentence);
        log = snapshot.log;
        drawOutcomes(null);
        lookSoon();
      },
      onNodes: function (message) {
        say(message.state.level, message.state.sentence);
        lookSoon();
      },
      onFrame: function (frame) {
        const relation = dtvn.model.relation(log, frame);
        if (relation === "next") {
          log = dtvn.model.apply(log, frame);
          drawOutcomes(Math.min(frame.events.length, log.limits.latest));
        }
        return relation;
      },
      onMessage: () => {},
      onState: function (name, heard) {
        if (name === "lost") {
          say("none", `State unknown since ${new Date(heard).toLocaleTimeString("en-GB")}`);
        }
      },
    });
  }
})();
