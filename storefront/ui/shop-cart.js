// The cart panel, the badge and the totals.

import { byId, copy, dollars, flash } from "./shop-dom.js";
import { age, mark, share } from "./shop-marks.js";

// What a view calls a product that Catalog says nothing of.
const UNNAMED = "Unknown Product";

export class CartPanel {
  #lines = new Map(); // sku to { element, quantity }
  #onChange;
  #onRemove;
  #subtotal = 0;

  /** onChange(sku, quantity) and onRemove(sku) are asked for by the customer. */
  constructor({ onChange, onRemove }) {
    this.#onChange = onChange;
    this.#onRemove = onRemove;
    byId("method").addEventListener("change", () => this.#sum());
  }

  get shippingCost() {
    return byId("method").selectedOptions[0].dataset.cost;
  }

  /** What a cart-updated event says by itself: how many lines, and what they come to. */
  totals(itemCount, totalAmount) {
    const badge = byId("badge");
    const changed = badge.textContent !== String(itemCount);
    badge.textContent = itemCount;
    badge.dataset.count = itemCount;
    byId("badge-words").textContent =
      itemCount === 0 ? "is empty" : `${itemCount} ${itemCount === 1 ? "product" : "products"}`;
    if (changed) flash(badge);
    this.#subtotal = totalAmount;
    this.#sum();
  }

  get skus() {
    return [...this.#lines.keys()];
  }

  /** The cart's view, and how good it is. */
  show(view) {
    const { items, subtotal } = view;
    mark("cart-mark", age(view));
    mark("names-mark", items.length ? share(view, "catalog", "Names and pictures") : null);
    const wanted = new Set(items.map((item) => item.sku));
    for (const [sku, { element }] of this.#lines) {
      if (!wanted.has(sku)) {
        element.remove();
        this.#lines.delete(sku);
      }
    }
    items.forEach((item) => this.#line(item));
    const empty = items.length === 0;
    byId("cart-empty").hidden = !empty;
    byId("pay").hidden = empty;
    byId("clear").hidden = empty;
    this.totals(items.length, subtotal);
  }

  #line({ sku, productName, productImageUrl, quantity, unitPrice, lineTotal }) {
    const line = this.#lines.get(sku) ?? this.#newLine(sku);
    // Each time: Catalog may have kept it to itself when the line was new.
    name(line.element, productName === UNNAMED ? sku : productName, productImageUrl);
    line.element.toggleAttribute("data-unnamed", productName === UNNAMED);
    const { element } = line;
    const changed = line.quantity !== quantity;
    line.quantity = quantity;
    line.wanted = quantity;
    element.querySelector(".each").textContent = `${dollars(unitPrice)} each`;
    element.querySelector(".quantity").textContent = quantity;
    element.querySelector(".line-total").textContent = dollars(lineTotal);
    element.querySelector(".less").disabled = quantity <= 1;
    if (changed) flash(element);
  }

  #newLine(sku) {
    const element = copy("cart-line");
    const line = { element, quantity: 0, wanted: 0 };
    const step = (by) => this.#step(sku, line, by);
    element.querySelector(".less").addEventListener("click", () => step(-1));
    element.querySelector(".more").addEventListener("click", () => step(+1));
    element.querySelector(".remove").addEventListener("click", () => this.#onRemove(sku));
    this.#lines.set(sku, line);
    byId("lines").append(element);
    return line;
  }

  /** Counts on from what was last asked for, so that quick clicks add up. */
  #step(sku, line, by) {
    line.wanted = Math.max(1, line.wanted + by);
    line.element.querySelector(".quantity").textContent = line.wanted;
    line.element.querySelector(".less").disabled = line.wanted <= 1;
    this.#onChange(sku, line.wanted);
  }

  #sum() {
    const shipping = Number(this.shippingCost);
    byId("subtotal").textContent = dollars(this.#subtotal);
    byId("shipping").textContent = dollars(shipping);
    byId("total").textContent = dollars(this.#subtotal + shipping);
  }
}

function name(element, productName, image) {
  element.querySelector(".name").textContent = productName;
  const picture = element.querySelector(".thumb");
  if (image && picture.getAttribute("src") !== image) picture.src = image;
  const label = (selector, words) => element.querySelector(selector).setAttribute("aria-label", words);
  label(".less", `One ${productName} less`);
  label(".more", `One ${productName} more`);
  label(".remove", `Remove ${productName}`);
  label(".stepper", `Quantity of ${productName}`);
}
