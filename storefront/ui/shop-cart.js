// The cart panel, the badge and the totals.

import { byId, copy, dollars, flash } from "./shop-dom.js";

export class CartPanel {
  #products = new Map();
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

  knowProducts(products) {
    this.#products = new Map(products.map((product) => [product.sku, product]));
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

  /** The lines, as Shopping tells them; null for no cart. */
  show(cart) {
    const items = cart?.status === "Active" ? cart.items : [];
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
    this.totals(items.length, empty ? 0 : cart.totalAmount);
  }

  #line({ sku, quantity, unitPrice, lineTotal }) {
    const known = this.#lines.get(sku);
    const line = known ?? this.#newLine(sku);
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
    const product = this.#products.get(sku);
    const name = product?.name ?? sku;
    element.querySelector(".name").textContent = name;
    const picture = element.querySelector(".thumb");
    if (product?.images[0]) picture.src = product.images[0].url;
    const line = { element, quantity: 0, wanted: 0 };
    const step = (by) => this.#step(sku, line, by);
    label(element, ".less", `One ${name} less`).addEventListener("click", () => step(-1));
    label(element, ".more", `One ${name} more`).addEventListener("click", () => step(+1));
    label(element, ".remove", `Remove ${name}`).addEventListener("click", () => this.#onRemove(sku));
    label(element, ".stepper", `Quantity of ${name}`);
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

function label(element, selector, words) {
  const found = element.querySelector(selector);
  found.setAttribute("aria-label", words);
  return found;
}
