/* A steward's link: its key stands behind the # of the address, and leaves the browser only in the form that is posted. */
(function () {
  "use strict";

  const form = document.querySelector('[data-at="enter"]');
  const key = location.hash.slice(1);

  form.hidden = !key;
  document.querySelector('[data-at="incomplete"]').hidden = Boolean(key);
  form.addEventListener("submit", function () {
    form.elements.key.value = key;
    history.replaceState(null, "", location.pathname); // the browser's history does not keep it
  });
})();
