// The shelf: the products, their categories, and what is sold out.

import { byId, copy, dollars } from "./shop-dom.js";

/** One card for each product; onAdd(product, button) when the customer wants one. */
export function showProducts(products, onAdd) {
  const cards = products.map((product) => {
    const card = copy("product-card");
    card.dataset.sku = product.sku;
    card.dataset.category = product.category;
    const picture = card.querySelector(".picture");
    if (product.primaryImageUrl) picture.src = product.primaryImageUrl;
    card.querySelector(".category").textContent = product.category;
    card.querySelector(".name").textContent = product.name;
    card.querySelector(".price").textContent = product.price === null ? "No price" : dollars(product.price);
    const button = card.querySelector(".add");
    button.disabled = product.price === null;
    button.setAttribute("aria-label", `Add ${product.name} to the cart`);
    button.addEventListener("click", () => onAdd(product, button));
    return card;
  });
  byId("grid").replaceChildren(...cards);
  byId("grid").setAttribute("aria-busy", "false");
  showCategories(["All", ...new Set(products.map((product) => product.category))]);
}

function showCategories(categories) {
  const buttons = categories.map((category) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = category;
    button.setAttribute("aria-pressed", String(category === "All"));
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const card of byId("grid").children) {
        card.hidden = category !== "All" && card.dataset.category !== category;
      }
    });
    return button;
  });
  byId("categories").replaceChildren(...buttons);
}

/** What is sold out, where anybody knows: null is no answer. */
export function showStock(products) {
  for (const { sku, isInStock } of products) {
    const words = byId("grid").querySelector(`[data-sku="${CSS.escape(sku)}"] .stock`);
    if (words) words.hidden = isInStock !== false;
  }
}
