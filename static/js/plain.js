/* A page whose content stands in it: only the band above it is live. */
(function () {
  "use strict";

  dtvn.page = dtvn.ui.follow({});
  dtvn.ui.root.removeAttribute("aria-busy");
})();
