/* The progress of one import: asked for while a worker has the file; the page is drawn anew when it ends. */
(function () {
  "use strict";

  const { at, fetchJson, grouped, put, root } = dtvn.ui;
  const ASK_AFTER = 700; // milliseconds
  const WORKING = ["reading", "issuing"];
  const begun = root.dataset.importState;

  async function ask() {
    try {
      const found = await fetchJson(root.dataset.importUrl);
      if (found.state !== begun) {
        location.reload();
        return;
      }
      if (found.total) {
        at("import-progress").max = found.total;
        at("import-progress").value = found.done;
        put("import-text", `${grouped.format(found.done)} of ${grouped.format(found.total)} tickets`);
      }
    } catch (error) {
      put("import-text", `${error.message}; asking again`);
    }
    setTimeout(ask, ASK_AFTER);
  }

  dtvn.page = dtvn.ui.follow({});
  if (WORKING.includes(begun)) {
    setTimeout(ask, ASK_AFTER);
  }
})();
