/*
 * Light or dark: what the system says, until somebody chooses; the admin's own switch keeps its choice
 * in the same place. Runs before the page is drawn.
 */
(function () {
  "use strict";
  const KEY = "theme";
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch (error) {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  }

  function choose(theme) {
    root.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch (error) {
      return;
    }
  }

  const chosen = stored();
  if (chosen === "light" || chosen === "dark") {
    root.dataset.theme = chosen;
  }
  document.addEventListener("DOMContentLoaded", function () {
    const button = document.querySelector("[data-theme-switch]");
    if (!button) {
      return;
    }
    button.addEventListener("click", function () {
      const dark =
        root.dataset.theme === "dark" ||
        (root.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
      choose(dark ? "light" : "dark");
    });
  });
})();
