// The shelf: the products, their categories, and what is sold out.

import { byId, copy, dollars } from "./shop-dom.js";
import { age, mark, share } from "./shop-marks.js";

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
    showPrice(card, product.price);
    const button = card.querySelector(".add");
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

/** What is sold out, where anybody knows: null is no answer. And how good all of it is. */
export function showStock(view) {
  const { products } = view;
  mark("shelf-mark", age(view));
  mark("prices-mark", share(view, "pricing", "Prices"));
  mark("stock-mark", share(view, "inventory", "Stock"));
  for (const { sku, isInStock, price } of products) {
    const card = byId("grid").querySelector(`[data-sku="${CSS.escape(sku)}"]`);
    if (!card) continue;
    card.querySelector(".stock").hidden = isInStock !== false;
    showPrice(card, price);
  }
}

function showPrice(card, price) {
  card.querySelector(".price").textContent = price === null ? "No price" : dollars(price);
  card.querySelector(".add").disabled = price === null;
}
