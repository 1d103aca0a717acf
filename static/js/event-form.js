/* The form of an event: a short name suggested from the name, and further rows for products. */
(function () {
  "use strict";

  const { at, make, root } = dtvn.ui;
  const SLUG_LENGTH_MAX = 64;
  const form = at("event-form");

  /* "Försommar 2026" becomes "forsommar-2026". */
  function slugOf(name) {
    const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").replaceAll("ß", "ss").toLowerCase();
    return plain.replace(/[^a-z0-9]+/g, "-").slice(0, SLUG_LENGTH_MAX).replace(/^-+|-+$/g, "");
  }

  function addProduct() {
    const number = at("products").querySelectorAll(".product").length;
    const row = make("div", "product");
    const name = make("input");
    Object.assign(name, { type: "text", name: "product", maxLength: 256, autocomplete: "off" });
    name.setAttribute("aria-label", `Name of product ${number + 1}`);
    const admits = make("input");
    Object.assign(admits, { type: "checkbox", name: "admits", value: number, checked: true });
    admits.setAttribute("aria-label", `Product ${number + 1} admits`);
    const label = make("label", "check");
    label.append(admits, " admits");
    row.append(name, label);
    at("products").append(row);
    name.focus();
  }

  if (form) {
    const { name, slug } = form.elements;
    let suggested = slug.value === "" ? "" : null; // null: the person, or an event that exists, has its own
    name.addEventListener("input", function () {
      if (suggested !== null && slug.value === suggested) {
        suggested = slug.value = slugOf(name.value);
      }
    });
    at("more-products").addEventListener("click", addProduct);
  }

  dtvn.page = dtvn.ui.follow({});
  root.removeAttribute("aria-busy");
})();
