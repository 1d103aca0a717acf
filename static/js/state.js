/* Keeps the sentence of the cluster's state on pages of the admin as it is now. */
(function () {
  "use strict";

  const element = document.querySelector("[data-state-url]");

  async function fetchSnapshot() {
    const response = await fetch(element.dataset.stateUrl, { credentials: "same-origin" });
    if (!response.ok) {
      throw new Error(`${response.url} answered ${response.status}`);
    }
    return response.json();
  }

  function draw(state) {
    element.className = `state ${state.level}`;
    if (element.textContent !== state.sentence) {
      element.textContent = state.sentence;
    }
  }

  if (element) {
    dtvn.feed({
      fetchSnapshot,
      onSnapshot: (snapshot) => draw(snapshot.state),
      onNodes: (message) => draw(message.state),
      onFrame: () => "next",
      onMessage: () => {},
      onState: () => {},
    });
  }
})();
