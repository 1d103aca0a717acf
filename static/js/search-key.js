/* The key / goes to the search of the page, unless something is being typed. */
document.addEventListener("keydown", function (pressed) {
  "use strict";

  const search = document.querySelector("input[type=search], #searchbar");
  const typing = pressed.target.closest("input, textarea, select, [contenteditable]");
  if (search && pressed.key === "/" && !typing && !pressed.ctrlKey && !pressed.altKey && !pressed.metaKey && !document.querySelector("dialog[open]")) {
    pressed.preventDefault();
    search.focus();
    search.select();
  }
});
