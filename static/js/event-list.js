/* The form of a list: how often shows only where the rule asks for it, and ticking a product chooses products. */
(function () {
  "use strict";

  const { at, root } = dtvn.ui;
  const form = at("list-form");
  const { rule, takes } = form.elements;

  function drawTimes() {
    at("times").hidden = rule.value !== "times";
  }

  rule.addEventListener("change", drawTimes);
  form.addEventListener("change", function ({ target }) {
    if (target.name === "product" && target.checked) {
      takes.value = "some";
    }
  });
  drawTimes();
  (form.querySelector('[aria-invalid="true"]') ?? form.elements.name).focus();

  dtvn.page = dtvn.ui.follow({});
  root.removeAttribute("aria-busy");
})();
