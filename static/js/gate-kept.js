/* What the gate's page keeps in this browser, as JSON. */
dtvn.gateKept = (function () {
  "use strict";

  /* The value of a key; null without one. */
  function read(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch (error) {
      return null; // storage is switched off
    }
  }

  function write(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch (error) {
      return; // it lasts as long as the page
    }
  }

  return { read, write };
})();
