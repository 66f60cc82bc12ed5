// The customer's orders and their timelines. A light that is on stays on: an older event never
// overwrites a newer one.

import { copy, dollars, flash, clockTime } from "./shop-dom.js";
import { age, mark, share } from "./shop-marks.js";

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
  #wishes;
  #orders = new Map();

  /** wishes: cancel(orderId) and sendBack(orderId), where the customer wants that. */
  constructor(list, empty, wishes) {
    this.#list = list;
    this.#empty = empty;
    this.#wishes = wishes;
  }

  /** The newest of them, by their ids. */
  newest(number) {
    return [...this.#list.children].slice(0, number).map((card) => card.dataset.order);
  }

  has(id) {
    return this.#orders.has(id);
  }

  /** An order as it is shown: a line of the history, or the whole. */
  learn(view) {
    const { orderId, placedAt, totalAmount, status, itemCount, items, shipments } = view;
    const order = this.#order(orderId, placedAt);
    order.total = totalAmount;
    order.count = itemCount ?? items?.length;
    order.times.placed ??= placedAt;
    this.#reach(order, status, null);
    for (const shipment of shipments ?? []) this.#track(order, shipment);
    if (view.meta) this.#judge(order, view);
    this.#draw(order);
  }

  #track(order, { trackingNumber, status, occurredAt }) {
    order.tracking = trackingNumber ?? order.tracking;
    const reached = status === "HandedToCarrier" ? "Dispatched" : status;
    if (reached in REACHED) this.#reach(order, reached, occurredAt);
  }

  /** How good the view of it is, each part for itself. */
  #judge({ card }, view) {
    mark(card.querySelector(".order-mark"), age(view));
    mark(card.querySelector(".payment-mark"), share(view, "payments", "Payment"));
    mark(card.querySelector(".parcel-mark"), share(view, "fulfillment", "News of the parcel"));
  }

  /** An event of the stream. `newest`: no newer one of the same order or parcel was heard of. */
  hear({ eventType, orderId, newStatus, trackingNumber, details, occurredAt }, newest) {
    const order = this.#order(orderId, occurredAt);
    if (trackingNumber && newest) order.tracking = trackingNumber;
    if (eventType === "return-status-changed") this.#back(order, newStatus, details, newest);
    else this.#reach(order, newStatus, occurredAt, newest);
    this.#draw(order);
    flash(order.card);
  }

  #back(order, status, details, newest) {
    if (!newest) return;
    order.back = details ? `Return ${status.toLowerCase()}: ${details}` : `Return ${status.toLowerCase()}`;
    sessionStorage.setItem(`critter-return-${order.id}`, order.back); // no view tells of returns
  }

  #order(id, placedAt) {
    if (!this.#orders.has(id)) {
      const card = copy("order-card");
      card.querySelector("h3").textContent = `#${id.slice(0, 8)}`;
      card.dataset.order = id;
      card.querySelector(".cancel").addEventListener("click", () => this.#wishes.cancel(id));
      card.querySelector(".back").addEventListener("click", () => this.#wishes.sendBack(id));
      const back = sessionStorage.getItem(`critter-return-${id}`);
      this.#orders.set(id, { id, card, times: {}, furthest: -1, failed: null, note: "", back });
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

  #reach(order, status, at, newest = true) {
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
      if (status && newest) order.note = status;
      return;
    }
    const index = STEPS.indexOf(step);
    if (newest && at) order.note = "";
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
      const told = index <= furthest ? ", done" : failed && index === furthest + 1 ? ", failed" : "";
      item.querySelector(".unseen").textContent = told;
      if (index === furthest) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      item.querySelector("time").textContent = order.times[step] ? clockTime(order.times[step]) : "";
    });
    order.fresh = null;
    const sum = order.total === undefined ? "" :
      `${order.count} ${order.count === 1 ? "item" : "items"}, ${dollars(order.total)}`;
    card.querySelector(".order-sum").textContent = sum;
    say(card.querySelector(".order-words"), failed ?? (order.note || WORDS[STEPS[furthest]] || ""));
    say(card.querySelector(".return-words"), order.back ?? "");
    card.querySelector(".return-words").hidden = !order.back;
    card.querySelector(".back").hidden = STEPS[furthest] !== "delivered" || Boolean(failed || order.back);
    card.querySelector(".tracking").hidden = !order.tracking;
    card.querySelector(".tracking code").textContent = order.tracking ?? "";
    card.querySelector(".cancel").hidden = Boolean(failed) || STEPS[furthest] === "delivered";
  }
}

/** Once, for who listens to it. */
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
