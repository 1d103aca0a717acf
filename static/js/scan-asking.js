/*
 * Asks what is decided about a scan, always under the scan's one nonce, until that is known: a request whose answer
 * was lost may have let the guest in. So a scan is stored in this browser before it is sent, and forgotten only when its
 * outcome is known; a reload or a closed tab lose nothing. Only the person who made a scan can ask for its outcome, since
 * a nonce belongs to its person.
 */
dtvn.scanAsking = (function () {
  "use strict";

  const { call, root } = dtvn.ui;
  const login = dtvn.gateLogin;
  const STORED = "gate-scan:"; // + nonce
  const NONCE_BYTES = 16;
  const ANSWER_WITHIN = 10000; // milliseconds for which one request may take
  const AGAIN_AFTER = [300, 1000, 2000, 4000]; // milliseconds between requests; the last one stays
  const AT_THE_GATE = 600000; // milliseconds for which a guest is expected to wait
  const KNOWN = ["admitted", "done", "refused", "error"];
  const [UNAUTHORIZED, FORBIDDEN] = [401, 403];
  const NO_ANSWER = "The platform does not answer.";
  const OF_ONE_REQUEST = /^Nothing was sent[.:] */; // an earlier request of the same scan may have been
  const LOGIN_ENDED = "login_ended"; // code of an answer that only this page gives
  const LOGGED_OUT = "byLink" in root.dataset
    ? "Your link has ended: ask the organiser for a new one, and open it on this device. This scan is kept, and then asked again by itself."
    : "The login has ended: sign in again, in this tab or another one. This scan is kept, and then asked again by itself.";

  const open = new Map(); // nonce -> scan whose outcome is not known

  const fresh = () => [...crypto.getRandomValues(new Uint8Array(NONCE_BYTES))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const sentence = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  /* A scan as it is sent: `path` of the API and `body`; `at` is milliseconds. `undoes`: nonce of the scan that it takes
     back. */
  function begin(path, body, undoes) {
    const nonce = fresh();
    const scan = { path, body: { ...body, nonce }, nonce, at: Date.now(), actor: root.dataset.actor, doubt: false, undoes };
    store(scan);
    return scan;
  }

  function store(scan) {
    open.set(scan.nonce, scan);
    try {
      const { path, body, nonce, at, actor, doubt, undoes } = scan;
      localStorage.setItem(STORED + nonce, JSON.stringify({ path, body, nonce, at, actor, doubt, undoes }));
      scan.stored = true;
    } catch (error) {
      scan.stored = false; // the page says so: a reload would lose it
    }
  }

  function forget(scan) {
    open.delete(scan.nonce);
    try {
      localStorage.removeItem(STORED + scan.nonce);
    } catch (error) {
      return; // storage is switched off: nothing was stored
    }
  }

  /* Scans that an earlier page left open, the oldest first: any of their requests may have been executed. */
  function left() {
    let found = [];
    try {
      const names = Object.keys(localStorage).filter((name) => name.startsWith(STORED));
      found = names.map((name) => JSON.parse(localStorage.getItem(name)));
    } catch (error) {
      return []; // storage is switched off
    }
    for (const scan of found) {
      scan.doubt = scan.stored = true;
      open.set(scan.nonce, scan);
    }
    return found.sort((one, other) => one.at - other.at);
  }

  /* The open scan of the same code for the same list, if there is one: another reading of it is the same scan. */
  function same(path, body) {
    const key = ({ event, barcode, ticket_id: id, list, kind }) => JSON.stringify([event, barcode, id, list, kind]);
    return [...open.values()].find((scan) => isOwn(scan) && scan.path === path && key(scan.body) === key(body));
  }

  const isOwn = (scan) => scan.actor === root.dataset.actor;
  const isLate = (scan) => Date.now() - scan.at > AT_THE_GATE;

  /* The session has ended, or began anew and has another token (CSRF): nothing was decided. */
  const isLoggedOut = ({ status, outcome, message }) =>
    status === UNAUTHORIZED || (status === FORBIDDEN && (!KNOWN.includes(outcome) || message.startsWith("CSRF")));

  /* The answer to one request; `whose` is "network" if nobody knows the outcome. */
  async function ask(scan) {
    let answer = await request(scan);
    if (answer && isLoggedOut(answer) && (await login.renew())) {
      answer = await request(scan);
    }
    if (answer && isLoggedOut(answer)) {
      return { outcome: "unknown", code: LOGIN_ENDED, whose: "network", message: LOGGED_OUT, status: answer.status };
    }
    if (KNOWN.includes(answer?.outcome)) {
      return answer;
    }
    const message = sentence((answer?.message ?? NO_ANSWER).replace(OF_ONE_REQUEST, "")); // a login page of the venue's network is no answer
    return { outcome: "unknown", code: answer?.code ?? "", whose: "network", message, status: answer?.status };
  }

  async function request(scan) {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), ANSWER_WITHIN);
    try {
      return await call("POST", scan.path, scan.body, { signal: ending.signal });
    } catch (error) {
      return { ...error.content, message: error.status ? error.message : NO_ANSWER, status: error.status };
    } finally {
      clearTimeout(timer);
    }
  }

  /* A right that was lost meanwhile says nothing about what the first request did. */
  const isFinal = (scan, told) => told.outcome !== "unknown" && told.whose !== "network" && !(scan.doubt && told.status === FORBIDDEN);

  /*
   * Resolves to the outcome of a scan; `waits(told)` is called after each request that brought none. Resolves to null
   * when the guest has waited for ten minutes: from then on a person decides whether to ask again.
   */
  async function settle(scan, waits) {
    const end = Date.now() + AT_THE_GATE;
    for (let tries = 0; ; tries += 1) {
      const told = await ask(scan);
      if (isFinal(scan, told)) {
        forget(scan);
        return told;
      }
      if (!scan.doubt) {
        scan.doubt = true;
        store(scan);
      }
      waits(told);
      if (Date.now() > end) {
        return null;
      }
      await pause(AGAIN_AFTER[Math.min(tries, AGAIN_AFTER.length - 1)]);
    }
  }

  return { LOGIN_ENDED, begin, forget, fresh, isLate, isOwn, left, same, settle };
})();
