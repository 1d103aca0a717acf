/* A login that ends while a gate scans: the page stays as it is, says what to do, and goes on with the next login. */
dtvn.gateLogin = (function () {
  "use strict";

  const { at, root, whenLoggedOut } = dtvn.ui;
  const ANSWER_WITHIN = 10000; // milliseconds

  whenLoggedOut(function () {
    at("sign-in").href = location.href; // it leads to the login, and back to this place
    at("login").hidden = false;
  });

  /* Take over a login that was made in another tab. Resolves to whether there is one of the same person. */
  async function renew() {
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(ANSWER_WITHIN) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-dashboard]");
      if (!response.ok || response.redirected || !page) {
        return false;
      }
      if (page.dataset.actor !== root.dataset.actor) {
        location.reload(); // another person: what that person may do stands in the page
        return false;
      }
      root.dataset.csrf = page.dataset.csrf;
      at("login").hidden = true;
      return true;
    } catch (error) {
      return false; // no answer: asked again with the next scan, or when the connection is back
    }
  }

  /* The page hears from the platform again. */
  const onLive = () => at("login").hidden || renew();

  return { onLive, renew };
})();
