/*
 * Keeps pages of the admin as things are now: the sentence of the cluster's state, the states of nodes, the
 * latest outcomes, the list of tickets, whose rows are read again after news, and a page that waits for a change.
 */
(function () {
  "use strict";

  const LOOK_AFTER = 1000; // milliseconds from news to a fresh look at the list, so that a flood is one look
  const KEY = "input.action-select";
  const TICKETS = ".model-ticket.change-list";
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

  // --- the list of tickets, and nodes on any page ------------------------------------------------

  function lookSoon(selector) {
    if (!looking && document.querySelector(selector)) {
      looking = true;
      setTimeout(look, LOOK_AFTER);
    }
  }

  async function look() {
    looking = false;
    await readAgain(function (fresh) {
      followNodes(fresh);
      if (document.querySelector(TICKETS) && fresh.querySelector(TICKETS)) {
        followRows(fresh);
        followPages(fresh);
      }
    });
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

  /* Rows that are still there keep their checkbox, selected rows stay even if the filter no longer shows them.
     Django writes no table for an empty list: one that becomes empty keeps its table, and so its selection. */
  function followRows(fresh) {
    const body = document.querySelector("#result_list tbody");
    const found = fresh.querySelector("#result_list tbody");
    if (!body) {
      if (found) {
        location.reload(); // the list was empty: there is no table to fill
      }
      return;
    }
    const known = new Map([...body.rows].map((row) => [keyOf(row), row]));
    const rows = [...(found?.rows ?? [])].map((row) => renewed(known, document.importNode(row, true)));
    const kept = [...body.rows].filter((row) => !rows.includes(row) && row.querySelector(KEY)?.checked);
    const same = rows.length === body.rows.length && rows.every((row, place) => row === body.rows[place]);
    if (!same) {
      replaceRows(body, [...rows, ...kept]);
    }
  }

  const keyOf = (row) => row.querySelector(KEY)?.value ?? row.textContent;

  function renewed(known, row) {
    const old = known.get(keyOf(row));
    if (!old) {
      return row;
    }
    [...row.cells].forEach(function (cell, place) {
      const shown = old.cells[place];
      if (!cell.querySelector(KEY) && shown.innerHTML !== cell.innerHTML) {
        shown.replaceChildren(...cell.childNodes);
      }
    });
    return old;
  }

  /* Django's script knows the checkboxes that it was given: with other rows it starts anew. */
  function replaceRows(body, rows) {
    const anew = body.cloneNode(false);
    anew.append(...rows);
    body.replaceWith(anew);
    const toggle = document.getElementById("action-toggle");
    if (toggle) {
      toggle.replaceWith(toggle.cloneNode(true));
      window.Actions(anew.querySelectorAll(KEY));
      count([...anew.querySelectorAll(KEY)]);
    }
  }

  /* As Django's script counts, which waits for a click. */
  function count(boxes) {
    const counter = document.querySelector(".action-counter");
    const selected = boxes.filter((box) => box.checked).length;
    counter.dataset.actionsIcnt = boxes.length;
    counter.textContent = `${selected} of ${boxes.length} selected`;
    document.getElementById("action-toggle").checked = boxes.length > 0 && selected === boxes.length;
  }

  function followPages(fresh) {
    const shown = document.querySelector(".paginator");
    const found = fresh.querySelector(".paginator");
    if (found.outerHTML !== shown.outerHTML) {
      replace(shown, found);
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
        lookSoon(`${TICKETS}, ${NODE}`);
      },
      onNodes: function (message) {
        say(message.state.level, message.state.sentence);
        lookSoon(NODE);
      },
      onFrame: function (frame) {
        const relation = dtvn.model.relation(log, frame);
        if (relation === "next") {
          log = dtvn.model.apply(log, frame);
          drawOutcomes(Math.min(frame.events.length, log.limits.latest));
          lookSoon(TICKETS);
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
