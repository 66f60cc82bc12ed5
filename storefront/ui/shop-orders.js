// The customer's orders and their timelines. A light that is on stays on: an older event never
// overwrites a newer one.

import { copy, dollars, flash, clockTime } from "./shop-dom.js";

const STEPS = ["placed", "paid", "reserved", "dispatched", "delivered"];

// What the stream and Orders call it, and how far that is.
const REACHED = {
  Placed: "placed",
  PaymentAuthorized: "paid", PaymentCaptured: "paid", PendingPayment: "paid", PaymentConfirmed: "paid",
  InventoryReserved: "reserved", InventoryCommitted: "reserved", Fulfilling: "reserved",
  Dispatched: "dispatched", Shipped: "dispatched", "Label created": "dispatched",
  Delivered: "delivered",
};
const FAILED = {
  PaymentFailed: ["paid", "Payment declined"],
  InventoryUnavailable: ["reserved", "Out of stock"],
  OutOfStock: ["reserved", "Out of stock"],
  Cancelled: [null, "Cancelled"],
};
const WORDS = {
  placed: "We have your order", paid: "Payment confirmed", reserved: "Being packed",
  dispatched: "On its way", delivered: "Delivered",
};

export class Orders {
  #list;
  #empty;
  #onCancel;
  #orders = new Map();

  constructor(list, empty, onCancel) {
    this.#list = list;
    this.#empty = empty;
    this.#onCancel = onCancel;
  }

  has(id) {
    return this.#orders.has(id);
  }

  /** An order as it is shown: a line of the history, or the whole. */
  learn({ orderId, placedAt, totalAmount, status, itemCount, items, shipments }) {
    const order = this.#order(orderId, placedAt);
    order.total = totalAmount;
    order.count = itemCount ?? items?.length;
    this.#reach(order, status, null);
    for (const shipment of shipments ?? []) this.#track(order, shipment);
    this.#draw(order);
  }

  #track(order, { trackingNumber, status }) {
    order.tracking = trackingNumber ?? order.tracking;
    if (status === "HandedToCarrier") this.#reach(order, "Dispatched", null);
  }

  /** An event of the stream. */
  hear({ orderId, newStatus, trackingNumber, occurredAt }) {
    const order = this.#order(orderId, occurredAt);
    if (trackingNumber) order.tracking = trackingNumber;
    this.#reach(order, newStatus, occurredAt);
    this.#draw(order);
    flash(order.card);
  }

  #order(id, placedAt) {
    if (!this.#orders.has(id)) {
      const card = copy("order-card");
      card.querySelector("h3").textContent = `#${id.slice(0, 8)}`;
      card.querySelector(".cancel").addEventListener("click", () => this.#onCancel(id));
      this.#orders.set(id, { id, card, times: {}, furthest: -1, failed: null, placedAt });
      this.#place(card, placedAt);
      this.#empty.hidden = true;
    }
    return this.#orders.get(id);
  }

  /** Newest first, whoever comes in last. */
  #place(card, placedAt) {
    card.dataset.placedAt = placedAt ?? "";
    const older = [...this.#list.children].find((other) => other.dataset.placedAt < card.dataset.placedAt);
    this.#list.insertBefore(card, older ?? null);
  }

  #reach(order, status, at) {
    const failure = FAILED[status];
    if (failure) {
      // It got as far as the step before; a cancelled order was placed at least.
      const [failedStep, words] = failure;
      order.furthest = Math.max(order.furthest, failedStep ? STEPS.indexOf(failedStep) - 1 : 0);
      order.failed = words;
      return;
    }
    const step = REACHED[status];
    if (!step) {
      if (status) order.note = status;
      return;
    }
    const index = STEPS.indexOf(step);
    if (at && !order.times[step]) order.times[step] = at;
    if (index <= order.furthest) return;
    order.furthest = index;
    order.fresh = at ? step : null;
  }

  #draw(order) {
    const { card, furthest, failed } = order;
    card.querySelectorAll(".timeline li").forEach((item, index) => {
      const step = STEPS[index];
      item.toggleAttribute("data-reached", index <= furthest);
      item.toggleAttribute("data-failed", Boolean(failed) && index === furthest + 1);
      item.toggleAttribute("data-next", !failed && index === furthest + 1);
      item.toggleAttribute("data-fresh", step === order.fresh);
      item.querySelector("time").textContent = order.times[step] ? clockTime(order.times[step]) : "";
    });
    order.fresh = null;
    const sum = order.total === undefined ? "" :
      `${order.count} ${order.count === 1 ? "item" : "items"}, ${dollars(order.total)}`;
    card.querySelector(".order-sum").textContent = sum;
    card.querySelector(".order-words").textContent =
      failed ?? WORDS[STEPS[furthest]] ?? order.note ?? "";
    card.querySelector(".tracking").hidden = !order.tracking;
    card.querySelector(".tracking code").textContent = order.tracking ?? "";
    card.querySelector(".cancel").hidden = Boolean(failed) || STEPS[furthest] === "delivered";
  }
}
